"""The inner loops of a search, for any model: compiled with numba once per installation, not once per model.

They reach a model's own functions and the states by address, and run without the
interpreter's lock. `shape` is a tuple as long as a state has words: its type says how
many, so that the loops over words are unrolled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from sanitree.checker.explore.memory import (
    alike,
    called,
    exchange,
    load32,
    load64,
    lowest,
    ones,
    prefetch,
    store32,
    store64,
)

BATCH = 64
"""Keys that are looked up together, so that their memory is fetched at the same time."""

CHUNK_BITS = 18
CHUNK = 1 << CHUNK_BITS
"""States lie in pieces of so many: no growth ever copies one."""

LANES = 4
BLOCK = 64 * LANES
"""States that are expanded together: a bit of each is a plane of so many lanes. See `circuit`."""

LINE_BITS = 4
LINE = 1 << LINE_BITS
"""Entries of a table that are fetched and compared at once: a line of the cache."""

# What an owner's row of `stores` holds: where its table is; how many bits of an entry are a state's number plus 1,
# the others are of its hash, and the table has 2 to the power of it entries; where the addresses of its pieces are;
# and where it is noted what need not be done in the states of the level that is expanded, whose first is what, and
# of the next.
TABLE, INDEX_BITS, PIECES, LEFT_OUT, FIRST, NEXT_LEFT_OUT, NEXT_FIRST = range(7)

_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_HALVES = (0x00000000FFFFFFFF, 0x0000FFFF0000FFFF, 0x00FF00FF00FF00FF, 0x0F0F0F0F0F0F0F0F, 0x3333333333333333, 0x5555555555555555)


class Code(NamedTuple):
    """A model's functions, by address; normal: 0 where every form is normal.

    left_out: for each move, those that need not be done in a state that it led to, a bit each, 64 a
    number; as many numbers as there are, or none where all are done.
    """

    may: int
    done: int
    normal: int
    left_out: Any


class Room(NamedTuple):
    """Where one core works on a block. planes, masks: see `circuit`. rows, ends, out: see `Machine`."""

    planes: Any
    masks: Any
    left_out: Any
    rows: Any
    ends: Any
    out: Any


def room(words: int, moves: int, masks: int) -> Room:
    """For a model of so many words and moves, of which so many conditions are asked at once."""
    numbers = -(-moves // 64)
    sizes = (64 * LANES * words, LANES * max(moves, masks), 64 * LANES * numbers, BLOCK * moves, moves, BLOCK * moves * words)
    return Room(*(np.empty(max(n, 1), np.int64) for n in sizes))


def compiled(function: Callable[..., Any]) -> Any:
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # nowhere to keep it
        return njit(nogil=True)(function)


@compiled
def hashed(state: Any, shape: Any) -> Any:
    h = np.uint64(0)
    for k in range(len(shape)):
        h = (h ^ np.uint64(load64(state + 8 * k))) * _ODD[0]
        h = (h ^ (h >> _HALF)) * _ODD[1]
    return h ^ (h >> _HALF)


@compiled
def owner_of(h: Any, owners: Any) -> Any:
    return np.int64((h >> np.uint64(16) & np.uint64(0xFFFF)) * np.uint64(owners) >> np.uint64(16))


@compiled
def line_of(h: Any, bits: Any) -> Any:
    """The line where a state belongs: the first bits of its hash."""
    return np.int64(h >> np.uint64(LINE_BITS + 64 - bits))


@compiled
def tag_of(h: Any, bits: Any) -> Any:
    """The part of an entry that is of the hash: the bits after those. With the line it makes 28, however long."""
    return np.int64(h >> np.uint64(32 + LINE_BITS) << np.uint64(bits) & _LOW)


@compiled
def state_at(pieces: Any, row: Any, shape: Any) -> Any:
    return load64(pieces + 8 * (row >> CHUNK_BITS)) + 8 * len(shape) * (row & (CHUNK - 1))


@compiled
def same(a: Any, b: Any, shape: Any) -> Any:
    differs = np.int64(0)
    for k in range(len(shape)):
        differs |= load64(a + 8 * k) ^ load64(b + 8 * k)
    return differs == 0


@compiled
def copy(a: Any, b: Any, shape: Any) -> Any:
    for k in range(len(shape)):
        store64(b + 8 * k, load64(a + 8 * k))


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
    """What comes of each move where `masks` has a bit: how many successors, or -1 - move. Fills `rows`, `ends`, `out`."""
    n = 0
    for i in range(len(code.left_out)):
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
        called(code.normal, r.out.ctypes.data, n, 0, 0)
    return n


@compiled
def successors(code: Any, states: Any, n: Any, r: Any, shape: Any) -> Any:
    """All of those of n states, one after the other in memory."""
    asked(code.may, states, n, r, shape)
    for i in range(len(code.left_out)):
        for lane in range(LANES):
            r.masks[LANES * i + lane] &= there(n, lane)
    return done(code, states, r)


@compiled
def leave_out(code: Any, noted: Any, n: Any, r: Any) -> None:
    """Takes from `masks` what need not be done in n states, as is noted for each."""
    numbers = code.left_out.shape[1]
    for k in range(numbers):
        for i in range(n):
            r.left_out[(64 * k + (i & 63)) * LANES + (i >> 6)] = load64(noted + 8 * (numbers * i + k))
        turned(r.left_out.ctypes.data + 8 * 64 * LANES * k)
    for i in range(LANES * len(code.left_out) * (numbers > 0)):
        r.masks[i] &= ~r.left_out[i]


@compiled
def expand(
    code: Any, stores: Any, ranges: Any, sent: Any, by: Any, counts: Any, fired: Any, tally: Any, recent: Any,
    r: Any, shape: Any,
) -> Any:  # fmt: skip
    """Successors of states, each to the owner that its hash chooses; how many were expanded, or -1 - move.

    ranges: owner, first and end, in this order; the first moves on. sent: [owners, room, words];
    by: [owners, room], the move of each; counts: how many of them there are for each.
    recent: [a power of 2, words], what was sent lately, which is not sent again. fired: adds to it
    by move. tally: adds for each owner to [0] transitions, to [1] states without any; [2] is the
    first of those, where it was -1. Stops where `sent` might not hold more.
    """
    owners, moves, words = len(counts), len(fired), len(shape)
    to_out, to_sent, to_recent = r.out.ctypes.data, sent.ctypes.data, recent.ctypes.data
    mask, most, expanded = np.uint64(len(recent) - 1), sent.shape[1] - BLOCK * moves, 0
    for at in range(len(ranges)):
        owner, pieces = ranges[at, 0], stores[ranges[at, 0], PIECES]
        while ranges[at, 1] < ranges[at, 2]:
            for p in range(owners):
                if counts[p] > most:
                    return expanded
            row = ranges[at, 1]
            n = min(BLOCK, ranges[at, 2] - row, CHUNK - (row & (CHUNK - 1)))
            states = state_at(pieces, row, shape)
            asked(code.may, states, n, r, shape)
            for lane in range(LANES):
                present, alive = there(n, lane), np.int64(0)
                for i in range(moves):
                    may = r.masks[LANES * i + lane] & present
                    r.masks[LANES * i + lane] = may
                    alive |= may
                    times = ones(may)
                    fired[i] += times
                    tally[owner, 0] += times
                dead = present & ~alive
                if dead != 0 and tally[owner, 2] < 0:
                    tally[owner, 2] = row + 64 * lane + lowest(dead)
                tally[owner, 1] += ones(dead)
            noted = stores[owner, LEFT_OUT] + 8 * code.left_out.shape[1] * (row - stores[owner, FIRST])
            leave_out(code, noted, n, r)
            total = done(code, states, r)
            if total < 0:
                return total
            i = 0
            for move in range(moves):
                while i < r.ends[move]:
                    new = to_out + 8 * words * i
                    h = hashed(new, shape)
                    met = to_recent + 8 * words * np.int64(h & mask)
                    fresh = not same(new, met, shape)
                    p = owner_of(h, owners)
                    copy(new, met, shape)
                    copy(new, to_sent + 8 * words * (p * sent.shape[1] + counts[p]), shape)
                    by[p, counts[p]] = move
                    counts[p] += fresh
                    i += 1
            ranges[at, 1] += n
            expanded += n
    return expanded


@compiled
def aimed(store: Any, states: Any, n: Any, lines: Any, tags: Any, shape: Any) -> None:
    """The lines of a table where n states might be, which it has fetched, and what the entries have of their hashes."""
    for j in range(n):
        h = hashed(states + 8 * len(shape) * j, shape)
        lines[j], tags[j] = line_of(h, store[INDEX_BITS]), tag_of(h, store[INDEX_BITS])
        prefetch(store[TABLE] + 4 * LINE * lines[j])


@compiled
def find(store: Any, state: Any, line: Any, tag: Any, shape: Any) -> Any:
    """The slot of a state in a table, or the free one where it would be."""
    low = (np.int64(1) << store[INDEX_BITS]) - 1
    while True:
        at = store[TABLE] + 4 * LINE * line
        free = alike(at, -1, 0)
        there = alike(at, ~low, tag) & ~free
        while there != 0:
            slot = LINE * line + lowest(there)
            if same(state_at(store[PIECES], (load32(store[TABLE] + 4 * slot) & low) - 1, shape), state, shape):
                return slot
            there &= there - 1
        if free != 0:
            return LINE * line + lowest(free)
        line = line + 1 & (np.int64(1) << store[INDEX_BITS] - LINE_BITS) - 1


@compiled
def note(to: Any, left_out: Any, move: Any, numbers: Any) -> None:
    """That a state was come to by a move too."""
    for k in range(numbers):
        store64(to + 8 * k, load64(to + 8 * k) | load64(left_out + 8 * (numbers * np.int64(move) + k)))


@compiled
def enter(code: Any, store: Any, count: Any, states: Any, by: Any, n: Any, shape: Any) -> Any:
    """Enters those of n states that are new, after the `count` that there are; returns how many there are then.

    by: the move that led to each; what may be left out after it is noted.
    """
    table, pieces, words, numbers = store[TABLE], store[PIECES], len(shape), code.left_out.shape[1]
    left_out, noted, first_noted = code.left_out.ctypes.data, store[NEXT_LEFT_OUT], store[NEXT_FIRST]
    low = (np.int64(1) << store[INDEX_BITS]) - 1
    lines, tags = np.empty(2 * BATCH, np.int64), np.empty(2 * BATCH, np.int64)
    likely, known, others = np.empty(BATCH, np.int64), np.empty(BATCH, np.int64), np.empty(BATCH, np.int64)
    aimed(store, states, min(BATCH, n), lines, tags, shape)
    half = 0
    for begin in range(0, n, BATCH):
        batch, first = min(BATCH, n - begin), states + 8 * words * begin
        if begin + BATCH < n:  # the next ones are fetched while these are looked up
            other = BATCH - half
            aimed(store, first + 8 * words * BATCH, min(BATCH, n - begin - BATCH), lines[other:], tags[other:], shape)
        for j in range(batch):
            at = table + 4 * LINE * lines[half + j]
            entry = load32(at + 4 * lowest(alike(at, ~low, tags[half + j]) | 1 << (LINE - 1)))
            likely[j] = (entry & low) - 1
            prefetch(state_at(pieces, max(likely[j], 0), shape))
            prefetch(noted + 8 * numbers * max(likely[j] - first_noted, 0))
        found = left = 0
        for j in range(batch):  # without a branch, which would be guessed wrongly every other time
            it_is = same(state_at(pieces, max(likely[j], 0), shape), first + 8 * words * j, shape) & (likely[j] >= 0)
            others[left] = known[found] = j
            left += not it_is
            found += it_is & (likely[j] >= first_noted)
        for i in range(found):
            note(noted + 8 * numbers * (likely[known[i]] - first_noted), left_out, by[begin + known[i]], numbers)
        for i in range(left):
            j = others[i]
            slot = find(store, first + 8 * words * j, lines[half + j], tags[half + j], shape)
            entry = load32(table + 4 * slot)
            number = (entry & low) - 1 if entry != 0 else count
            if entry == 0:
                store32(table + 4 * slot, tags[half + j] | (count + 1))
                copy(first + 8 * words * j, state_at(pieces, count, shape), shape)
                for k in range(numbers):
                    store64(noted + 8 * (numbers * (count - first_noted) + k), 0)
                count += 1
            if number >= first_noted:
                note(noted + 8 * numbers * (number - first_noted), left_out, by[begin + j], numbers)
        half = BATCH - half
    return count


@compiled
def judge(
    wrong: Any, rules: Any, conditions: Any, store: Any, begin: Any, end: Any, found: Any, met: Any, r: Any, shape: Any
) -> None:
    """What new states do. wrong: where each of so many rules is violated, by address, as are the conditions.

    found: [0] a rule that the first does that violates one, and [1] its number, unless [0] was 0 or
    more already. met: for each condition the number of the first that meets it, where it was -1.
    """
    row = begin
    while row < end:
        n = min(BLOCK, end - row, CHUNK - (row & (CHUNK - 1)))
        states = state_at(store[PIECES], row, shape)
        asked(wrong, states, n, r, shape)
        first = n
        for i in range(rules * (found[0] < 0)):
            at = first_of(r.masks, i, n)
            if at < first:
                first, found[0], found[1] = at, i, row + at
        for i in range(len(conditions)):
            if met[i] < 0:
                called(conditions[i], r.planes.ctypes.data, r.masks.ctypes.data, 0, 0)
                at = first_of(r.masks, 0, n)
                if at < n:
                    met[i] = row + at
        row += n


@compiled
def split(store: Any, old: Any, begin: Any, end: Any, shape: Any) -> None:
    """Enters lines of a table of half the size. The line of an entry is one of the two that come of its own, as the
    first bit of its tag says; only after a full line it may be of another, and the state has to be looked at.
    """
    table, bits = store[TABLE], store[INDEX_BITS] - 1
    low, last = (np.int64(1) << bits) - 1, (np.int64(1) << store[INDEX_BITS] - LINE_BITS) - 1
    held = np.empty(2, np.int64)  # by the two lines
    for line in range(begin, end):
        after_full = alike(old + 4 * LINE * (line - 1 & last >> 1), -1, 0) == 0
        if alike(old + 4 * LINE * (line + 7 & last >> 1), -1, 0) == 0:
            for i in range(LINE):
                ahead = load32(old + 4 * (LINE * (line + 8 & last >> 1) + i))
                prefetch(state_at(store[PIECES], max((ahead & low) - 1, 0), shape))
        for i in range(2):
            held[i] = LINE - ones(alike(table + 4 * LINE * (2 * line + i), -1, 0))
        for i in range(LINE - ones(alike(old + 4 * LINE * line, -1, 0))):
            entry = load32(old + 4 * (LINE * line + i))
            to, new = 2 * line | entry >> 31, (entry & ~low) << 1 & 0xFFFFFFFF | entry & low
            if after_full:
                to = line_of(hashed(state_at(store[PIECES], (entry & low) - 1, shape), shape), bits + 1)
            if to >> 1 == line and held[to & 1] < LINE:
                store32(table + 4 * (LINE * to + held[to & 1]), new)
                held[to & 1] += 1
            else:
                free = alike(table + 4 * LINE * to, -1, 0)
                while free == 0:
                    to = to + 1 & last
                    free = alike(table + 4 * LINE * to, -1, 0)
                store32(table + 4 * (LINE * to + lowest(free)), new)
                held[to & 1] += to >> 1 == line


# What is asked of what was found. In this file too: numba would not notice that a function which it has
# compiled into others, and kept, has changed in another file.


@compiled
def leading_to(
    code: Any, store: Any, begin: Any, end: Any, targets: Any, near: Any, parents: Any, r: Any, shape: Any
) -> None:
    """For each target the number of a state that a move leads from to it, where there is one.

    near: [a power of 2], whether a hash that ends so is one of a target's. parents: -1 where none is known.
    """
    words, left, row = len(shape), 0, begin
    to_out, to_targets, mask = r.out.ctypes.data, targets.ctypes.data, np.uint64(len(near) - 1)
    for t in range(len(parents)):
        left += parents[t] < 0
    while row < end and left > 0:
        n = min(BLOCK, end - row, CHUNK - (row & (CHUNK - 1)))
        for i in range(successors(code, state_at(store[PIECES], row, shape), n, r, shape)):
            new = to_out + 8 * words * i
            if near[np.int64(hashed(new, shape) & mask)]:
                for t in range(len(parents)):
                    if parents[t] < 0 and same(new, to_targets + 8 * words * t, shape):
                        parents[t] = row + r.rows[i]
                        left -= 1
        row += n


@compiled
def holding(condition: Any, store: Any, begin: Any, end: Any, bits: Any, r: Any, shape: Any) -> Any:
    """Sets the bits of the states where a condition holds; how many those are."""
    found, row = 0, begin
    while row < end:
        n = min(BLOCK, end - row, CHUNK - (row & (CHUNK - 1)))
        asked(condition, state_at(store[PIECES], row, shape), n, r, shape)
        for lane in range(LANES):
            w = r.masks[lane] & there(n, lane)
            found += ones(w)
            while w != 0:
                at = row + 64 * lane + lowest(w)
                bits[at >> 3] |= np.uint8(1 << (at & 7))
                w &= w - 1
        row += n
    return found


@compiled
def spread(
    code: Any, stores: Any, p: Any, end: Any, backwards: Any, bits: Any, allowed: Any, r: Any, shape: Any
) -> Any:
    """Sets the bits of an owner's states from which an allowed move leads to one whose bit is set; how many those are.

    bits: for each owner a row. Block by block in the order of the states, or `backwards`.
    """
    owners, words, to_out, changed = len(stores), len(shape), r.out.ctypes.data, 0
    lines, tags, whose = np.empty(BATCH, np.int64), np.empty(BATCH, np.int64), np.empty(BATCH, np.int64)
    blocks = (end + BLOCK - 1) // BLOCK  # a piece is a whole number of blocks
    for step in range(blocks):
        row = BLOCK * (blocks - 1 - step if backwards else step)
        n = min(BLOCK, end - row)
        states = state_at(stores[p, PIECES], row, shape)
        asked(code.may, states, n, r, shape)
        for lane in range(LANES):
            left = np.int64(0)
            for i in range(min(64, n - 64 * lane)):
                at = row + 64 * lane + i
                left |= np.int64(bits[p, at >> 3] >> (at & 7) & 1 ^ 1) << i
            for i in range(len(allowed)):
                r.masks[LANES * i + lane] &= left * allowed[i]
        total = done(code, states, r)
        for begin in range(0, total, BATCH):
            batch = min(BATCH, total - begin)
            for j in range(batch):
                h = hashed(to_out + 8 * words * (begin + j), shape)
                q = owner_of(h, owners)
                whose[j], lines[j], tags[j] = q, line_of(h, stores[q, INDEX_BITS]), tag_of(h, stores[q, INDEX_BITS])
                prefetch(stores[q, TABLE] + 4 * LINE * lines[j])
            for j in range(batch):
                at, store = row + r.rows[begin + j], stores[whose[j]]
                if bits[p, at >> 3] >> (at & 7) & 1:
                    continue
                slot = find(store, to_out + 8 * words * (begin + j), lines[j], tags[j], shape)
                number = (load32(store[TABLE] + 4 * slot) & ((np.int64(1) << store[INDEX_BITS]) - 1)) - 1
                if bits[whose[j], number >> 3] >> (number & 7) & 1:
                    bits[p, at >> 3] |= np.uint8(1 << (at & 7))
                    changed += 1
    return changed
