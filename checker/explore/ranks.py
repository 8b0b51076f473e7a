"""The model with ranks: each has a state of its own, and copies land on each at their own time.

The ranks of one server are given the same requests, so a move of the model is one of all ranks at once; only the
arrival of bytes is a move of one rank. An acknowledgement is taken where its copy has landed on all of them, which is
what a cache's collective calls are for. That the ranks then stay alike is not assumed: it is what is searched. The
rules are those of `checker.agreement`, as far as a state shows them; of the rules about one cache, rank 0 is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce

from sanitree.checker.agreement import AGREEMENT, Agreement
from sanitree.checker.explore.evaluate import evaluate
from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import Cell, Forbidden, Move, Transitions
from sanitree.checker.report import Evidence
from sanitree.checker.symbolic import FALSE, TRUE, E, compared, conj, const, disj, neg
from sanitree.invariants.terms import Op
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.system import Variable
from sanitree.models.snapshot import Key

RULES: Mapping[str, Agreement] = {a.id: a for a in AGREEMENT}

_COPIED = {"write": w.WRITE_COPIED, "load": w.LOAD_COPIED}
_IN_FLIGHT = {"write": w.IN_WRITE, "load": w.IN_LOAD}
_LANDING = {"copy_write", "copy_load"}
_TAKING = {"ack_write", "ack_load"}
_OWN = frozenset({"right"})
"""With what says that a copy has landed: what bytes are where is each rank's own until it is acknowledged."""


@dataclass(frozen=True, slots=True)
class RankFault:
    """What is wrong with the last rank, by the name that it has in the reference cache. rule: that must find it."""

    name: str
    rule: str
    what: str


RANK_FAULTS: Mapping[str, RankFault] = {f.name: f for f in (
    RankFault("rank_skips_the_collective", "same_collectives",
              "A rank on which nothing is done does not ask the others how far they are."),
    RankFault("rank_takes_its_own_acks", "same_acks",
              "A rank takes every acknowledgement that is done there, whatever the others say."),
    RankFault("rank_has_no_room_on_the_host", "same_decisions",
              "One rank has a page less of room on the host."),
)}  # fmt: skip


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
        for what, each in self.compared(rule):
            values = [evaluate(e, state, known) for e in each]
            if len(set(values)) > 1:
                said = map(bool, values) if max(values) == 1 else values
                told += [Evidence(f"{what}, on rank {r}", x) for r, x in enumerate(said)]
        return Disagreement(RULES[rule], tuple(told)) if told else None

    def compared(self, rule: str) -> Iterator[tuple[str, tuple[E, ...]]]:
        """What a rule says is the same on all ranks, in words and of each rank."""
        match rule:
            case "same_collectives":
                yield from self._collectives()
            case "same_acks":
                yield from self._cells(lambda v: v.key in _IN_FLIGHT.values())
            case "same_decisions":
                for action, node in dict.fromkeys(at for moves in self.each for at in moves):
                    if action not in _LANDING | _TAKING:
                        guards = (moves.get((action, node)) for moves in self.each)
                        yield f"{action} of node {node} may happen", tuple(m.guard if m else FALSE for m in guards)
            case "same_tree":
                landed = _COPIED.values()
                yield from self._cells(lambda v: v.key not in landed and v.key.name not in _OWN)

    def _cells(self, chosen: Callable[[Variable], bool]) -> Iterator[tuple[str, tuple[E, ...]]]:
        nodes = sorted({cell[1] for moves in self.each for m in moves.values() for cell in m.assigned})
        for i, v in enumerate(self.variables):
            for node in nodes if chosen(v) else ():
                bits = tuple(E("bits", (i + r * len(self.variables), node)) for r in range(self.count))
                yield f"{v.key} of node {node}", bits

    def _collectives(self) -> Iterator[tuple[str, tuple[E, ...]]]:
        """While anything is in flight, all ask; with the fault the last does where something has landed there."""
        skips = self.fault == "rank_skips_the_collective"
        for kind, copied in _COPIED.items():
            flying = self._any(_IN_FLIGHT[kind], 0)
            last = conj(flying, self._any(copied, self.count - 1)) if skips else flying
            yield f"it asks how far {kind}s are", (*[flying] * (self.count - 1), last)

    def _any(self, key: Key, rank: int) -> E:
        place = next(i for i, v in enumerate(self.variables) if v.key == key) + rank * len(self.variables)
        cells = sorted({cell for m in self.each[rank].values() for cell in m.assigned if cell[0] == place})
        return reduce(disj, (compared(Op.LT, const(0), E("bits", c)) for c in cells), FALSE)


def ranks_of(t: Transitions, count: int, last: Transitions, fault: str | None) -> tuple[Transitions, Together]:
    """So many ranks of a model, the last of which may have less room. fault: of the last rank, by name."""
    size = len(t.system.variables)
    each = tuple(
        {(m.action.name, m.node): _shifted(m, r * size) for m in (t if r < count - 1 else last).moves}
        for r in range(count)
    )
    made = Together(count, t.system.variables, each, fault)
    moves = tuple(_moves(made))
    agreed = [Forbidden(rule, reduce(disj, map(_differ, made.compared(rule)), FALSE)) for rule in RULES]
    rules = (*(f for f in agreed if f.wrong is not FALSE), *t.rules)
    unsaid = (*t.unsaid, *(f.rule for f in agreed if f.wrong is FALSE))
    variables = tuple(replace(v, key=_of_rank(v.key, r)) for r in range(count) for v in t.system.variables)
    actions = tuple({m.action.name: m.action for m in moves}.values())
    first = {(_of_rank(key, r), n): x for (key, n), x in t.system.first.items() for r in range(count)}
    system = replace(t.system, variables=variables, actions=actions, first=first, promises=())
    return Transitions(system, moves, rules, unsaid), made


def _of_rank(key: Key, rank: int) -> Key:
    return key if not rank else key._replace(name=f"{key.name}@{rank}")


def _moves(ranks: Together) -> Iterator[Move]:
    for at in dict.fromkeys(at for moves in ranks.each for at in moves):
        own = [moves.get(at) for moves in ranks.each]
        if at[0] in _LANDING:
            for r, m in enumerate(own):
                if m is not None:
                    yield replace(m, action=replace(m.action, name=f"{at[0]}@{r}"))
            continue
        there = [m for m in own if m is not None]
        guard = reduce(conj, (m.guard for m in there), TRUE if len(there) == len(own) else FALSE)
        assigned = {cell: e for m in there for cell, e in m.assigned.items()}
        if guard is not FALSE:
            yield Move(there[0].action, at[1], guard, assigned)
        if at[0] in _TAKING and ranks.fault == "rank_takes_its_own_acks" and own[-1] is not None:
            alone = conj(own[-1].guard, neg(guard))
            yield replace(own[-1], action=replace(own[-1].action, name=f"{at[0]}@{ranks.count - 1}"), guard=alone)


def _differ(of: tuple[str, tuple[E, ...]]) -> E:
    """What is said of each rank is not the same on all."""
    first, *others = of[1]
    return reduce(disj, (neg(_same(first, e)) for e in others), FALSE)


def _same(a: E, b: E) -> E:
    if a is b:
        return TRUE
    if a.op == "bits":
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
