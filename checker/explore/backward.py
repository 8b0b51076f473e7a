"""What is asked of what was found, with every state expanded once more: where it came from, and what it leads to."""

from __future__ import annotations

from typing import Any

import numpy as np

from sanitree.checker.explore.block import BLOCK, LANES, asked, done, successors, there
from sanitree.checker.explore.memory import compiled, load32, lowest, ones, prefetch
from sanitree.checker.explore.table import (
    BATCH,
    CHUNK,
    INDEX_BITS,
    LINE,
    PIECES,
    TABLE,
    find,
    hashed,
    line_of,
    owner_of,
    same,
    state_at,
    tag_of,
)


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
