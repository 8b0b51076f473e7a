"""Breadth-first search over packed states, on several cores.

Each core owns the states whose hash falls to it. A round takes a part of the frontier: first
every core computes successors and sorts them by owner, then every owner enters what was sent
to it. Which states a core expands is not a matter of who owns them: it takes neighbours, of
every owner, because they have successors in common. What a core does depends on the model
alone, never on time, so that a search ends alike whenever it is done again.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sanitree.checker.explore import backward, block, concrete, progress, table
from sanitree.checker.explore import kernel as k
from sanitree.checker.explore.code import Machine
from sanitree.checker.explore.diamonds import left_out
from sanitree.checker.explore.found import At, Judged, Outcome, State
from sanitree.checker.explore.native import Native
from sanitree.checker.explore.results import Bounds, Sofar, Told
from sanitree.checker.explore.store import MOST, Store

T = TypeVar("T")

_SENT = 1 << 16
"""Successors that a core may send in a round."""

_RECENT = 1 << 13
"""Of how many lately sent states a core knows that they were: neighbours have successors in common."""

_BLOCK = 512
"""States of one owner that a core expands before it goes on to those of the next."""

_TOLD_EVERY = 0.1

_NEAR = 1 << 16
"""Ends of hashes by which most states are told from those that are looked for."""


class Run:
    """One search: what it holds and how far it is."""

    def __init__(self, m: Machine, native: Native, goals: int, cores: int, bounds: Bounds) -> None:
        self.m, self.native, self.cores, self.bounds = m, native, cores, bounds
        self.words, self.goals, moves = m.layout.words, goals, len(m.model.moves)
        self.shape = (0,) * self.words
        self._pool = ThreadPoolExecutor(cores) if cores > 1 else None
        self.code = _code(m, native)
        self.rows = np.zeros((cores, 8), np.int64)
        self.stores = [Store(row, self.words, self.code.left_out.shape[1]) for row in self.rows]
        room = _SENT // cores + block.BLOCK * moves
        self.rooms = [block.room(self.words, moves, len(m.model.rules)) for _ in range(cores)]
        self._sent = np.empty((cores, cores, room, self.words), np.int64)
        self._by = np.empty((cores, cores, room), np.uint16)
        self._recent = np.full((cores, _RECENT, self.words), -1, np.int64)
        self._fired = _apart(np.zeros((cores, moves), np.int64))
        self._tally = _apart(np.full((cores, cores, 3), (0, 0, -1), np.int64))  # by core, and owner of the state
        self._found = np.full((cores, 2), -1, np.int64)
        self._conditions = np.array(native.conditions[:goals], np.int64)
        self._met = np.full((cores, goals), -1, np.int64)
        self.met: dict[int, At] = {}
        self.violated: tuple[int, At] | None = None
        self.stopped = ""
        self.expanded = 0
        # On nothing: what numba compiles on its first call it compiles here.
        self._expand(np.zeros((1, 3), np.int64), 0, np.zeros(cores, np.int64))
        self._enter_from(0, 0, self._by[0, 0], 0)
        self._judge(0, 0)
        self.begun = self._told_at = time.perf_counter()
        self._fixed = int(self._sent.nbytes + self._by.nbytes + self._recent.nbytes)
        self.peak = self.bytes

    def close(self) -> None:
        """Ends its threads."""
        if self._pool is not None:
            self._pool.shutdown()

    @property
    def owned(self) -> Sequence[int]:
        return [s.count for s in self.stores]

    @property
    def states(self) -> int:
        return sum(self.owned)

    @property
    def bytes(self) -> int:
        return self._fixed + sum(s.bytes for s in self.stores)

    @property
    def transitions(self) -> int:
        return int(self._tally[:, :, 0].sum())

    @property
    def dead(self) -> int:
        return int(self._tally[:, :, 1].sum())

    @property
    def fired(self) -> Sequence[int]:
        return [int(n) for n in self._fired.sum(axis=0)]

    @property
    def first_dead(self) -> At | None:
        firsts = ((p, int(n)) for core in self._tally[:, :, 2] for p, n in enumerate(core) if n >= 0)
        return min((self.at(p, n) for p, n in firsts), default=None)

    @property
    def levels(self) -> tuple[int, ...]:
        """How many states each level has."""
        ends = np.array([s.levels for s in self.stores]).sum(axis=0)
        return tuple(int(n) for n in np.diff(ends) if n)

    def at(self, owner: int, number: int) -> At:
        return At(self.stores[owner].level(number), owner, number)

    def each_owner(self, work: Callable[[int], T]) -> list[T]:
        """Some work for every owner, at the same time."""
        if self._pool is None:
            return [work(0)]
        return list(self._pool.map(work, range(self.cores)))

    def to_the_end(self, told: Told | None) -> None:
        """Searches until there is nothing new, a rule is violated, or a bound is reached."""
        self._begin()
        while not self._over and any(s.levels[-1] != s.levels[-2] for s in self.stores):
            if self.bounds.moves is not None and len(self.stores[0].levels) - 2 >= self.bounds.moves:
                self.stopped = f"{self.bounds.moves:,} moves"
                break
            self._level(told)
            for s in self.stores:
                s.end_level()

    @property
    def _over(self) -> bool:
        return self.violated is not None or bool(self.stopped)

    def _begin(self) -> None:
        """Enters the first state."""
        first = np.array(self.m.layout.packed(concrete.first(self.m.model)), np.int64)
        owner = table.owner_of(table.hashed(first.ctypes.data, self.shape), self.cores)
        self.stores[owner].make_room(1)
        self._enter_from(owner, first.ctypes.data, np.full(1, self.code.moves, np.uint16), 1)  # no move led to it
        self._judge(owner, 0)
        for s in self.stores:
            s.end_level()
        self._look(0)

    def _level(self, told: Told | None) -> None:
        """Expands the states of the last level."""
        level = len(self.stores[0].levels) - 2
        left = self._dealt()
        counts = _apart(np.zeros((self.cores, self.cores), np.int64))
        while not self._over and any((ranges[:, 1] < ranges[:, 2]).any() for ranges in left):
            counts[:] = 0
            done = self.each_owner(lambda core: self._expand(left[core], core, counts[core]))
            for move in (self.m.model.moves[-1 - n] for n in done if n < 0):
                raise OverflowError(f"{move.action.name} of node {move.node} takes a variable beyond its bounds")
            self._enter(counts)
            self.expanded += 0 if self.stopped else sum(done)
            self._look(level + 1)
            self._bound()
            if told is not None and time.perf_counter() - self._told_at > _TOLD_EVERY:
                self._told_at = time.perf_counter()
                told(
                    Sofar(self.states, self.transitions, level, self.states - self.expanded, self._told_at - self.begun)
                )

    def _dealt(self) -> list[NDArray[np.int64]]:
        """For each core, which states of the last level it expands: owner, first and end."""
        ranges = [(s.levels[-2], s.levels[-1]) for s in self.stores]
        if self.cores == 1:
            return [np.array([(0, *ranges[0])], np.int64)]
        left: list[list[tuple[int, int, int]]] = [[] for _ in range(self.cores)]
        for i in range(-(-max(end - begin for begin, end in ranges) // _BLOCK)):
            for p, (begin, end) in enumerate(ranges):
                if begin + i * _BLOCK < end:
                    left[i % self.cores].append((p, begin + i * _BLOCK, min(begin + (i + 1) * _BLOCK, end)))
        return [np.array(each, np.int64).reshape(-1, 3) for each in left]

    def _expand(self, left: NDArray[np.int64], core: int, counts: NDArray[np.int64]) -> int:
        """Expands what is left for a core until there is no room for more; how many, or -1 - move."""
        return int(
            k.expand(
                self.code, self.rows, left, self._sent[core], self._by[core], counts, self._fired[core],
                self._tally[core], self._recent[core], self.rooms[core], self.shape,
            )
        )  # fmt: skip

    def _enter(self, counts: NDArray[np.int64]) -> None:
        """Every owner enters what was sent to it, from each core in turn."""
        more = [int(n) for n in counts.sum(axis=0)]
        b = self.bounds.bytes
        if b is not None and self._fixed + sum(s.bytes_for(n) for s, n in zip(self.stores, more, strict=True)) > b:
            self.stopped = f"{b:,} bytes"
            return
        if any(s.count + n > MOST * 0.7 for s, n in zip(self.stores, more, strict=True)):
            self.stopped = "the states that one core can number: take more cores"
            return

        def enter(p: int) -> bool:
            try:
                self.stores[p].make_room(more[p])
            except (MemoryError, OSError):
                return False
            known = self.stores[p].count
            for core in range(self.cores):
                self._enter_from(p, self._sent[core, p].ctypes.data, self._by[core, p], int(counts[core, p]))
            self._judge(p, known)
            return True

        if not all(self.each_owner(enter)):
            self.stopped = "the memory that there is"
        self.peak = max(self.peak, self.bytes)

    def _enter_from(self, p: int, address: int, by: NDArray[np.uint16], n: int) -> None:
        s = self.stores[p]
        s.count = k.enter(self.code, self.rows[p], s.count, address, by, n, self.shape)

    def _judge(self, p: int, known: int) -> None:
        """Looks at what an owner's states do that were not known."""
        k.judge(
            self.native.wrong, len(self.m.model.rules), self._conditions, self.rows[p], known, self.stores[p].count,
            self._found[p], self._met[p], self.rooms[p], self.shape,
        )  # fmt: skip

    def _look(self, level: int) -> None:
        """What the owners found in a round, all of one level."""
        for p, (rule, number) in enumerate(self._found):
            if rule >= 0 and self.violated is None:
                self.violated = int(rule), At(level, p, int(number))
        for goal in range(self.goals):
            if goal not in self.met and (self._met[:, goal] >= 0).any():
                p = int((self._met[:, goal] >= 0).argmax())
                self.met[goal] = At(level, p, int(self._met[p, goal]))
                self._met[:, goal] = 0  # no longer looked for

    def _bound(self) -> None:
        """Which bound is reached, in words."""
        b = self.bounds
        if b.states is not None and self.states >= b.states:
            self.stopped = f"{b.states:,} states"
        elif b.seconds is not None and time.perf_counter() - self.begun >= b.seconds:
            self.stopped = f"{b.seconds:g} seconds"

    def judge(self, condition: int, moves: frozenset[int] | None) -> Judged:
        return progress.judge(self, condition, moves)

    def state(self, at: At) -> State:
        return self.stores[at.owner].state(at.number)

    def leading_to(self, level: int, targets: Sequence[State]) -> Mapping[State, State]:
        wanted = np.array(targets, np.int64).reshape(len(targets), self.words)
        near = np.zeros(_NEAR, np.bool_)
        for row in wanted:
            near[int(table.hashed(row.ctypes.data, self.shape)) & (_NEAR - 1)] = True
        parents = np.full((self.cores, len(targets)), -1, np.int64)

        def look(p: int) -> None:
            begin, end = self.stores[p].levels[level : level + 2]
            backward.leading_to(
                self.code, self.rows[p], begin, end, wanted, near, parents[p], self.rooms[p], self.shape
            )

        self.each_owner(look)
        return {
            state: next(self.stores[p].state(int(n)) for p, n in enumerate(parents[:, i]) if n >= 0)
            for i, state in enumerate(targets)
        }

    def outcomes(self, state: State) -> list[Outcome]:
        here, room = np.array(state, np.int64), self.rooms[0]
        n = block.successors(self.code._replace(normal=0), here.ctypes.data, 1, room, self.shape)
        out = room.out[: n * self.words].reshape(n, self.words)
        normal = out.copy()
        if self.code.normal:
            _called(self.code.normal)(normal.ctypes.data, n, room.changed.ctypes.data, 0)
        by = np.searchsorted(room.ends, np.arange(n), side="right").tolist()
        return [Outcome(*each) for each in zip(by, map(tuple, out.tolist()), map(tuple, normal.tolist()), strict=True)]


def _apart(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same, with no two cores' rows in one line of the cache: they would take it from each other at each write."""
    padded = np.zeros((len(rows), rows.shape[1] + 16, *rows.shape[2:]), rows.dtype)
    padded[:, : rows.shape[1]] = rows
    return padded[:, : rows.shape[1]]


def _code(m: Machine, native: Native) -> block.Code:
    """Of more moves than two bytes can tell apart, nothing is left out."""
    moves = len(m.model.moves)
    numbers = -(-moves // 64) if moves < 1 << 16 else 0
    noted = [[b >> 64 * i & (1 << 64) - 1 for i in range(numbers)] for b in (*left_out(m.model, bool(m.exchanges)), 0)]
    done = np.array(noted, np.uint64).reshape(moves + 1, numbers).view(np.int64)
    return block.Code(native.may, native.done, native.normal if m.exchanges else 0, moves, done)


def _called(address: int) -> Callable[..., int]:
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 4)(address)
