"""The caches that a mutant must judge otherwise than its rule does somewhere: legal ones and ones with a fault."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from sanitree.checker.columns import Evaluator
from sanitree.invariants.rules import Rule, checks
from sanitree.models.snapshot import Snapshot
from tests.corrupt import corrupt
from tests.legal import PLANS, legal
from tests.planted.faults import FAULTS
from tests.planted.plant import planted

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


class Corpus:
    """Cases for each rule, those that were made for it first."""

    def __init__(self, each: int = 12, legal_ones: int = PLANS, wrecks: int = PLANS) -> None:
        self.legal = [Case(legal(seed).snapshot()) for seed in range(legal_ones)]
        self.wrecks = [
            Case(corrupt(legal(seed), Random(seed), 30).snapshot()) for seed in range(10_000, 10_000 + wrecks)
        ]
        self.faulty: dict[str, list[Case]] = {}
        self.each = each

    def planted(self, rule: Rule) -> list[Case]:
        """Caches with a fault of the rule: some of each fault, on different seeds."""
        if rule.id not in self.faulty:
            found: list[Case] = []
            for fault in FAULTS:
                if fault.rule == rule.id:
                    for _, p in zip(range(self.each), planted(fault, range(2 * PLANS)), strict=False):
                        found.append(Case(p.draft.snapshot()))
            self.faulty[rule.id] = found
        return self.faulty[rule.id]

    def cases(self, rule: Rule) -> Iterator[Case]:
        yield from self.planted(rule)
        yield from self.legal
        yield from self.wrecks


