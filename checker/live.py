"""Checks a live cache: a fast yes or no in place, and a full report from a snapshot where it is no."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
    """Rules compiled for one live cache: for its version, policy, components and page size.

    `fused` judges what is said of nodes, transfers, requests and the tree in one pass
    over the live nodes; what is said of slots is judged on columns of slots alone. A core
    whose nodes are no Python objects has no fused pass: all its rules are judged on columns.
    """

    def __init__(self, view: View, rules: Iterable[Rule] = CATALOGUE) -> None:
        self.rules = tuple(rules)
        applying = checks(self.rules, view.settings)
        self.settings = view.settings
        self.node_checks = tuple(c for c in applying if c.rule.cost is not Cost.SLOT)
        self.fused: Fused | None = None if view.rust else compile_checks(self.node_checks, reading(view))
        self.slot_checks = tuple(c for c in applying if c.rule.cost is Cost.SLOT)

    def holds(self, view: View) -> bool:
        """Whether no rule is known to be violated, slots included."""
        return self.nodes_hold(view) and self.slots_hold(view)

    def nodes_hold(self, view: View) -> bool:
        """The same without the rules about slots: one pass over the live nodes, in place."""
        return self._columns_hold(view, self.node_checks) if self.fused is None else self.fused.run(view) is None

    def slots_hold(self, view: View) -> bool:
        """The same for the rules about slots alone: every slot is read, vectorised."""
        return self._columns_hold(view, self.slot_checks)

    @staticmethod
    def _columns_hold(view: View, wanted: tuple[Check, ...]) -> bool:
        keys = frozenset(key for c in wanted for key in fields_read(c))
        judge = Evaluator(snapshot(view, keys)).judge
        return not any(judge(c).violated for c in wanted)

    def report(self, view: View) -> Report:
        """Every rule on a snapshot taken now: all violations with their evidence, and what was not checked."""
        return check(snapshot(view), self.rules)


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
