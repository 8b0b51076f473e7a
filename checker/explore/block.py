"""256 states at once: where a model's guards and rules hold, and what comes of its moves. Compiled once, by numba.

They reach a model's own functions and the states by address. `shape` is a tuple as long as a state
has words: its type says how many, so that the loops over words are unrolled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sanitree.checker.explore.memory import called, compiled, exchange, load64, lowest

LANES = 4
BLOCK = 64 * LANES
"""States that are expanded together: a bit of each is a plane of so many lanes. See `circuit`."""

_HALVES = (
    0x00000000FFFFFFFF,
    0x0000FFFF0000FFFF,
    0x00FF00FF00FF00FF,
    0x0F0F0F0F0F0F0F0F,
    0x3333333333333333,
    0x5555555555555555,
)


class Code(NamedTuple):
    """A model's functions, by address; normal: 0 where every form is normal.

    left_out: for each move, those that need not be done in a state that it led to, a bit each, 64 a
    number; as many numbers as there are, or none where all are done. Last, of no move: none.
    """

    may: int
    done: int
    normal: int
    moves: int
    left_out: Any


class Room(NamedTuple):
    """Where one core works on a block. planes, masks: see `circuit`. rows, ends, out, changed: see `Machine`."""

    planes: Any
    masks: Any
    left_out: Any
    rows: Any
    ends: Any
    out: Any
    changed: Any


def room(words: int, moves: int, masks: int) -> Room:
    """For a model of so many words and moves, of which so many conditions are asked at once."""
    numbers = -(-moves // 64)
    sizes = (
        64 * LANES * words,
        LANES * max(moves, masks),
        64 * LANES * numbers,
        BLOCK * moves,
        moves,
        BLOCK * moves * words,
        BLOCK * moves,
    )
    return Room(*(np.empty(max(n, 1), np.int64) for n in sizes))


@compiled
def turned(planes: Any) -> None:
    """Turns 64 rows of 64 bits by a quarter, in each lane: bit i of row k becomes bit k of row i."""
    for i in range(6):
        half = 32 >> i
        for begin in range(0, 64, 2 * half):
            for k in range(begin, begin + half):
                a = planes + 8 * LANES * k
                exchange(a, a + 8 * LANES * half, half, _HALVES[i])


@compiled
def there(n: Any, lane: Any) -> Any:
    """Of n states, those of a lane, a bit each."""
    left = n - 64 * lane
    return np.int64(-1) if left >= 64 else (np.int64(1) << left) - 1 if left > 0 else np.int64(0)


@compiled
def asked(function: Any, states: Any, n: Any, r: Any, shape: Any) -> None:
    """Where a function's conditions hold: fills `masks`. Beyond the n states they tell nothing."""
    words = len(shape)
    for k in range(words):
        for i in range(n):
            r.planes[(64 * k + (i & 63)) * LANES + (i >> 6)] = load64(states + 8 * (words * i + k))
        turned(r.planes.ctypes.data + 8 * 64 * LANES * k)
    called(function, r.planes.ctypes.data, r.masks.ctypes.data, 0, 0)


@compiled
def first_of(masks: Any, number: Any, n: Any) -> Any:
    """The first of n states where a condition holds, or n."""
    for lane in range(LANES):
        w = masks[LANES * number + lane] & there(n, lane)
        if w != 0:
            return 64 * lane + lowest(w)
    return n


@compiled
def done(code: Any, states: Any, r: Any) -> Any:
    """What comes of moves where `masks` has bits: fills `rows`, `ends` and `out`. How many there are, or -1 - move."""
    n = 0
    for i in range(code.moves):
        for lane in range(LANES):
            w = r.masks[LANES * i + lane]
            while w != 0:
                r.rows[n] = 64 * lane + lowest(w)
                w &= w - 1
                n += 1
        r.ends[i] = n
    wrong = called(code.done, states, r.rows.ctypes.data, r.ends.ctypes.data, r.out.ctypes.data)
    if wrong < 0:
        return wrong
    if code.normal != 0:
        called(code.normal, r.out.ctypes.data, n, r.changed.ctypes.data, 0)
    return n


@compiled
def successors(code: Any, states: Any, n: Any, r: Any, shape: Any) -> Any:
    """All of those of n states, one after the other in memory."""
    asked(code.may, states, n, r, shape)
    for i in range(code.moves):
        for lane in range(LANES):
            r.masks[LANES * i + lane] &= there(n, lane)
    return done(code, states, r)
