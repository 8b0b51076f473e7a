"""Checks a live cache: a fast yes or no in place, and a full report from a snapshot where it is no.

from sanitree.models.engines.observe import subject  # or of sanitree.models.reference.observe
from sanitree.models.engines.view import View

LiveChecker().nothing_violated(subject(View(cache, "0.5.23")))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sanitree.checker.columns import Evaluator
from sanitree.checker.fused import Fused, compile_checks
from sanitree.checker.report import Report, check
from sanitree.checker.rowwise import Programs, Seen, judging
from sanitree.invariants.plugins import catalogue_for
from sanitree.invariants.rules import Check, Cost, Rule, checks
from sanitree.invariants.terms import Gather, Get, Range, walk
from sanitree.invariants.vocabulary import Component, Sort, Tier
from sanitree.models.snapshot import Key
from sanitree.models.step import Call
from sanitree.models.subject import Subject


class LiveChecker:
    """Rules for live caches, compiled for what is fixed of one: adapter, policy, components, page size.

    `nothing_violated` is a fast yes or no: yes means that no rule is *known* to be violated,
    and says nothing of what could not be observed. `report` has all violations with their
    evidence, and what was not checked. A cache whose settings change is compiled for anew.
    """

    def __init__(self, rules: Iterable[Rule] | None = None) -> None:
        """Of these rules; of all that there are for a cache, where they are not given."""
        self.rules = None if rules is None else tuple(rules)
        self._compiled: dict[object, Compiled] = {}

    def nothing_violated(self, subject: Subject) -> bool:
        """Whether no rule is known to be violated, those about slots included."""
        return self.nothing_violated_in_place(subject) and self.nothing_violated_in_slots(subject)

    def nothing_violated_in_place(self, subject: Subject) -> bool:
        """The same for what one pass over the live nodes can judge: the cheap half."""
        fused = self.compiled(subject).fused
        return fused is None or fused.run(subject.tree) is None

    def nothing_violated_in_slots(self, subject: Subject) -> bool:
        """The same for the others: their columns are gathered from the live nodes, and judged vectorised."""
        compiled = self.compiled(subject)
        state = subject.snapshot(compiled.wanted)
        if len(state.nodes) <= SMALL:
            return compiled.row_by_row.on(Seen(state)) is None
        judge = Evaluator(state).judge
        return not any(judge(c).violated for c in compiled.on_columns)

    def report(self, subject: Subject) -> Report:
        """Every rule on a snapshot taken now: all violations with their evidence, and what was not checked."""
        return check(subject.snapshot(None), self.rules)

    def compiled(self, subject: Subject) -> Compiled:
        """What the rules come to for a cache; made on first use."""
        if subject.kind not in self._compiled:
            self._compiled[subject.kind] = _compile(self.rules, subject)
        return self._compiled[subject.kind]


@dataclass(frozen=True, slots=True)
class Compiled:
    """`fused` judges `in_place`, and is None where the nodes are no Python objects; columns judge the others.

    row_by_row: the same as `on_columns`, for small trees. wanted: the columns and lists of nodes that they read.
    """

    fused: Fused | None
    in_place: tuple[Check, ...]
    on_columns: tuple[Check, ...]
    row_by_row: Programs
    wanted: frozenset[Key]


SMALL = 500
"""Nodes up to which checks are made row by row: about where that takes as long as columns do."""


def _compile(rules: tuple[Rule, ...] | None, subject: Subject) -> Compiled:
    applying = checks(catalogue_for(subject.settings) if rules is None else rules, subject.settings)
    if subject.reading is None:
        return _compiled(None, (), applying)
    fused = compile_checks((c for c in applying if c.rule.cost not in (Cost.SLOT, Cost.BYTES)), subject.reading())
    judged = set(fused.checks)
    return _compiled(fused, fused.checks, tuple(c for c in applying if c not in judged))


def _compiled(fused: Fused | None, in_place: tuple[Check, ...], others: tuple[Check, ...]) -> Compiled:
    wanted = frozenset(key for c in others for key in fields_read(c))
    return Compiled(fused, in_place, others, judging(others), wanted)


def fields_read(c: Check) -> Iterator[Key]:
    """The columns and lists of nodes that a check reads."""
    pools: list[tuple[Component, Tier]] = [(c.component, c.tier)] if c.component and c.tier else []
    for t in walk(c.term):
        if isinstance(t, Get) and t.field.owner is Sort.NODE:
            assert not isinstance(t.component, str)
            yield Key.of(t.field.name, t.component, t.tier)  # type: ignore[arg-type]
        if isinstance(t, Gather) and t.over is Range.SLOTS and t.pool:
            pools.append(t.pool)  # type: ignore[arg-type]
    for component, tier in pools:
        yield Key.of("holds", component, tier)


class InvariantViolated(AssertionError):  # noqa: N818  reads as what happened
    """A live cache violates a rule; the message names each, with the element and the values that refute it.

    calls: those that led there, the last one last, where somebody followed the cache.
    """

    def __init__(self, report: Report, calls: Sequence[Call] = ()) -> None:
        self.report, self.calls = report, tuple(calls)
        headline, *lines = str(report).splitlines()
        after = f" after {calls[-1]}" if calls else ""
        super().__init__("\n".join([f"{headline}{after}", *lines]))


def sanity_check(subject: Subject, checker: LiveChecker | None = None) -> None:
    """What an engine's `sanity_check` should be: silent, or InvariantViolated with everything that is wrong."""
    checker = checker or _CHECKER
    if not checker.nothing_violated(subject):
        raise InvariantViolated(checker.report(subject))


_CHECKER = LiveChecker()
"""Keeps what was compiled, for callers that keep no checker of their own."""
