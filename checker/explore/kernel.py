"""The inner loops of a search, compiled with numba for one model; they run without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sanitree.checker.explore.code import Functions, Machine, functions

Words = NDArray[np.int64]

BATCH = 64
"""Keys that are looked up together: their first probes are in flight at the same time."""

FREE = -1
"""In the first word of a place of a table that holds no state."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The loops for one model. States are rows of int64 words.

    expand(states, sent, counts, fired) -> dead: successors of states, `counts[p]` of them in
    `sent[p]` for the owner p that their hash chooses; adds to `fired` by move. A result
    below 0, -1 - move, says that the move would take a variable beyond its bounds.
    enter(table, order, count, states, n) -> (count, rule, place): enters those of n states
    that are new, at the end of `order`; the first that violates a rule, with its place.
    rehash(table, order, count): enters states known to be new in a table that was made anew.
    leading_to(states, target) -> (row, move): a state that a move leads from to another.
    owner(state, owners) -> who enters a state. own: the model's functions.
    """

    expand: Callable[..., int]
    enter: Callable[..., tuple[int, int, int]]
    rehash: Callable[..., None]
    leading_to: Callable[..., tuple[int, int]]
    owner: Callable[..., int]
    own: Functions


def kernel(m: Machine) -> Kernel:
    """Compiles a model's loops, lazily: each on its first call."""
    compiled = njit(nogil=True)
    own = functions(m, compiled)
    successors, violated = own.successors, own.violated
    words, most = m.layout.words, max(1, len(m.model.moves))
    half = np.uint64(32)
    odd = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))

    @compiled
    def hashed(state: Any) -> Any:
        h = np.uint64(0)
        for k in range(words):
            h = (h ^ np.uint64(state[k])) * odd[0]
            h = (h ^ (h >> half)) * odd[1]
        return h ^ (h >> half)

    @compiled
    def home(h: Any, size: Any) -> Any:
        return np.int64(((h >> half) * np.uint64(size)) >> half)  # the upper half, spread over any size below 2^32

    @compiled
    def owner(state: Any, owners: Any) -> Any:
        return np.int64((hashed(state) & np.uint64(0xFFFF)) % np.uint64(owners))

    @compiled
    def expand(states: Any, sent: Any, counts: Any, fired: Any) -> Any:
        out, by = np.empty((most, words), np.int64), np.empty(most, np.int64)
        dead = 0
        for row in range(len(states)):
            n = successors(states[row], out, by)
            if n < 0:
                return n
            if n == 0:
                dead += 1
            for i in range(n):
                fired[by[i]] += 1
                p = owner(out[i], len(counts))
                at = counts[p]
                for k in range(words):
                    sent[p, at, k] = out[i, k]
                counts[p] = at + 1
        return dead

    @compiled
    def same(a: Any, b: Any) -> Any:
        for k in range(words):  # noqa: SIM110  numba knows no generator
            if a[k] != b[k]:
                return False
        return True

    @compiled
    def enter(table: Any, order: Any, count: Any, states: Any, n: Any) -> Any:
        size = len(table)
        homes, met = np.empty(BATCH, np.int64), np.empty(BATCH, np.int64)
        rule, where = -1, -1
        for begin in range(0, n, BATCH):
            batch = min(BATCH, n - begin)
            for j in range(batch):
                homes[j] = home(hashed(states[begin + j]), size)
                met[j] = table[homes[j], 0]
            for j in range(batch):
                state, i = states[begin + j], homes[j]
                if words == 1 and met[j] == state[0]:
                    continue
                while table[i, 0] != FREE and not same(table[i], state):
                    i += 1
                    if i == size:
                        i = 0
                if table[i, 0] == FREE:
                    for k in range(words):
                        table[i, k] = order[count, k] = state[k]
                    if rule < 0:
                        rule = violated(state)
                        where = count
                    count += 1
        return count, rule, where

    @compiled
    def rehash(table: Any, order: Any, count: Any) -> None:
        size = len(table)
        for row in range(count):
            i = home(hashed(order[row]), size)
            while table[i, 0] != FREE:
                i += 1
                if i == size:
                    i = 0
            for k in range(words):
                table[i, k] = order[row, k]

    @compiled
    def leading_to(states: Any, target: Any) -> Any:
        out, by = np.empty((most, words), np.int64), np.empty(most, np.int64)
        for row in range(len(states)):
            for i in range(successors(states[row], out, by)):
                if same(out[i], target):
                    return row, by[i]
        return -1, -1

    return Kernel(expand, enter, rehash, leading_to, owner, own)
