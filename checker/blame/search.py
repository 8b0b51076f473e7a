"""For each cause: is there a legal tree, and a call that goes wrong in that way, after which the tree is as was seen?

The state after is the snapshot's, as far as it shows one. It is gone back from it, move by move of one call, as far
as what is known of the state after tells that a move can have been the last; the state before the first is left
to z3, but for being legal: every rule holds in it, and all else that is true of each state that can be reached.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from typing import Any

import z3

from sanitree.checker.blame.books import fields_beside, of_pages
from sanitree.checker.blame.causes import Assumed, Cause
from sanitree.checker.blame.partial import Partial, before, substituted, value
from sanitree.checker.explore.arithmetic import compare
from sanitree.checker.explore.confirm import MismatchError
from sanitree.checker.explore.evaluate import after as done
from sanitree.checker.explore.evaluate import evaluate
from sanitree.checker.explore.ground import Ground, UnsaidError
from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import Cell, Move, Transitions, assigned, transitions
from sanitree.checker.prove.asking import asked
from sanitree.checker.prove.claims import Claim, claims
from sanitree.checker.prove.connectives import is_number, number_of
from sanitree.checker.prove.words import Words
from sanitree.checker.report import Report
from sanitree.checker.symbolic import FALSE, TRUE, E, const, disj
from sanitree.invariants.calls import Operation
from sanitree.invariants.terms import Op
from sanitree.invariants.vocabulary import Sort
from sanitree.models.protocol.pages.abstraction import Abstraction
from sanitree.models.protocol.pages.calls import STAGES, one_call
from sanitree.models.protocol.system import Action, System


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """A legal state, the moves of one call, of which the first goes wrong as the cause says, and every state from the
    first on, the last as it was seen."""

    cause: Cause
    moves: tuple[Move, ...]
    states: tuple[Values, ...]

    @property
    def changed(self) -> int:
        """How many variables are other than they were."""
        return sum(v != self.states[-1][cell] for cell, v in self.states[0].items())


class Search:
    """A snapshot's state, ready to be asked about causes. operations: that the last call may have been of.
    seconds: for each question to z3."""

    def __init__(
        self, a: Abstraction, legal: System, seconds: float, operations: Sequence[Operation] = tuple(STAGES)
    ) -> None:
        self.a, self.system, self.operations = a, legal, operations
        self.ground = Ground(legal)
        self.t: Transitions = transitions(legal, self.ground)
        self.claims: tuple[Claim, ...] = claims(self.t, self.ground)
        self.number_of = {v.key: i for i, v in enumerate(legal.variables)}
        self.seen: dict[Cell, int] = {(self.number_of[k], n): v for (k, n), v in a.known.items()}
        self.cells = [(i, n) for i in range(len(legal.variables)) for n in range(1, legal.nodes + 1)]
        self.before = Words(legal)
        self.unsure = False
        self.touches: dict[Move, set[Cell]] = {}
        self.moves: dict[Cause, list[Move]] = {}
        self.assigned = {(m.action.assigns, m.node): m.assigned for m in self.t.moves}
        self.tails: dict[tuple[Cause, int], list[tuple[tuple[Move, ...], Partial]]] = {}
        self.asked = 0
        self.solver = z3.SolverFor("QF_FD")
        self.solver.set("timeout", int(seconds * 1000))
        self.solver.add(*(z3.Not(self.before(c.wrong)) for c in self.claims))
        self.kept: dict[Cell, Any] = {}
        for cell in self.cells:
            top, at = legal.variables[cell[0]].top, self.before.cell(cell)
            if top > 1:
                self.solver.add(at >= 0, at <= top)
            if (seen := self.seen.get(cell)) is not None:
                self.kept[cell] = z3.Bool(f"kept {cell}")
                self.solver.add(z3.Implies(self.kept[cell], is_number(at, seen)))

    def legal(self) -> bool | None:
        """Whether what is seen is a legal state already, as far as the model has words for it."""
        self.solver.push()
        self.solver.add(*map(self.before, self._strays({})))
        found = self._check(frozenset())
        self.solver.pop()
        return None if found == z3.unknown else bool(found == z3.sat)

    def violated(self) -> tuple[str, ...]:
        """Rules that what is seen violates, whatever is left open."""
        done: dict[E, int | None] = {}
        return tuple(r.rule for r in self.t.rules if value(r.wrong, self.seen, done) == 1)

    def explained(self, cause: Cause, length: int) -> Explanation | None:
        """How a call of so many moves leads to what is seen, its first going wrong; None where it does not."""
        wrong = self._moves(cause)
        for tail, known in self._tails(cause, length - 1):
            for m in wrong:
                moves = (m, *tail)
                possible = self._calls(cause, moves) and self._belong(cause, moves) and before(m, known) is not None
                if possible and (found := self._asked(cause, moves)) is not None:
                    return found
        return None

    def repeated(self, cause: Cause, pages: Collection[int], most: int) -> Explanation | None:
        """How one call goes wrong at several of these pages in the same way, at so many of them at most."""
        wrong = [m for m in self._moves(cause) if m.node in pages]
        tails: list[tuple[tuple[Move, ...], Partial]] = [((), self.seen)]
        for _ in range(most):
            tails = [
                ((m, *tail), left) for tail, known in tails for m in wrong
                if all(m.node != x.node for x in tail) and self._one_call((m, *tail))
                and (left := before(m, known)) is not None
            ]  # fmt: skip
            for moves, _ in tails:
                if len(moves) > 1 and (found := self._asked(cause, moves)) is not None:
                    return found
        return None

    def outdated(self, report: Report) -> Iterator[Explanation]:
        """Legal moves that lead to the tree that was seen, before which what follows from it was as was seen too."""
        found: list[E] = []
        fields: list[str] = []
        for f in report.findings:
            beside = fields_beside(f.check, list(self.number_of))
            if f.violated and f.check.rule.scope is Sort.NODE and beside:
                with suppress(UnsaidError):
                    found += of_pages(f, self.a, self.ground.about(f.check), report.snapshot)
                    fields += beside
        if not found:
            return
        what = " and ".join(dict.fromkeys(fields))
        then = [substituted(e, {}, self.ground.top, {}) for e in found]
        what = " and ".join(dict.fromkeys(fields))
        # The model has no words for some of what a call does: where none of it explains, any call's is tried.
        yield from self._moved_on(what, then, self.operations) or self._moved_on(what, then, tuple(STAGES))

    def _moved_on(self, what: str, then: Sequence[E], operations: Sequence[Operation]) -> list[Explanation]:
        explained = []
        for m in self.t.moves:
            if one_call([m.action.name], operations) and before(m, self.seen) is not None:
                name, told = f"{m.action.name} does not bring {what} up to date", f"{what} is right of the tree before."
                cause = Cause(Assumed.UPDATE, name, told, (m.action,))
                if (e := self._asked(cause, (m,), then)) is not None:
                    explained.append(e)
        return explained

    def _calls(self, cause: Cause, moves: Sequence[Move]) -> bool:
        """Whether it is one call; or two, where nothing shows what a known fault did before the next one."""
        if self._one_call(moves):
            return True
        names = [m.action.name for m in moves]
        return cause.assumed is Assumed.FAULT and len(moves) == 2 and one_call(names[:1])

    def _moves(self, cause: Cause) -> list[Move]:
        if cause not in self.moves:
            self.moves[cause] = [m for action in cause.actions for m in self._grounded(action)]
        return self.moves[cause]

    def _grounded(self, a: Action) -> Iterator[Move]:
        """An action's moves; what it assigns is that of others too, which ask for other conditions."""
        for node in range(1, self.system.nodes + 1):
            guard = self.ground.condition(a.guard, node)
            if guard is not FALSE:
                key = a.assigns, node
                if key not in self.assigned:
                    self.assigned[key] = assigned(self.ground, a, node)
                yield Move(a, node, guard, self.assigned[key])

    def _tails(self, cause: Cause, length: int) -> list[tuple[tuple[Move, ...], Partial]]:
        """What may have followed in the same call, with what is known of the state before it."""
        if length == 0:
            return [((), self.seen)]
        if (cause, length) not in self.tails:
            changed = {action.name for action in cause.actions}
            moves = [*(m for m in self.t.moves if m.action.name not in changed), *self._moves(cause)]
            self.tails[cause, length] = [
                ((m, *tail), left) for tail, known in self._tails(cause, length - 1) for m in moves
                if self._one_call((m, *tail)) and (left := before(m, known)) is not None
            ]  # fmt: skip
        return self.tails[cause, length]

    def _belong(self, cause: Cause, moves: Sequence[Move]) -> bool:
        """Whether no legal move might as well have come first: then what was before is a legal state too."""
        written: set[Cell] = set()
        for m in moves:
            if written and m.action not in cause.actions and written.isdisjoint(self._touches(m)):
                return False
            written |= self._changes(m)
        return True

    def _changes(self, m: Move) -> set[Cell]:
        """What a move changes, but for slots and hits: each pool is one for all, and who asks for room needs it."""
        return {c for c in m.assigned if self.system.variables[c[0]].key.name not in ("taken", "hits")}

    def _touches(self, m: Move) -> set[Cell]:
        """The same, with what it asks for."""
        if m not in self.touches:
            self.touches[m] = self._changes(m) | {e.args for e in m.guard.parts() if e.op == "bits"}
        return self.touches[m]

    def _one_call(self, moves: Sequence[Move]) -> bool:
        return one_call([m.action.name for m in moves], self.operations)

    def _asked(self, cause: Cause, moves: tuple[Move, ...], first: Sequence[E] = ()) -> Explanation | None:
        """first: what is true of the state before."""
        self.asked += 1
        touched = {cell for m in moves for cell in m.assigned}
        cells = {c: const(v) for c, v in self.seen.items() if c not in touched}
        wanted: list[E] = [*first]
        for m in moves:
            done: dict[E, E] = {}
            wanted.append(self._now(m.guard, cells, done))
            new = {cell: self._now(e, cells, done) for cell, e in m.assigned.items()}
            wanted += [x for cell, e in new.items() for x in self._in_range(cell, e)]
            cells |= new
        wanted += [compare(Op.EQ, cells[c], const(v), self.ground.top) for c, v in self.seen.items() if c in touched]
        wanted += self._strays(cells)
        if FALSE in wanted:
            return None
        self.solver.push()
        self.solver.add(*(self.before(e) for e in dict.fromkeys(wanted) if e is not TRUE))
        found = self._check(touched)
        model = self.solver.model() if found == z3.sat else None
        self.solver.pop()
        self.unsure |= found == z3.unknown
        if model is None:
            return None
        state = {c: number_of(model.eval(self.before.cell(c), model_completion=True)) for c in self.cells}
        return self._confirmed(cause, moves, state)

    def _check(self, touched: Collection[Cell]) -> Any:
        """Asks, all that was seen being kept but what is touched."""
        return asked(self.solver, (k for c, k in self.kept.items() if c not in touched))

    def _now(self, e: E, cells: Mapping[Cell, E], done: dict[E, E]) -> E:
        return substituted(e, cells, self.ground.top, done)

    def _in_range(self, cell: Cell, e: E) -> Iterator[E]:
        top = self.system.variables[cell[0]].top
        if top > 1:
            yield compare(Op.LE, const(0), e, self.ground.top)
            yield compare(Op.LE, e, const(top), self.ground.top)

    def _strays(self, cells: Mapping[Cell, E]) -> Iterator[E]:
        """What nothing in the tree accounts for is a spare page's."""
        for group in self.a.somebody():
            at = [(self.number_of[k], n) for k, n in group if k in self.number_of]
            some = (compare(Op.LT, const(0), cells.get(c, E("bits", c)), self.ground.top) for c in at)
            yield reduce(disj, some, FALSE)

    def _confirmed(self, cause: Cause, moves: tuple[Move, ...], first: Values) -> Explanation:
        """Done again without the solver. Raises MismatchError where it does not lead to what was seen."""
        if wrong := [c.name for c in self.claims if evaluate(c.wrong, first)]:
            raise MismatchError(f"the state before is not legal: {wrong[0]} does not hold")
        states = [first]
        for m in moves:
            if (later := done(m, states[-1])) is None:
                raise MismatchError(f"{m.action.name} of page {m.node} cannot happen")
            states.append(later)
        if any(states[-1][cell] != value for cell, value in self.seen.items()):
            raise MismatchError("the state after is not what was seen")
        return Explanation(cause, moves, tuple(states))
