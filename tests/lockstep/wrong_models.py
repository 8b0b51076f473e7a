"""Models that are wrong on purpose, in one condition of one guard, and where that shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sanitree.checker.blame.causes import conjuncts
from sanitree.checker.explore.results import Goal
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import Move, transitions
from sanitree.checker.lockstep.program import Doing, programs
from sanitree.checker.perform.perform import Run
from sanitree.checker.perform.runs import run_of
from sanitree.checker.perform.scheduled import scheduled
from sanitree.checker.symbolic import E, compared, conj, const, disj, neg
from sanitree.invariants.sentences import sentence
from sanitree.invariants.terms import Apply, Op, Term, make
from sanitree.invariants.vocabulary import Component, Policy
from sanitree.models.protocol.pages import Pages
from sanitree.models.protocol.pages.config import binary
from sanitree.models.protocol.pages.duplicates import with_duplicates
from sanitree.models.protocol.system import Action, System

NEGATED, LEFT_OUT = "negated", "left-out"

NOT_OURS = ("the number of it among the requests", "the number of it among the transfers", "n.hits")
"""In conditions that lockstep does not judge: the explorer's bounds, of which a live cache has none, and hits, which
are the cache's to count."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """action: as it is in the mutant. number, part: the condition, by its place in the guard and in words, which name
    the cache's capacities."""

    how: str
    number: int
    part: str
    action: Action

    @property
    def key(self) -> str:
        """The same in models of any size."""
        return f"{self.how} {self.action.name} {self.number}"

    @property
    def name(self) -> str:
        return f"{self.how} {self.action.name}: {self.part}"


def mutants(system: System) -> Iterator[Mutant]:
    """Every one of a model."""
    for a in system.actions:
        parts = conjuncts(a.guard)
        for i, part in enumerate(parts):
            said = sentence(part)
            if any(x in said for x in NOT_OURS):
                continue
            others = parts[:i] + parts[i + 1 :]
            yield Mutant(NEGATED, i, said, replace(a, guard=_all((*others, make(Apply, Op.NOT, (part,))))))
            if others:
                yield Mutant(LEFT_OUT, i, said, replace(a, guard=_all(others)))


def _all(parts: tuple[Term, ...]) -> Term:
    return parts[0] if len(parts) == 1 else make(Apply, Op.AND, parts)


def doing(system: System, m: Mutant) -> Doing:
    """The action of a mutant as functions."""
    return programs(replace(system, actions=(m.action,))).actions[m.action.name]


# Where they show.


def indifferent(policy: Policy, components: tuple[Component, ...], wanted: set[str]) -> set[str]:
    """Of mutants that leave out a condition, by key: those that allow nothing more in any state of a small tree."""
    system = with_duplicates(Pages(policy, components, binary(4), window=2))
    legal = {(x.action.name, x.node): x.guard for x in transitions(system).moves}
    goals = []
    for mutant in mutants(system):
        if mutant.how == LEFT_OUT and mutant.key in wanted:
            goals.append(Goal(mutant.key, _anywhere(more(system, mutant, legal))))
    found = search(transitions(system), goals=goals, cores=1).goals
    return {g.name for g in found if g.trace is None} if found else set()


def _anywhere(where: Mapping[int, E]) -> E:
    found = const(False)
    for e in where.values():
        found = disj(found, e)
    return found


def more(system: System, m: Mutant, legal: Mapping[tuple[str, int], E]) -> dict[int, E]:
    """Of each page, where the mutant alone allows its action, and that would change something."""
    found = {}
    for x in transitions(replace(system, actions=(m.action,), rules=())).moves:
        here = conj(conj(x.guard, _changes(x)), neg(legal.get((x.action.name, x.node), const(False))))
        found[x.node] = here
    return found


def _changes(x: Move) -> E:
    changed = const(False)
    for cell, value in x.assigned.items():
        changed = disj(changed, neg(compared(Op.EQ, value, E("bits", cell))))
    return changed


@dataclass(frozen=True, slots=True)
class Lead:
    """A run to where something can be asked of a page. of: a mutant's key; of a control, the action that the model
    allows there."""

    of: str
    control: bool
    action: str
    page: int
    run: Run


def leads(m: Pages, wanted: set[str]) -> list[Lead]:
    """To where each mutant shows, of each page, and to where each action may happen, among what a cache can do."""
    system = with_duplicates(m)
    t = transitions(scheduled(system, m))
    legal = {(x.action.name, x.node): x for x in transitions(system).moves}
    guards = {at: x.guard for at, x in legal.items()}
    asked: list[tuple[str, bool, str, int, E]] = []
    names = set()
    for mutant in mutants(system):
        if mutant.key in wanted:
            names.add(mutant.action.name)
            if mutant.how == LEFT_OUT:
                asked += [
                    (mutant.key, False, mutant.action.name, n, e) for n, e in more(system, mutant, guards).items()
                ]
    asked += [(a, True, a, n, conj(x.guard, _changes(x))) for (a, n), x in legal.items() if a in names]
    goals = [Goal(f"{of} {page}", e) for of, _, _, page, e in asked]
    found = search(t, goals=goals, cores=1).goals
    return [
        Lead(of, control, action, page, run_of(t, g.trace.moves))
        for (of, control, action, page, _), g in zip(asked, found, strict=True)
        if g.trace is not None
    ]
