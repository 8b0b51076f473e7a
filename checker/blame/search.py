"""For each cause: is there a legal tree, and a move that goes wrong in that way, after which the tree is as was seen?

The state after is the snapshot's, as far as it shows one; the state before is left to z3, but for being legal:
every rule holds in it, and everything else that is true of each state that can be reached.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import z3

from sanitree.checker.blame.causes import Cause
from sanitree.checker.explore.evaluate import after as done
from sanitree.checker.explore.evaluate import evaluate
from sanitree.checker.explore.ground import Ground
from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import Cell, Move, Transitions, moves_of, transitions
from sanitree.checker.prove.claims import Claim, claims
from sanitree.checker.prove.words import Words
from sanitree.models.protocol.pages.abstracted import Abstraction
from sanitree.models.protocol.system import System
from sanitree.models.snapshot import Key


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """A legal state, a move that goes wrong as the cause says, and the state after it, which is the one that was seen.

    assumed: how many variables of the state before nobody saw, and are other than they are after.
    """

    cause: Cause
    before: Values
    move: Move
    after: Values
    assumed: int


class Search:
    """A snapshot's state, ready to be asked about causes. seconds: for each."""

    def __init__(self, a: Abstraction, legal: System, seconds: float) -> None:
        self.a, self.system = a, legal
        self.t: Transitions = transitions(legal)
        self.ground = Ground(legal)
        self.claims: tuple[Claim, ...] = claims(self.t)
        self.number_of = {v.key: i for i, v in enumerate(legal.variables)}
        self.seen: dict[Cell, int] = {(self.number_of[k], n): v for (k, n), v in a.known.items()}
        self.before = Words(legal)
        self.solver = z3.SolverFor("QF_FD")
        self.solver.set("timeout", int(seconds * 1000))
        self.solver.add(*(z3.Not(self.before(c.wrong)) for c in self.claims))
        for cell in self.cells:
            top = legal.variables[cell[0]].top
            if top > 1:
                at = self.before.cell(cell)
                self.solver.add(at >= 0, at <= top)

    @property
    def cells(self) -> Sequence[Cell]:
        return [(i, n) for i in range(len(self.system.variables)) for n in range(1, self.system.nodes + 1)]

    def legal(self) -> bool | None:
        """Whether what is seen is a legal state already, as far as the model has words for it."""
        self.solver.push()
        self.solver.add(*self._is_seen(Words(self.system)))
        found = self.solver.check()
        self.solver.pop()
        return None if found == z3.unknown else bool(found == z3.sat)

    def explained(self, cause: Cause) -> Explanation | None:
        """How the cause leads to what is seen; None where it does not, or z3 does not know."""
        moves = [m for action in cause.actions for m in moves_of(self.ground, action)]
        if not moves:
            return None
        self.solver.push()
        try:
            return self._asked(cause, moves)
        finally:
            self.solver.pop()

    def _asked(self, cause: Cause, moves: Sequence[Move]) -> Explanation | None:
        chosen = [z3.Bool(f"{m.action.name} of {m.node}") for m in moves]
        new: dict[Cell, Any] = {}
        for c, m in zip(chosen, moves, strict=True):
            self.solver.add(z3.Implies(c, self.before(m.guard)))
            for cell, e in m.assigned.items():
                old = new.get(cell, self.before.cell(cell))
                flag = self.before.flagged(e)
                top = self.system.variables[cell[0]].top
                value = flag if top == 1 and flag is not None else self.before(e) == 1 if top == 1 else self.before(e)
                new[cell] = z3.If(c, value, old)
                if top > 1:
                    self.solver.add(z3.Implies(c, z3.And(self.before(e) >= 0, self.before(e) <= top)))
        self.solver.add(z3.Or(*chosen), z3.AtMost(*chosen, 1))
        then = Words(self.system, {c: self.before.cell(c) for c in self.cells} | new)
        self.solver.add(*self._is_seen(then))
        if self.solver.check() != z3.sat:
            return None
        model = self.solver.model()
        before = {cell: _value(model.eval(self.before.cell(cell), model_completion=True)) for cell in self.cells}
        move = next(m for c, m in zip(chosen, moves, strict=True) if z3.is_true(model.eval(c)))
        return self._confirmed(cause, before, move)

    def _is_seen(self, w: Words) -> Iterator[Any]:
        for cell, value in self.seen.items():
            at = w.cell(cell)
            yield at == value if not w.flag[cell[0]] else (at if value else z3.Not(at))
        yield from self._strays(w)

    def _strays(self, w: Words) -> Iterator[Any]:
        """What nothing in the tree accounts for is a spare page's."""
        for what, names in STRAYS.items():
            if self.a.strays[what] and (keys := [k for k in names if k in self.number_of]):
                cells = [w.cell((self.number_of[k], n)) for k in keys for n in self.a.spare]
                yield z3.Or(*(c if z3.is_bool(c) else c > 0 for c in cells))
        for v in self.system.variables:
            if v.key.name == "taken" and self.a.strays[f"{v.key.component} {v.key.tier}"]:
                yield z3.Or(*(w.cell((self.number_of[v.key], n)) for n in self.a.spare))

    def _confirmed(self, cause: Cause, before: Values, move: Move) -> Explanation:
        """Done again without the solver."""
        after = done(move, before)
        assert after is not None
        assert not any(evaluate(c.wrong, before) for c in self.claims)
        assert all(after[cell] == value for cell, value in self.seen.items())
        return Explanation(cause, before, move, after, sum(before[c] != after[c] for c in self.cells))


STRAYS: Mapping[str, tuple[Key, ...]] = {
    "requests": (Key("held"),), "writes": (Key("in_write"),), "loads": (Key("in_load"),),
}  # fmt: skip


def _value(found: Any) -> int:
    return int(z3.is_true(found)) if z3.is_bool(found) else int(found.as_signed_long())


def blame(a: Abstraction, seconds: float = 5.0) -> tuple[list[Explanation], float]:
    from sanitree.checker.blame.causes import causes

    begun = time.perf_counter()
    legal, found = causes(a.model)
    s = Search(a, legal, seconds)
    told = [e for c in found if (e := s.explained(c)) is not None]
    return told, time.perf_counter() - begun
