"""Induction on trees of a given size: for each action and claim, a state from which the action breaks the claim.

The node of an action is left to the solver, so that a pair is one question. What it finds is
done again by the interpreter of expressions, and judged on columns, before anyone sees it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import z3

from sanitree.checker.explore.concrete import first
from sanitree.checker.explore.configured import Model
from sanitree.checker.explore.confirm import MismatchError
from sanitree.checker.explore.evaluate import after, evaluate
from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import Cell, Move
from sanitree.checker.prove.asking import asked
from sanitree.checker.prove.claims import BELOW, RANGE, Claim, claims
from sanitree.checker.prove.connectives import number_of
from sanitree.checker.prove.results import INITIALLY, Answer, Counterexample, Pair
from sanitree.checker.prove.words import Words
from sanitree.checker.symbolic import E

SECONDS = 10.0
"""For one pair, unless somebody says otherwise."""


class Induction:
    """A model of a given size, ready to be asked about its pairs. seconds: for each. without: claims that are not
    supposed, nor asked about."""

    def __init__(self, m: Model, seconds: float = SECONDS, without: Collection[str] = ()) -> None:
        self.m, self.t, self.system = m, m.transitions, m.system
        self.claims = tuple(c for c in claims(self.t) if c.name not in without)
        self.seconds = seconds
        self.before = Words(self.system)
        self.solver = z3.SolverFor("QF_FD")
        self.solver.set("timeout", int(seconds * 1000))
        self.holding: dict[str, Any] = {}
        self._said: dict[str, _Asking] = {}
        for c in self.claims:
            self.holding[c.name] = z3.Bool(f"holds {c.name}")
            self.solver.add(z3.Implies(self.holding[c.name], z3.Not(self.before(c.wrong))))
        self.solver.add(*self._in_range())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All claims, in order."""
        return (*(c.name for c in self.claims), RANGE)

    def _in_range(self) -> Iterator[Any]:
        """Numbers are from 0 to their largest."""
        for cell in self._cells():
            if not self.before.flag[cell[0]]:
                at = self.before.cell(cell)
                yield z3.And(at >= 0, at <= self.system.variables[cell[0]].top)

    def _cells(self) -> Iterator[Cell]:
        return ((i, n) for i in range(len(self.system.variables)) for n in range(1, self.system.nodes + 1))

    def possible(self, action: str) -> bool | None:
        """Whether some state in which every claim holds allows an action; None where the solver does not know."""
        return self._met(z3.Or(*(self.before(x.guard) for x in self.t.moves if x.action.name == action)))

    def open(self, condition: E, without: Collection[str] = ()) -> bool:
        """Whether a condition is met somewhere, every claim being true but some; not where the solver does not know."""
        return self._met(self.before(condition), without) is True

    def _met(self, condition: Any, without: Collection[str] = ()) -> bool | None:
        self.solver.push()
        self.solver.add(condition)
        found = asked(self.solver, (h for name, h in self.holding.items() if name not in without))
        self.solver.pop()
        return None if found == z3.unknown else bool(found == z3.sat)

    def initially(self) -> Iterator[Pair]:
        """That the first state is legal: of this one there is no doubt, it is looked at."""
        begun, state = time.perf_counter(), first(self.t)
        for c in self.claims:
            wrong = bool(evaluate(c.wrong, state))
            found = Counterexample(self.m, state, None, state, self._columns(c, state)) if wrong else None
            answer = Answer.BROKEN if wrong else Answer.PROVED
            yield Pair(INITIALLY, c.name, answer, time.perf_counter() - begun, frozenset(), found)

    def kept(self, action: str, wanted: Iterable[str]) -> Iterator[Pair]:
        """For each claim, whether the action keeps it."""
        if not (a := self._asking(action)).moves:
            return
        by_name = {c.name: c for c in self.claims}
        self.solver.push()
        self.solver.add(*a.supposed)
        for name in wanted:
            begun = time.perf_counter()
            if name in (BELOW, RANGE):
                bad = a.below if name == BELOW else [*a.below, *a.over]
                wrong = z3.Or(*bad) if bad else None
            else:
                claim = by_name[name]
                wrong = a.then(claim.wrong) if _cells_of(claim.wrong) & a.touched else None
            if wrong is None:
                yield Pair(action, name, Answer.PROVED, 0.0, frozenset(() if name in (BELOW, RANGE) else (name,)))
                continue
            yield self._asked(action, name, wrong, a.moves, begun)
        self.solver.pop()

    def _asking(self, action: str) -> _Asking:
        """What is said of an action, once for all claims."""
        if action not in self._said:
            moves = [x for x in self.t.moves if x.action.name == action]
            chosen = [z3.Bool(f"{action} of {x.node}") for x in moves]
            new, below, over = self._after(moves, chosen)
            then = Words(self.system, {c: self.before.cell(c) for c in self._cells()} | new)
            guards = (z3.Implies(c, self.before(x.guard)) for c, x in zip(chosen, moves, strict=True))
            supposed = (z3.Or(*chosen), *guards, z3.AtMost(*chosen, 1)) if moves else ()
            touched = frozenset(cell for x in moves for cell in x.assigned)
            self._said[action] = _Asking(list(zip(chosen, moves, strict=True)), supposed, then, below, over, touched)
        return self._said[action]

    def _after(self, moves: Sequence[Move], chosen: Sequence[Any]) -> tuple[dict[Cell, Any], list[Any], list[Any]]:
        """What cells become by whichever move is chosen, and the conditions under which a number falls below 0, or
        grows beyond its largest."""
        new: dict[Cell, Any] = {}
        below: list[Any] = []
        over: list[Any] = []
        for c, move in zip(chosen, moves, strict=True):
            for cell, e in move.assigned.items():
                top = self.system.variables[cell[0]].top
                old = new.get(cell, self.before.cell(cell))
                if top == 1 and (flag := self.before.flagged(e)) is not None:
                    new[cell] = z3.If(c, flag, old)
                    continue
                value = self.before(e)
                below.append(z3.And(c, value < 0))
                over.append(z3.And(c, value > top))
                new[cell] = z3.If(c, value == 1 if top == 1 else value, old)
        return new, below, over

    def _asked(self, action: str, name: str, wrong: Any, moves: list[tuple[Any, Move]], begun: float) -> Pair:
        self.solver.push()
        self.solver.add(wrong)
        found = asked(self.solver, self.holding.values())
        answer, uses, counterexample, reason = Answer.UNKNOWN, frozenset[str](), None, ""
        if found == z3.unsat:
            core = set(map(str, self.solver.unsat_core()))
            answer, uses = Answer.PROVED, frozenset(n for n, h in self.holding.items() if str(h) in core)
        elif found == z3.sat:
            smallest = self._smallest(self.solver.model())
            answer, counterexample = Answer.BROKEN, self._confirmed(name, moves, smallest)
        else:
            reason = f"z3 gave up after {self.seconds:g} s"
        self.solver.pop()
        return Pair(action, name, answer, time.perf_counter() - begun, uses, counterexample, reason)

    def _smallest(self, model: Any) -> Any:
        """A model with as few nodes as possible, and then with as few flags set and numbers above 0."""
        number_of = {v.key: i for i, v in enumerate(self.system.variables)}
        rows = range(1, self.system.nodes + 1)
        there = [z3.Or(*(self.before.cell((number_of[k], n)) for k in self.system.exists)) for n in rows]
        some = [at if z3.is_bool(at) else at != 0 for at in map(self.before.cell, self._cells())]
        for what in (there, some):
            while count := sum(z3.is_true(model.eval(x, model_completion=True)) for x in what):
                self.solver.push()
                self.solver.add(z3.AtMost(*what, count - 1))
                found = asked(self.solver, self.holding.values())
                if found == z3.sat:
                    model = self.solver.model()
                self.solver.pop()
                if found != z3.sat:
                    break
            self.solver.add(z3.AtMost(*what, count))
        return model

    def _confirmed(self, name: str, moves: list[tuple[Any, Move]], model: Any) -> Counterexample:
        """A model as states, done again without the solver. Raises MismatchError where it is none."""
        values = {cell: number_of(model.eval(self.before.cell(cell), model_completion=True)) for cell in self._cells()}
        move = next(x for c, x in moves if z3.is_true(model.eval(c, model_completion=True)))
        return confirmed(self, name, values, move)

    def _columns(self, claim: Claim, state: Values) -> tuple[Any, ...]:
        """How columns judge a rule in a state; nothing of what only the model can say."""
        if claim.auxiliary:
            return ()
        found = self.m.violations(claim.name, state)
        alike = not any(evaluate(c.wrong, state) for c in self.claims if c.auxiliary)
        if not found and alike:  # else the state is no tree of nodes, and only its pages can be judged
            raise MismatchError(f"the solver says that {claim.name} is violated, and columns that it is not")
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Asking:
    """An action of whichever node: its moves by the truth values that choose one, what is true of those, the state
    after, how a number leaves its range on either side, and all cells that it assigns."""

    moves: list[tuple[Any, Move]]
    supposed: tuple[Any, ...]
    then: Words
    below: list[Any]
    over: list[Any]
    touched: frozenset[Cell]


def confirmed(i: Induction, name: str, before: Values, move: Move) -> Counterexample:
    """A state, a move and the state after it as a counterexample. Raises MismatchError unless all of it is so."""
    wrong = [c.name for c in i.claims if evaluate(c.wrong, before)]
    if wrong:
        raise MismatchError(f"the state before is not one in which every claim holds: {wrong[0]} does not")
    then = after(move, before)
    if then is None:
        raise MismatchError(f"{move.action.name} of node {move.node} cannot happen in the state before")
    if name in (BELOW, RANGE):
        tops = [(i.system.variables[c[0]].top, n) for c, n in then.items()]
        if all(0 <= n and (name == BELOW or n <= top) for top, n in tops):
            raise MismatchError("every number of the state after is in its range")
        return Counterexample(i.m, before, move, then)
    claim = next(c for c in i.claims if c.name == name)
    if not evaluate(claim.wrong, then):
        raise MismatchError(f"{name} holds in the state after")
    return Counterexample(i.m, before, move, then, i._columns(claim, then))


def _cells_of(e: E) -> set[Cell]:
    return {x.args for x in e.parts() if x.op == "bits"}
