"""The caches that a mutant must judge otherwise than its rule does somewhere: legal ones and ones with a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from sanitree.checker.columns import Evaluator
from sanitree.invariants.rules import Rule, checks
from sanitree.models.snapshot import Snapshot
from tests.legal import PLANS, legal
from tests.planted.faults import FAULTS
from tests.planted.plant import planted
from tests.planted.tools import Fault

F, C = TypeVar("F"), TypeVar("C")
Verdicts = dict[str, tuple[int, ...]]


class Case:
    """A cache, and what its rules find there."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.evaluator = Evaluator(snapshot)
        self.known: dict[Rule, Verdicts] = {}

    def judge(self, rule: Rule) -> Verdicts:
        """The rows at which the rule is violated, by what it is repeated for."""
        found = (self.evaluator.judge(c) for c in checks([rule], self.snapshot.settings))
        return {f.check.name: f.violated for f in found if f.violated}

    def tells_apart(self, rule: Rule, changed: Rule) -> bool:
        if rule not in self.known:
            self.known[rule] = self.judge(rule)
        return self.judge(changed) != self.known[rule]


def cases_for(
    rule: Rule, faults: Sequence[F], faulty: Callable[[F], list[C]], legal: Iterable[C], others: int
) -> Iterator[C]:
    """Cases of a rule's own faults, legal ones, and of each other fault so many."""
    own = [f for f in faults if f.rule == rule.id]
    for fault in own:
        yield from faulty(fault)
    yield from legal
    for fault in faults:
        if fault not in own:
            yield from faulty(fault)[:others]


class Corpus:
    """Cases for each rule: caches with a fault of its own, legal ones, caches with a fault of another's.

    each: caches for each fault of the rule itself; others: for each fault of another rule.
    """

    def __init__(self, each: int = 12, others: int = 6) -> None:
        self.each, self.others = each, others
        self.legal = [Case(legal(seed).snapshot()) for seed in range(PLANS)]
        self.planted: dict[Fault, list[Case]] = {}

    def cases(self, rule: Rule) -> Iterator[Case]:
        return cases_for(rule, FAULTS, self.faulty, self.legal, self.others)

    def faulty(self, fault: Fault) -> list[Case]:
        """Caches with a fault, each on another seed."""
        if fault not in self.planted:
            found = islice(planted(fault, range(2 * PLANS)), self.each)
            self.planted[fault] = [Case(p.draft.snapshot()) for p in found]
        return self.planted[fault]
