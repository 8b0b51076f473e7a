"""The steps that a mutant of a step rule, or of a ghost, must judge otherwise: legal ones and ones with a fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain, islice
from random import Random

from sanitree.checker.findings import Finding
from sanitree.checker.follow import Follower
from sanitree.checker.report import Report
from sanitree.invariants.calls import Operation
from sanitree.invariants.catalogue import GHOSTS, STEP_RULES
from sanitree.invariants.rules import Rule, checks
from sanitree.invariants.steps import Ghost
from sanitree.invariants.terms import Get, walk
from sanitree.models.step import Call
from tests.legal import PLANS
from tests.mutation.corpus import Verdicts, cases_for
from tests.steps.faults import FAULTS
from tests.steps.moves import MOVES
from tests.steps.plant import Fault, planted
from tests.steps.stage import Stage, shuffle, stage


class StepCase:
    """Steps of one cache, and what rules find there."""

    def __init__(self, s: Stage) -> None:
        self.first = s.first.snapshot()
        self.calls: list[Call] = [told.call() for told in (*(t for t, _ in s.past), s.call)]
        self.states = [d.snapshot() for d in (*(d for _, d in s.past), s.after)]
        self.known: dict[Rule, list[Verdicts]] = {}

    def follow(self, rules: Iterable[Rule], ghosts: Iterable[Ghost]) -> list[Report]:
        follower = Follower(self.first, rules, tuple(ghosts))
        return [follower.follow(call, state) for call, state in zip(self.calls, self.states, strict=True)]

    @cached_property
    def reports(self) -> list[Report]:
        return self.follow((), GHOSTS)

    def judge(self, rule: Rule) -> list[Verdicts]:
        """What is found in each step."""
        found = []
        for call, report in zip(self.calls, self.reports, strict=True):
            todo = checks([rule], report.snapshot.settings) if call.operation in rule.on else ()
            found.append(_verdicts(report.evaluator.judge(c) for c in todo))
        return found

    def tells_apart(self, rule: Rule, changed: Rule) -> bool:
        if rule not in self.known:
            self.known[rule] = self.judge(rule)
        return self.judge(changed) != self.known[rule]

    def keeps_apart(self, ghost: Ghost, changed: Ghost) -> bool:
        """Whether the rules about a ghost find something else where it is kept in another way."""
        rules = [r for r in STEP_RULES if _speaks_of(r, ghost)]
        others = [changed if g is ghost else g for g in GHOSTS]
        one, other = (self.follow(rules, ghosts) for ghosts in (GHOSTS, others))
        return [_verdicts(r.findings) for r in one] != [_verdicts(r.findings) for r in other]


def _verdicts(findings: Iterable[Finding]) -> Verdicts:
    """The rows at which a rule is violated, and how many could not be judged: of a legal step all can."""
    return {f.check.name: (*f.violated, -f.unchecked) for f in findings if f.violated or f.unchecked}


def _speaks_of(rule: Rule, ghost: Ghost) -> bool:
    return any(isinstance(t, Get) and t.field is ghost.field for t in walk(rule.term))


class StepCorpus:
    """Cases for each rule: steps with a fault of its own, legal ones, steps with a fault of another's.

    each: caches for each fault of the rule itself, besides one in each operation; moves: for each legal step;
    others: for each fault of another rule.
    """

    def __init__(self, each: int = 12, moves: int = 16, others: int = 3) -> None:
        self.each, self.moves, self.others = each, moves, others
        self.planted: dict[Fault, list[StepCase]] = {}

    def cases(self, rule: Rule) -> Iterator[StepCase]:
        return cases_for(rule, FAULTS, self.faulty, self.legal, self.others)

    def cases_of(self, ghost: Ghost) -> Iterator[StepCase]:
        return chain.from_iterable(self.cases(r) for r in STEP_RULES if _speaks_of(r, ghost))

    @cached_property
    def legal(self) -> list[StepCase]:
        found = [StepCase(stage(3 * i, operation)) for i, operation in enumerate([*Operation] * 2)]
        for move in MOVES:
            found += islice(self._moved(move.name), self.moves)
        return found

    @staticmethod
    def _moved(name: str) -> Iterator[StepCase]:
        (move,) = (m for m in MOVES if m.name == name)
        for seed in range(6 * PLANS):
            rng = Random(f"{name} {seed}")
            s = stage(seed, move.operation)
            if move.do(s, rng):
                shuffle(s.after, rng)
                yield StepCase(s)

    def faulty(self, fault: Fault) -> list[StepCase]:
        """Steps with a fault: each on another seed, and one in each operation."""
        if fault not in self.planted:
            found = list(islice(planted(fault, range(2 * PLANS)), self.each))
            for operation in fault.on:
                found += islice(planted(fault, range(2 * PLANS), operation), 1)
            self.planted[fault] = [StepCase(p.stage) for p in found]
        return self.planted[fault]
