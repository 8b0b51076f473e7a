"""Checks a live cache: a fast yes or no in place, and a full report from a snapshot where it is no."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sanitree.checker.columns import Evaluator
from sanitree.checker.fused import Fused, compile_checks
from sanitree.checker.report import Report, check
from sanitree.invariants.catalogue import CATALOGUE
from sanitree.invariants.rules import Check, Cost, Rule, checks
from sanitree.invariants.terms import Gather, Get, Range, walk
from sanitree.invariants.vocabulary import Component, Sort, Tier
from sanitree.models.engines.observe import snapshot
from sanitree.models.engines.python_core import reading
from sanitree.models.engines.view import View
from sanitree.models.snapshot import Key


class LiveChecker:
    """Rules for live caches, compiled for what is fixed of one: version, core, policy, components, page size.

    `nothing_violated` is a fast yes or no: yes means that no rule is *known* to be violated,
    and says nothing of what could not be observed. `report` has all violations with their
    evidence, and what was not checked. A cache whose settings change is compiled for anew.
    """

    def __init__(self, rules: Iterable[Rule] = CATALOGUE) -> None:
        self.rules = tuple(rules)
        self._compiled: dict[object, Compiled] = {}

    def nothing_violated(self, view: View) -> bool:
        """Whether no rule is known to be violated, those about slots included."""
        return self.nothing_violated_in_place(view) and self.nothing_violated_in_slots(view)

    def nothing_violated_in_place(self, view: View) -> bool:
        """The same for what one pass over the live nodes can judge: the cheap half."""
        fused = self.compiled(view).fused
        return fused is None or fused.run(view) is None

    def nothing_violated_in_slots(self, view: View) -> bool:
        """The same for the others: their columns are gathered from the live nodes, and judged vectorised."""
        on_columns = self.compiled(view).on_columns
        judge = Evaluator(snapshot(view, frozenset(key for c in on_columns for key in fields_read(c)))).judge
        return not any(judge(c).violated for c in on_columns)

    def report(self, view: View) -> Report:
        """Every rule on a snapshot taken now: all violations with their evidence, and what was not checked."""
        return check(snapshot(view), self.rules)

    def compiled(self, view: View) -> Compiled:
        """What the rules come to for a view; made on first use."""
        key = (view.version, view.rust, view.settings, view.requests is None)
        if key not in self._compiled:
            self._compiled[key] = _compile(self.rules, view)
        return self._compiled[key]


@dataclass(frozen=True, slots=True)
class Compiled:
    """`fused` judges `in_place`, and is None where the nodes are no Python objects; columns judge the others."""

    fused: Fused | None
    in_place: tuple[Check, ...]
    on_columns: tuple[Check, ...]


def _compile(rules: tuple[Rule, ...], view: View) -> Compiled:
    applying = checks(rules, view.settings)
    if view.rust:
        return Compiled(None, (), applying)
    fused = compile_checks((c for c in applying if c.rule.cost not in (Cost.SLOT, Cost.BYTES)), reading(view))
    judged = set(fused.checks)
    return Compiled(fused, fused.checks, tuple(c for c in applying if c not in judged))


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
