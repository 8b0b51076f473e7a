"""The inner loops over what a search has found: who leads to a state, and from where a condition can be reached."""

from __future__ import annotations

from typing import Any

import numpy as np

from sanitree.checker.explore.kernel import (
    INDEX_BITS,
    PIECES,
    SIZE,
    TABLE,
    called,
    compiled,
    find,
    hashed,
    load32,
    owner_of,
    prefetch,
    same,
    slot_of,
    state_at,
    tag_of,
)


@compiled
def leading_to(
    successors: Any, store: Any, begin: Any, end: Any, targets: Any, near: Any, parents: Any, moves: Any, shape: Any
) -> None:
    """For each target the number of a state that a move leads from to it, where there is one.

    near: [a power of 2], whether a hash that ends so is one of a target's. parents: -1 where none is known.
    """
    words, left = len(shape), 0
    out, by = np.empty((moves + 1) * words, np.int64), np.empty(moves + 1, np.int64)
    to_out, to_targets, mask = out.ctypes.data, targets.ctypes.data, np.uint64(len(near) - 1)
    for t in range(len(parents)):
        left += parents[t] < 0
    for row in range(begin, end):
        n = called(successors, state_at(store[PIECES], row, shape), to_out, by.ctypes.data)
        for i in range(n):
            new = to_out + 8 * words * i
            if near[np.int64(hashed(new, shape) & mask)]:
                for t in range(len(parents)):
                    if parents[t] < 0 and same(new, to_targets + 8 * words * t, shape):
                        parents[t] = row
                        left -= 1
        if left == 0:
            return


@compiled
def holding(condition: Any, store: Any, begin: Any, end: Any, bits: Any, shape: Any) -> Any:
    """Sets the bits of the states where a condition holds; how many those are."""
    found = 0
    for row in range(begin, end):
        if called(condition, state_at(store[PIECES], row, shape), 0, 0) != 0:
            bits[row >> 3] |= np.uint8(1 << (row & 7))
            found += 1
    return found


@compiled
def spread(
    successors: Any, stores: Any, p: Any, begin: Any, end: Any, backwards: Any, bits: Any, allowed: Any, shape: Any
) -> Any:
    """Sets the bits of an owner's states from which an allowed move leads to one whose bit is set; how many those are.

    bits: for each owner a row. In the order of the states, or `backwards`.
    """
    owners, words, most = len(stores), len(shape), len(allowed) + 1
    out, by = np.empty(most * words, np.int64), np.empty(most, np.int64)
    slots, tags, whose = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    to_out, changed = out.ctypes.data, 0
    for step in range(end - begin):
        row = end - 1 - step if backwards else begin + step
        if bits[p, row >> 3] >> (row & 7) & 1:
            continue
        n = called(successors, state_at(stores[p, PIECES], row, shape), to_out, by.ctypes.data)
        for i in range(n):
            h = hashed(to_out + 8 * words * i, shape)
            q = owner_of(h, owners)
            whose[i], slots[i], tags[i] = q, slot_of(h, stores[q, SIZE]), tag_of(h, stores[q, INDEX_BITS])
            prefetch(stores[q, TABLE] + 4 * slots[i])
        for i in range(n):
            if allowed[by[i]]:
                store = stores[whose[i]]
                slot = find(store, to_out + 8 * words * i, slots[i], tags[i], shape)
                low = (np.int64(1) << store[INDEX_BITS]) - 1
                number = (load32(store[TABLE] + 4 * slot) & low) - 1
                if bits[whose[i], number >> 3] >> (number & 7) & 1:
                    bits[p, row >> 3] |= np.uint8(1 << (row & 7))
                    changed += 1
                    break
    return changed
