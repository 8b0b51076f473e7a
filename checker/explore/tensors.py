"""The same search on torch tensors: the fast way on a GPU, and the same code on a CPU.

A state is a row of int64 words, none negative. A batch of states gives all its successors at
once; those are entered in an open-addressing table of state numbers, each round one slot further.
Where several claim a slot at once one of them is written, so all look again at who it was.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sanitree.checker.explore import concrete
from sanitree.checker.explore.batch import Batch, normalized
from sanitree.checker.explore.code import Machine
from sanitree.checker.explore.found import At, Judged, Outcome, State
from sanitree.checker.explore.results import Bounds, Sofar, Told
from sanitree.checker.symbolic import FALSE

CHUNK = 1 << 15
"""States that are expanded together."""

_FREE = -1
_ODD = (0x9E3779B97F4A7C15 - (1 << 64), 0xC2B2AE3D27D4EB4F - (1 << 64))
_LOW = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class _Successors:
    """Of a batch of states: the new states in normal form, which state of the batch each is of, and by which move."""

    states: Tensor
    of: Tensor
    moves: Tensor


class TensorRun:
    """One search; see `Explored`."""

    def __init__(self, m: Machine, goals: int, cores: int, bounds: Bounds, device: str) -> None:
        self.m, self.bounds, self.goals = m, bounds, goals
        self.device = torch.device("cpu" if device == "torch" else device)
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise ImportError("torch finds no CUDA device here: leave --device out")
        self._threads = torch.get_num_threads()
        torch.set_num_threads(cores)
        self.words = m.layout.words
        self._states = self._empty(1 << 12)
        self._table = self._full(1 << 13)
        self._count = 0
        self._levels = [0]
        self._fired = torch.zeros(len(m.model.moves), dtype=torch.int64, device=self.device)
        self._dead, self._first_dead = 0, -1
        self._rules = [(i, r.wrong) for i, r in enumerate(m.model.rules) if r.wrong is not FALSE]
        self.violated: tuple[int, At] | None = None
        self.met: dict[int, At] = {}
        self.stopped = ""
        self.expanded = 0
        self.peak = 0
        self.begun = time.perf_counter()

    @property
    def states(self) -> int:
        return self._count

    @property
    def owned(self) -> Sequence[int]:
        return [self._count]

    @property
    def transitions(self) -> int:
        return int(self._fired.sum())

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(b - a for a, b in zip(self._levels, self._levels[1:], strict=False) if b > a)

    @property
    def dead(self) -> int:
        return self._dead

    @property
    def first_dead(self) -> At | None:
        return None if self._first_dead < 0 else self._at(self._first_dead)

    @property
    def fired(self) -> Sequence[int]:
        return [int(n) for n in self._fired.tolist()]

    def close(self) -> None:
        torch.set_num_threads(self._threads)
        self._states, self._table = self._empty(0), self._full(0)

    def state(self, at: At) -> State:
        return tuple(self._states[at.number].tolist())

    def to_the_end(self, told: Told | None) -> None:
        first = self.m.layout.packed(concrete.first(self.m.model))
        self._enter(torch.tensor([first], dtype=torch.int64, device=self.device), 0)
        self._levels.append(1)
        while not self._over and self._levels[-1] > self._levels[-2]:
            level = len(self._levels) - 2
            if self.bounds.moves is not None and level >= self.bounds.moves:
                self.stopped = f"{self.bounds.moves:,} moves"
                break
            for begin in range(self._levels[-2], self._levels[-1], CHUNK):
                end = min(begin + CHUNK, self._levels[-1])
                self._expand(begin, end, level)
                if told is not None:
                    seconds = time.perf_counter() - self.begun
                    told(Sofar(self._count, self.transitions, level, self._count - self.expanded, seconds))
                if self._over:
                    break
            self._levels.append(self._count)

    @property
    def _over(self) -> bool:
        return self.violated is not None or bool(self.stopped)

    def _expand(self, begin: int, end: int, level: int) -> None:
        found = self._successors(self._states[begin:end])
        self._fired += torch.bincount(found.moves, minlength=len(self._fired))
        alive = torch.zeros(end - begin, dtype=torch.bool, device=self.device)
        alive[found.of] = True
        dead = (~alive).nonzero()
        if len(dead):
            self._dead += len(dead)
            self._first_dead = begin + int(dead[0]) if self._first_dead < 0 else self._first_dead
        self._enter(found.states, level + 1)
        self.expanded += end - begin
        b = self.bounds
        if b.states is not None and self._count >= b.states:
            self.stopped = f"{b.states:,} states"
        elif b.seconds is not None and time.perf_counter() - self.begun >= b.seconds:
            self.stopped = f"{b.seconds:g} seconds"
        elif b.bytes is not None and self._bytes >= b.bytes:
            self.stopped = f"{b.bytes:,} bytes"

    def _successors(self, states: Tensor, normal: bool = True) -> _Successors:
        """Raises OverflowError where a move takes a variable beyond its bounds."""
        batch = Batch(self.m, states)
        parts: list[Tensor] = []
        rows: list[Tensor] = []
        moves: list[Tensor] = []
        for number, move in enumerate(self.m.model.moves):
            of = batch.truth(move.guard).nonzero()[:, 0]
            if not len(of):
                continue
            if batch.escapes(move, of):
                raise OverflowError(f"{move.action.name} of node {move.node} takes a variable beyond its bounds")
            parts.append(batch.after(move)[of])
            rows.append(of)
            moves.append(torch.full_like(of, number))
        if not parts:
            none = torch.zeros(0, dtype=torch.int64, device=self.device)
            return _Successors(states[:0], none, none)
        new = torch.cat(parts)
        return _Successors(normalized(self.m, new) if normal else new, torch.cat(rows), torch.cat(moves))

    # The table.

    def _enter(self, states: Tensor, level: int) -> None:
        """Enters those that are new, and judges them."""
        self._make_room(len(states))
        fresh = self._insert(states)
        new = states[fresh]
        begin = self._count
        self._states[begin : begin + len(new)] = new
        self._count += len(new)
        if not len(new):
            return
        batch = Batch(self.m, new)
        worst = min(((int(w[0]), i) for i, e in self._rules if len(w := batch.truth(e).nonzero())), default=None)
        if worst is not None and self.violated is None:
            self.violated = worst[1], At(level, 0, begin + worst[0])
        for goal in range(self.goals):
            if goal not in self.met and len(where := batch.truth(self.m.conditions[goal]).nonzero()):
                self.met[goal] = At(level, 0, begin + int(where[0]))

    def _insert(self, states: Tensor) -> Tensor:
        """Which of these states are new, each once; the table has them from now on."""
        mask = len(self._table) - 1
        slots = _hashed(states) & mask
        left = torch.arange(len(states), device=self.device)
        fresh = torch.zeros(len(states), dtype=torch.bool, device=self.device)
        while len(left):
            mine = -2 - left  # until it has a number
            where = slots[left]
            free = self._table[where] == _FREE
            self._table[where[free]] = mine[free]
            there = self._table[where]
            won = there == mine
            fresh[left[won]] = True
            known = torch.where(
                (there >= 0)[:, None], self._states[there.clamp(min=0)], states[(-2 - there).clamp(min=0)]
            )
            left = left[~won & ~(known == states[left]).all(1)]
            slots[left] = (slots[left] + 1) & mask
        self._table[slots[fresh]] = torch.arange(int(fresh.sum()), device=self.device) + self._count
        return fresh

    def _numbers(self, states: Tensor) -> Tensor:
        """The numbers of states that the table has."""
        mask = len(self._table) - 1
        slots = _hashed(states) & mask
        left = torch.arange(len(states), device=self.device)
        while len(left):
            left = left[(self._states[self._table[slots[left]]] != states[left]).any(1)]
            slots[left] = (slots[left] + 1) & mask
        return self._table[slots]

    def _make_room(self, more: int) -> None:
        wanted = self._count + more
        if wanted > len(self._states):
            grown = self._empty(max(wanted, len(self._states) * 3 // 2))
            grown[: self._count] = self._states[: self._count]
            self.peak = max(self.peak, self._bytes + _size(grown))
            self._states = grown
        if wanted * 2 > len(self._table):
            size = len(self._table)
            while wanted * 2 > size:
                size *= 2
            self._table = self._full(0)
            self._table = self._full(size)
            count, self._count = self._count, 0
            for begin in range(0, count, 1 << 20):
                self._count = begin
                self._insert(self._states[begin : min(begin + (1 << 20), count)])
            self._count = count
        self.peak = max(self.peak, self._bytes)

    @property
    def _bytes(self) -> int:
        return _size(self._states) + _size(self._table)

    def _empty(self, rows: int) -> Tensor:
        return torch.empty((rows, self.words), dtype=torch.int64, device=self.device)

    def _full(self, size: int) -> Tensor:
        return torch.full((size,), _FREE, dtype=torch.int64, device=self.device)

    # What is asked of what was found.

    def _at(self, number: int) -> At:
        return At(next(i for i, end in enumerate(self._levels) if number < end) - 1, 0, number)

    def leading_to(self, level: int, targets: Sequence[State]) -> Mapping[State, State]:
        wanted = torch.tensor(targets, dtype=torch.int64, device=self.device)
        found: dict[State, State] = {}
        for begin in range(self._levels[level], self._levels[level + 1], CHUNK):
            states = self._states[begin : min(begin + CHUNK, self._levels[level + 1])]
            successors = self._successors(states)
            for target, row in zip(targets, wanted, strict=True):
                if target not in found and len(at := (successors.states == row).all(1).nonzero()):
                    found[target] = tuple(states[successors.of[at[0, 0]]].tolist())
            if len(found) == len(targets):
                break
        return found

    def outcomes(self, state: State) -> list[Outcome]:
        found = self._successors(torch.tensor([state], dtype=torch.int64, device=self.device), normal=False)
        normal = normalized(self.m, found.states).tolist()
        every = zip(found.moves.tolist(), found.states.tolist(), normal, strict=True)
        return [Outcome(move, tuple(a), tuple(b)) for move, a, b in every]

    def judge(self, condition: int, moves: frozenset[int] | None) -> Judged:
        chunks = [slice(b, min(b + CHUNK, self._count)) for b in range(0, self._count, CHUNK)]
        source, goal = (
            torch.cat([Batch(self.m, self._states[c]).truth(e) for c in chunks])
            for e in self.m.conditions[condition : condition + 2]
        )
        allowed = torch.tensor(
            [moves is None or i in moves for i in range(len(self.m.model.moves))], device=self.device
        )
        reaches, changed = goal, True
        while changed and (source & ~reaches).any():
            changed = False
            for c in reversed(chunks):
                rows = (~reaches[c]).nonzero()[:, 0] + c.start
                found = self._successors(self._states[rows])
                may = allowed[found.moves]
                leads = rows[found.of[may][reaches[self._numbers(found.states[may])]]]
                reaches[leads] = True
                changed = changed or len(leads) > 0
            chunks.reverse()
        stuck = (source & ~reaches).nonzero()
        return Judged(self._at(int(stuck[0])) if len(stuck) else None, int(source.sum()))


def _hashed(states: Tensor) -> Tensor:
    h = torch.zeros(len(states), dtype=torch.int64, device=states.device)
    for k in range(states.shape[1]):
        h = (h ^ states[:, k]) * _ODD[0]
        h = (h ^ (h >> 32 & _LOW)) * _ODD[1]
    return h ^ (h >> 32 & _LOW)


def _size(t: Tensor) -> int:
    return t.element_size() * t.nelement()
