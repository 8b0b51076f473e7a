"""What the checker says of a step, instance by instance."""

from __future__ import annotations

from collections.abc import Hashable
from random import Random

from sanitree.checker.report import Report
from sanitree.invariants.vocabulary import Sort
from tests.corrupt import veil
from tests.steps.stage import Stage

Answers = dict[tuple[str, Hashable], bool | None]
"""By check and element: whether it holds there; None where it was not checked."""


def verdicts(report: Report) -> Answers:
    found: Answers = {}
    for f in report.findings:
        if not f.observed:
            continue
        e, c = report.evaluator, f.check
        ids = e.table(c).ids.tolist()
        answers = [e.value_at(c.term, c, row) for row in range(len(ids))]
        assert [row for row, x in enumerate(answers) if x is False] == list(f.violated), c.name
        assert answers.count(None) == f.unchecked, c.name
        found.update({(c.name, name(c.rule.scope, i)): x for i, x in zip(ids, answers, strict=True)})  # type: ignore[misc]
    return found


def name(scope: Sort, number: int) -> Hashable:
    """What an element is the same by."""
    return (number % 2 == 1, number // 2) if scope is Sort.TRANSFER else number


def hide(s: Stage, rng: Random) -> None:
    """Some of what the states show and the calls say is unknown from now on."""
    states = [s.first, *(d for _, d in s.past), s.after]
    for d in rng.sample(states, rng.randint(1, len(states))):
        veil(d, rng)
    for told in (*(c for c, _ in s.past), s.call):
        for what in ("evicted", "dropped", "refused", "submitted", "acked"):
            if rng.random() < 0.1:
                setattr(told, what, None)
