"""Breadth-first search over packed states, on several cores.

Each core owns the states whose hash falls to it: an open-addressing table of whole
states, and the states in the order in which they were found. A round takes a slice of the
frontier: first every core computes successors and sorts them by owner, then every owner
enters its own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sanitree.checker.explore.code import Machine, machine
from sanitree.checker.explore.kernel import FREE, Kernel, Words, kernel
from sanitree.checker.explore.results import Bounds, Goal, Progress, Searched, Sofar, Told, Trace, Violation
from sanitree.checker.explore.transitions import Move, Transitions

_SENT = 1 << 16
"""Successors that a round may send from one core to another."""

_FULLEST = 0.75
_GROWTH = 1.5


def search(
    model: Transitions,
    bounds: Bounds | None = None,
    *,
    cores: int = 2,
    symmetry: bool = False,
    goals: Sequence[Goal] = (),
    progress: Sequence[Progress] = (),
    told: Told | None = None,
    device: str = "cpu",
) -> Searched:
    """Every state that can be reached, level by level, up to the first violation or to a bound.

    With `symmetry`, states that differ in the order of sibling subtrees count as one; rules,
    goals and progress must then not tell siblings apart. device: "cpu", or one of torch's.
    Raises OverflowError where an action takes a variable beyond its bounds.
    """
    if goals or progress or device != "cpu":
        raise NotImplementedError("goals, progress and other devices")
    begun = time.perf_counter()
    m = machine(model, symmetry)
    k = kernel(m)
    _warm(m, k)
    ready = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        run = _Run(m, k, bounds or Bounds(), cores, pool, ready)
        at, stopped = run.to_the_end(told)
    complete = at is None and not stopped
    fired = dict.fromkeys((a.name for a in model.system.actions), 0)
    for i, times in enumerate(run.fired.sum(axis=0)):
        fired[model.moves[i].action.name] += int(times)
    unfired = tuple(name for name, times in fired.items() if not times) if complete else ()
    ends = [sum(level) for level in zip(*(o.levels for o in run.owned), strict=True)]
    levels = tuple(b - a for a, b in itertools.pairwise(ends) if b > a)
    return Searched(
        run.states, run.transitions, levels, run.states if complete else 0, complete,
        None if at is None else run.violation(*at), run.dead, None, fired, unfired, (), (),
        ready - begun, time.perf_counter() - ready, run.peak, stopped,
    )  # fmt: skip


def _warm(m: Machine, k: Kernel) -> None:
    """Compiles, on the first state alone."""
    words = m.layout.words
    first = np.zeros((1, words), np.int64)
    table, order = np.full((8, words), FREE, np.int64), np.empty((8, words), np.int64)
    sent, counts = np.empty((1, len(m.model.moves) + 1, words), np.int64), np.zeros(1, np.int64)
    k.expand(first, sent, counts, np.zeros(len(m.model.moves), np.int64))
    k.enter(table, order, 0, first, 1)
    k.rehash(np.full((8, words), FREE, np.int64), order, 1)


@dataclass(slots=True)
class _Owned:
    """The states of one core, and where each level of them ends in `order`."""

    table: Words
    order: Words
    count: int = 0
    levels: list[int] = field(default_factory=lambda: [0])

    @property
    def bytes(self) -> int:
        return int(self.table.nbytes + self.order.nbytes)

    def make_room(self, more: int, k: Kernel) -> int:
        """Grows where so many more states might not fit; the bytes that are held meanwhile."""
        wanted, words = self.count + more, self.order.shape[1]
        held = self.bytes
        if wanted > len(self.order):
            order = np.empty((max(wanted, int(len(self.order) * _GROWTH)), words), np.int64)
            order[: self.count] = self.order[: self.count]
            held += int(order.nbytes)
            self.order = order
        if wanted > len(self.table) * _FULLEST:
            size = max(int(wanted / _FULLEST) + 1, int(len(self.table) * _GROWTH))
            self.table = np.empty((0, words), np.int64)  # its states are in `order`
            self.table = np.full((size, words), FREE, np.int64)
            k.rehash(self.table, self.order, self.count)
            held = max(held, self.bytes)
        return held


class _Run:
    def __init__(
        self, m: Machine, k: Kernel, bounds: Bounds, cores: int, pool: ThreadPoolExecutor, begun: float
    ) -> None:
        self.m, self.k, self.bounds, self.cores, self.pool, self.begun = m, k, bounds, cores, pool, begun
        words = m.layout.words
        self.slice = max(1, _SENT // max(1, len(m.model.moves)))
        self.sent = np.empty((cores, cores, self.slice * max(1, len(m.model.moves)), words), np.int64)
        self.fired: NDArray[np.int64] = np.zeros((cores, len(m.model.moves)), np.int64)
        self.owned = [
            _Owned(np.full((1 << 12, words), FREE, np.int64), np.empty((1 << 11, words), np.int64))
            for _ in range(cores)
        ]
        self.transitions = self.dead = self.depth = 0
        self.peak = int(self.sent.nbytes) + sum(o.bytes for o in self.owned)

    @property
    def states(self) -> int:
        return sum(o.count for o in self.owned)

    def to_the_end(self, told: Told | None) -> tuple[tuple[int, int, int] | None, str]:
        """A violation as (rule, owner, place), or the bound that ended it, or neither."""
        at, stopped = self.begin(), ""
        while at is None and not stopped and any(o.levels[-1] != o.levels[-2] for o in self.owned):
            at, stopped = self.level()
            for o in self.owned:
                o.levels.append(o.count)
            self.depth += any(o.levels[-1] != o.levels[-2] for o in self.owned)
            if told is not None:
                queue = sum(o.levels[-1] - o.levels[-2] for o in self.owned)
                told(Sofar(self.states, self.transitions, self.depth, queue, time.perf_counter() - self.begun))
        return at, stopped

    def begin(self) -> tuple[int, int, int] | None:
        """Enters the first state."""
        first = np.zeros((1, self.m.layout.words), np.int64)
        mine = self.k.owner(first[0], self.cores)
        o = self.owned[mine]
        o.count, rule, where = self.k.enter(o.table, o.order, 0, first, 1)
        for each in self.owned:
            each.levels.append(each.count)
        return None if rule < 0 else (rule, mine, where)

    def level(self) -> tuple[tuple[int, int, int] | None, str]:
        """Expands the states of the last level; a violation, or the bound that ended it."""
        place = [o.levels[-2] for o in self.owned]
        while any(p < o.levels[-1] for p, o in zip(place, self.owned, strict=True)):
            if stopped := self.beyond():
                return None, stopped
            ends = [min(p + self.slice, o.levels[-1]) for p, o in zip(place, self.owned, strict=True)]
            counts = np.zeros((self.cores, self.cores), np.int64)
            slices = [o.order[p:e] for o, p, e in zip(self.owned, place, ends, strict=True)]
            place = ends
            for dead in self.pool.map(self.k.expand, slices, self.sent, counts, self.fired):
                if dead < 0:
                    move = self.m.model.moves[-1 - dead]
                    raise OverflowError(f"{move.action.name} of node {move.node} takes a variable beyond its bounds")
                self.dead += dead
            self.transitions += int(counts.sum())
            at = self.enter(counts)
            if at is not None:
                return at, ""
        return None, ""

    def enter(self, counts: NDArray[np.int64]) -> tuple[int, int, int] | None:
        """Every owner enters what was sent to it, from each core in turn."""
        held = [o.make_room(int(counts[:, p].sum()), self.k) for p, o in enumerate(self.owned)]
        self.peak = max(self.peak, int(self.sent.nbytes) + sum(held))

        def enter(p: int) -> tuple[int, int] | None:
            o, found = self.owned[p], None
            for core in range(self.cores):
                o.count, rule, where = self.k.enter(o.table, o.order, o.count, self.sent[core, p], counts[core, p])
                if rule >= 0 and found is None:
                    found = rule, where
            return found

        for p, found in enumerate(self.pool.map(enter, range(self.cores))):
            if found is not None:
                return found[0], p, found[1]
        return None

    def beyond(self) -> str:
        """Which bound is reached, in words; nothing where none is."""
        b = self.bounds
        if b.states is not None and self.states >= b.states:
            return f"{b.states:,} states"
        if b.seconds is not None and time.perf_counter() - self.begun >= b.seconds:
            return f"{b.seconds:g} seconds"
        if b.bytes is not None and int(self.sent.nbytes) + sum(o.bytes for o in self.owned) >= b.bytes:
            return f"{b.bytes:,} bytes"
        return ""

    def violation(self, rule: int, owner: int, where: int) -> Violation:
        """The way to a state, found backwards: of each level, a state that leads on."""
        path = [self.owned[owner].order[where]]
        level = next(i for i, end in enumerate(self.owned[owner].levels) if where < end)
        for earlier in range(level - 1, 0, -1):
            for o in self.owned:
                begin, end = o.levels[earlier - 1], o.levels[earlier]
                row, _ = self.k.leading_to(o.order[begin:end], path[-1])
                if row >= 0:
                    path.append(o.order[begin + row])
                    break
        moves, states = self.lived(path[::-1])
        values = (self.m.layout.unpacked(tuple(map(int, s))) for s in states)
        return Violation(self.m.model.rules[rule].rule, Trace(tuple(moves), tuple(values)))

    def lived(self, path: list[Words]) -> tuple[list[Move], list[Words]]:
        """States in normal form as a run of the model: the moves, and the states as they follow from each other."""
        own = self.k.own
        most = max(1, len(self.m.model.moves))
        out, by = np.empty((most, len(path[0])), np.int64), np.empty(most, np.int64)
        moves: list[Move] = []
        states = [path[0]]
        for target in path[1:]:
            n = own.steps(states[-1], out, by)
            shown = out[:n].copy()
            own.normal(shown, n)
            i = next(i for i in range(n) if (shown[i] == target).all())
            states.append(out[i].copy())
            moves.append(self.m.model.moves[by[i]])
        return moves, states
