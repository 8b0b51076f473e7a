"""The inner loops of a search, for any model: compiled with numba once per installation, not once per model.

They run without the interpreter's lock. What the arguments are is said in `block` and `table`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sanitree.checker.explore.block import BLOCK, LANES, asked, done, first_of, there, turned
from sanitree.checker.explore.memory import (
    alike,
    called,
    compiled,
    load32,
    load64,
    lowest,
    ones,
    prefetch,
    store32,
    store64,
)
from sanitree.checker.explore.table import (
    BATCH,
    CHUNK,
    FIRST,
    INDEX_BITS,
    LEFT_OUT,
    LINE,
    NEXT_FIRST,
    NEXT_LEFT_OUT,
    PIECES,
    TABLE,
    aimed,
    copy,
    find,
    hashed,
    owner_of,
    same,
    state_at,
)


@compiled
def leave_out(code: Any, noted: Any, n: Any, r: Any) -> None:
    """Takes from `masks` what need not be done in n states, as is noted for each."""
    numbers = code.left_out.shape[1]
    for k in range(numbers):
        for i in range(n):
            r.left_out[(64 * k + (i & 63)) * LANES + (i >> 6)] = load64(noted + 8 * (numbers * i + k))
        turned(r.left_out.ctypes.data + 8 * 64 * LANES * k)
    for i in range(LANES * code.moves * (numbers > 0)):
        r.masks[i] &= ~r.left_out[i]


@compiled
def expand(
    code: Any, stores: Any, ranges: Any, sent: Any, by: Any, counts: Any, fired: Any, tally: Any, recent: Any,
    r: Any, shape: Any,
) -> Any:  # fmt: skip
    """Successors of states, each to the owner that its hash chooses; how many were expanded, or -1 - move.

    ranges: owner, first and end, in this order; the first moves on. sent: [owners, room, words];
    by: [owners, room], the move of each, or how many there are where
    it led to another form; counts: how many of them there are for each.
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
                    by[p, counts[p]] = code.moves if code.normal != 0 and r.changed[i] != 0 else move
                    counts[p] += fresh
                    i += 1
            ranges[at, 1] += n
            expanded += n
    return expanded


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
