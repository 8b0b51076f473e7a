"""The model with ranks: each has a state of its own, and copies land on each at their own time.

The ranks of one server are given the same requests, so a move of the model is one of all ranks at once; only the
arrival of bytes is a move of one rank. An acknowledgement is taken where its copy has landed on all of them, which is
what a cache's collective calls are for. That the ranks then stay alike is not assumed: it is what is searched. The
rules are those of `checker.agreement` that a state shows; of the rules about one cache, rank 0 is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce

from sanitree.checker.agreement import AGREEMENT, Agreement
from sanitree.checker.explore.evaluate import evaluate
from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import Cell, Forbidden, Move, Transitions
from sanitree.checker.report import Evidence
from sanitree.checker.symbolic import FALSE, TRUE, E, choose, compared, conj, const, disj, neg
from sanitree.invariants.terms import Op
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.system import Action, Variable
from sanitree.models.snapshot import Key

RULES: Mapping[str, Agreement] = {a.id: a for a in AGREEMENT if a.id != "same_collectives"}
"""Those that a state shows. What a rank asks of the others, no state of the model does."""

TAKES_ITS_OWN_ACKS, NO_ROOM = "rank_takes_its_own_acks", "rank_has_no_room_on_the_host"
RANK_FAULTS = (TAKES_ITS_OWN_ACKS, NO_ROOM)
"""Of the last rank, by the names that they have in the reference cache. The second has a page less on the host."""

_IN_FLIGHT = (w.IN_WRITE, w.IN_LOAD)
_LANDING = {"copy_write", "copy_load"}
_TAKING = {"ack_write", "ack_load"}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How a state violates a rule about ranks."""

    rule: Agreement
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """So many ranks of one model. each: the moves of each rank, as if it were alone, in the cells that are its own."""

    count: int
    variables: tuple[Variable, ...]
    each: tuple[Mapping[tuple[str, int], Move], ...]
    fault: str | None

    def own(self, state: Values, rank: int) -> Values:
        """A rank's part of a state, in the cells of one that is alone."""
        size = len(self.variables)
        return {(i - rank * size, node): n for (i, node), n in state.items() if i // size == rank}

    def disagreement(self, rule: str, state: Values) -> Disagreement | None:
        """How a state violates a rule, by its name; None where it does not. Nothing of the search is in it."""
        known: dict[E, int] = {}
        told: list[Evidence] = []
        for c in self.compared(rule):
            values = [evaluate(e, state, known) for e in c.each]
            if len(set(values)) > 1:
                said = map(bool, values) if c.truth else values
                told += [Evidence(f"{c.what}, on rank {r}", x) for r, x in enumerate(said)]
        return Disagreement(RULES[rule], tuple(told)) if told else None

    def compared(self, rule: str) -> Iterator[Compared]:
        """What a rule says is the same on all ranks."""
        match rule:
            case "same_acks":
                yield from (self._cell(i, n) for i, v, n in self._cells() if v.key in _IN_FLIGHT)
            case "same_decisions":
                for action, node in dict.fromkeys(at for moves in self.each for at in moves):
                    if action not in _LANDING | _TAKING:
                        moves = (own.get((action, node)) for own in self.each)
                        guards = tuple(m.guard if m else FALSE for m in moves)
                        yield Compared(f"{action} of node {node} may happen", guards, True)
            case "same_tree":
                for i, v, n in self._cells():
                    if v.key.name == "right":
                        yield self._arrived(i, n)
                    elif v.key not in (*_IN_FLIGHT, *w.COPIED.values()):
                        yield self._cell(i, n)

    def _cells(self) -> Iterator[tuple[int, Variable, int]]:
        nodes = sorted({cell[1] for moves in self.each for m in moves.values() for cell in m.assigned})
        return ((i, v, n) for i, v in enumerate(self.variables) for n in nodes)

    def _bits(self, place: int, node: int) -> tuple[E, ...]:
        return tuple(E("bits", (place + r * len(self.variables), node)) for r in range(self.count))

    def _cell(self, place: int, node: int) -> Compared:
        v = self.variables[place]
        return Compared(f"{v.key} of node {node}", self._bits(place, node), v.top == 1)

    def _arrived(self, place: int, node: int) -> Compared:
        """Which bytes are where is each rank's own while something is in flight there."""
        cell, idle = self._cell(place, node), TRUE
        for i in (i for i, v in enumerate(self.variables) if v.key in _IN_FLIGHT):
            idle = reduce(conj, (neg(compared(Op.LT, const(0), e)) for e in self._bits(i, node)), idle)
        return replace(cell, each=tuple(choose(idle, e, const(0)) for e in cell.each))


@dataclass(frozen=True, slots=True)
class Compared:
    """Something that is the same on all ranks, in words and of each. truth: it is true or not; a number else."""

    what: str
    each: tuple[E, ...]
    truth: bool

    def differs(self) -> E:
        """It is not the same on all."""
        first, *others = self.each
        return reduce(disj, (neg(_same(first, e)) for e in others), FALSE)


def ranks_of(t: Transitions, count: int, last: Transitions, fault: str | None) -> tuple[Transitions, Together]:
    """So many ranks of a model, the last of which may have less room. fault: of the last rank, by name."""
    size = len(t.system.variables)
    each = tuple(
        {(m.action.name, m.node): _shifted(m, r * size) for m in (t if r < count - 1 else last).moves}
        for r in range(count)
    )
    made = Together(count, t.system.variables, each, fault)
    moves = tuple(_moves(made))
    agreed = (Forbidden(x, reduce(disj, (c.differs() for c in made.compared(x)), FALSE)) for x in RULES)
    rules = (*agreed, *t.rules)
    variables = tuple(replace(v, key=_of_rank(v.key, r)) for r in range(count) for v in t.system.variables)
    actions = tuple({m.action.name: m.action for m in moves}.values())
    first = {(_of_rank(key, r), n): x for (key, n), x in t.system.first.items() for r in range(count)}
    system = replace(t.system, variables=variables, actions=actions, first=first, promises=())
    return Transitions(system, moves, rules, t.unsaid), made


def _of_rank(key: Key, rank: int) -> Key:
    return key if not rank else key._replace(name=f"{key.name}@{rank}")


def _moves(ranks: Together) -> Iterator[Move]:
    named: dict[tuple[str, int], Action] = {}

    def alone(m: Move, rank: int) -> Move:
        """A move of one rank; its action is one for all nodes, as every action is."""
        name = f"{m.action.name}@{rank}"
        return replace(m, action=named.setdefault((m.action.name, rank), replace(m.action, name=name)))

    for at in dict.fromkeys(at for moves in ranks.each for at in moves):
        own = [moves.get(at) for moves in ranks.each]
        if at[0] in _LANDING:
            yield from (alone(m, r) for r, m in enumerate(own) if m is not None)
            continue
        there = [m for m in own if m is not None]
        guard = reduce(conj, (m.guard for m in there), TRUE if len(there) == len(own) else FALSE)
        assigned = {cell: e for m in there for cell, e in m.assigned.items()}
        if guard is not FALSE:
            yield Move(there[0].action, at[1], guard, assigned)
        if at[0] in _TAKING and ranks.fault == TAKES_ITS_OWN_ACKS and own[-1] is not None:
            yield alone(replace(own[-1], guard=conj(own[-1].guard, neg(guard))), ranks.count - 1)


def _same(a: E, b: E) -> E:
    if a is b:
        return TRUE
    if a.op in ("bits", "if"):
        return compared(Op.EQ, a, b)
    return disj(conj(a, b), conj(neg(a), neg(b)))


def _shifted(m: Move, by: int) -> Move:
    if not by:
        return m
    known: dict[E, E] = {}
    assigned: dict[Cell, E] = {(i + by, n): _moved(e, by, known) for (i, n), e in m.assigned.items()}
    return replace(m, guard=_moved(m.guard, by, known), assigned=assigned)


def _moved(e: E, by: int, known: dict[E, E]) -> E:
    """The same of other cells."""
    if e not in known:
        if e.op == "bits":
            known[e] = E("bits", (e.args[0] + by, e.args[1]))
        else:
            args: Iterable[object] = (_moved(a, by, known) if isinstance(a, E) else a for a in e.args)
            known[e] = E(e.op, tuple(args))
    return known[e]
