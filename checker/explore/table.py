"""The table that finds an owner's states, and what a state is to it: hashes, places. Compiled once, by numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from sanitree.checker.explore.memory import alike, compiled, load32, load64, lowest, ones, prefetch, store32, store64

BATCH = 64
"""Keys that are looked up together, so that their memory is fetched at the same time."""

CHUNK_BITS = 18
CHUNK = 1 << CHUNK_BITS
"""States lie in pieces of so many: no growth ever copies one."""

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
