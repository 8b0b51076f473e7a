"""The inner loops of a search, for any model: compiled with numba once per installation, not once per model.

They reach a model's own functions and the states by address, and run without the
interpreter's lock. `shape` is a tuple as long as a state has words: its type says how
many, so that the loops over words are unrolled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, njit, types

BATCH = 64
"""Keys that are looked up together, so that their memory is fetched at the same time."""

CHUNK_BITS = 18
"""States lie in pieces of 2 ** CHUNK_BITS: no growth ever copies one."""

# What an owner's row of `stores` holds: where its table is and how long, where the addresses of its
# pieces are, and how many bits of an entry are a state's number plus 1; the others are of its hash.
TABLE, SIZE, PIECES, INDEX_BITS = range(4)

_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


def compiled(function: Callable[..., Any]) -> Any:
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # nowhere to keep it
        return njit(nogil=True)(function)


def _intrinsic(function: Callable[..., Any]) -> Any:
    return extending.intrinsic(function)


_I64, _I32, _I8 = ir.IntType(64), ir.IntType(32), ir.IntType(8)


@_intrinsic
def called(typing: Any, function: Any, a: Any, b: Any, c: Any) -> Any:
    """A model's function of three addresses."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = ir.FunctionType(_I64, [_I64, _I64, _I64]).as_pointer()
        return builder.call(builder.inttoptr(args[0], pointer), args[1:])

    return types.int64(types.int64, types.int64, types.int64, types.int64), make


@_intrinsic
def load64(typing: Any, address: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], _I64.as_pointer()))

    return types.int64(types.int64), make


@_intrinsic
def store64(typing: Any, address: Any, value: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], _I64.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), make


@_intrinsic
def load32(typing: Any, address: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.load(builder.inttoptr(args[0], _I32.as_pointer())), _I64)

    return types.int64(types.int64), make


@_intrinsic
def store32(typing: Any, address: Any, value: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(builder.trunc(args[1], _I32), builder.inttoptr(args[0], _I32.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), make


@_intrinsic
def prefetch(typing: Any, address: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _I8.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _I32, _I32, _I32])
        function = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(
            builder.module, kind, "llvm.prefetch.p0"
        )
        builder.call(function, [builder.inttoptr(args[0], pointer), _I32(0), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return types.void(types.int64), make


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
def slot_of(h: Any, size: Any) -> Any:
    return np.int64(((h >> _HALF) * np.uint64(size)) >> _HALF)  # the upper half, spread over any size below 2^32


@compiled
def tag_of(h: Any, index_bits: Any) -> Any:
    """The part of an entry that is of the hash."""
    return np.int64(h << np.uint64(index_bits) & _LOW)  # of its lowest bits


@compiled
def state_at(pieces: Any, row: Any, shape: Any) -> Any:
    return load64(pieces + 8 * (row >> CHUNK_BITS)) + 8 * len(shape) * (row & ((1 << CHUNK_BITS) - 1))


@compiled
def same(a: Any, b: Any, shape: Any) -> Any:
    for k in range(len(shape)):  # noqa: SIM110  numba knows no generator
        if load64(a + 8 * k) != load64(b + 8 * k):
            return False
    return True


@compiled
def copy(a: Any, b: Any, shape: Any) -> Any:
    for k in range(len(shape)):
        store64(b + 8 * k, load64(a + 8 * k))


@compiled
def expand(
    successors: Any, store: Any, begin: Any, end: Any, sent: Any, counts: Any, fired: Any, tally: Any, recent: Any,
    shape: Any,
) -> Any:  # fmt: skip
    """Successors of an owner's states from `begin` on, each to the owner that its hash chooses.

    sent: [owners, room, words]; counts: how many of them there are for each. recent: [a power of
    2, words], what was sent lately, which is not sent again. fired: adds to it by move. tally: adds
    to [0] transitions, to [1] states without any; [2] is the first of those, where it was -1.
    Stops where `sent` might not hold more: returns the first state that was not expanded, or
    -1 - move for a move that takes a variable beyond its bounds.
    """
    owners, room, words = len(counts), sent.shape[1], len(shape)
    most = len(fired) + 1
    out, by = np.empty(most * words, np.int64), np.empty(most, np.int64)
    to_out, to_by, to_sent, to_recent = out.ctypes.data, by.ctypes.data, sent.ctypes.data, recent.ctypes.data
    mask = np.uint64(len(recent) - 1)
    for row in range(begin, end):
        for p in range(owners):
            if counts[p] + most > room:
                return row
        n = called(successors, state_at(store[PIECES], row, shape), to_out, to_by)
        if n <= 0:
            if n < 0:
                return n
            if tally[2] < 0:
                tally[2] = row
            tally[1] += 1
        tally[0] += n
        for i in range(n):
            fired[by[i]] += 1
            new = to_out + 8 * words * i
            h = hashed(new, shape)
            met = to_recent + 8 * words * np.int64(h & mask)
            if not same(new, met, shape):
                p = owner_of(h, owners)
                copy(new, met, shape)
                copy(new, to_sent + 8 * words * (p * room + counts[p]), shape)
                counts[p] += 1
    return end


@compiled
def find(store: Any, state: Any, slot: Any, tag: Any, shape: Any) -> Any:
    """The slot of a state in a table, or the free one where it would be."""
    table, size, bits = store[TABLE], store[SIZE], store[INDEX_BITS]
    low = (np.int64(1) << bits) - 1
    while True:
        entry = load32(table + 4 * slot)
        if entry == 0:
            return slot
        if entry & ~low == tag and same(state_at(store[PIECES], (entry & low) - 1, shape), state, shape):
            return slot
        slot += 1
        if slot == size:
            slot = 0


@compiled
def enter(
    store: Any, count: Any, states: Any, n: Any, violated: Any, conditions: Any, met: Any, todo: Any, found: Any,
    shape: Any,
) -> Any:  # fmt: skip
    """Enters those of n states that are new, after the `count` that there are; returns how many there are then.

    found: [0] a rule that one violates and [1] its number, unless [0] was 0 or more already.
    conditions: addresses; todo: [0] how many are looked for, and then which; met: for each the
    number of the first state that meets it.
    """
    table, size, bits, pieces, words = store[TABLE], store[SIZE], store[INDEX_BITS], store[PIECES], len(shape)
    low = (np.int64(1) << bits) - 1
    slots, tags = np.empty(BATCH, np.int64), np.empty(BATCH, np.int64)
    for begin in range(0, n, BATCH):
        batch = min(BATCH, n - begin)
        first = states + 8 * words * begin
        for j in range(batch):
            h = hashed(first + 8 * words * j, shape)
            slots[j] = slot_of(h, size)
            tags[j] = tag_of(h, bits)
            prefetch(table + 4 * slots[j])
        for j in range(batch):
            entry = load32(table + 4 * slots[j])
            if entry != 0 and entry & ~low == tags[j]:
                prefetch(state_at(pieces, (entry & low) - 1, shape))
        for j in range(batch):
            state = first + 8 * words * j
            slot = find(store, state, slots[j], tags[j], shape)
            if load32(table + 4 * slot) != 0:
                continue
            store32(table + 4 * slot, tags[j] | (count + 1))
            copy(state, state_at(pieces, count, shape), shape)
            if found[0] < 0:
                found[0], found[1] = called(violated, state, 0, 0), count
            i = 1
            while i <= todo[0]:
                if called(conditions[todo[i]], state, 0, 0) != 0:
                    met[todo[i]] = count
                    todo[i] = todo[todo[0]]
                    todo[0] -= 1
                else:
                    i += 1
            count += 1
    return count


@compiled
def rehash(store: Any, count: Any, shape: Any) -> Any:
    """Enters states in a table that was made anew."""
    table, size, bits, pieces = store[TABLE], store[SIZE], store[INDEX_BITS], store[PIECES]
    slots, tags = np.empty(BATCH, np.int64), np.empty(BATCH, np.int64)
    for begin in range(0, count, BATCH):
        batch = min(BATCH, count - begin)
        for j in range(batch):
            h = hashed(state_at(pieces, begin + j, shape), shape)
            slots[j] = slot_of(h, size)
            tags[j] = tag_of(h, bits)
            prefetch(table + 4 * slots[j])
        for j in range(batch):
            slot = slots[j]
            while load32(table + 4 * slot) != 0:
                slot += 1
                if slot == size:
                    slot = 0
            store32(table + 4 * slot, tags[j] | (begin + j + 1))


# What is asked of what was found. In this file too: numba would not notice that a function which it has
# compiled into others, and kept, has changed in another file.


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
