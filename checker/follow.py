"""Follows a cache from call to call: step rules on each, and the ghosts that rules over a history speak of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from sanitree.checker.columns import Evaluator
from sanitree.checker.report import Report
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.plugins import ghosts_for, step_rules_for
from sanitree.invariants.rules import Rule, checks
from sanitree.invariants.steps import Ghost
from sanitree.invariants.terms import Moment, Term
from sanitree.invariants.vocabulary import Component, Settings
from sanitree.models.snapshot import Column, Key, Snapshot
from sanitree.models.step import Call, Frame, Rows, Step


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """A ghost for one component."""

    ghost: Ghost
    key: Key
    initial: Term | None
    term: Term


class Follower:
    """Judges every call between two states of one cache. What is gone is forgotten.

    Starts at a first state, of which nothing is judged; transfers that are in flight then
    count as submitted.
    """

    def __init__(
        self, first: Snapshot, rules: Iterable[Rule] | None = None, ghosts: Sequence[Ghost] | None = None
    ) -> None:
        """Of these rules and ghosts; of all that there are for the cache, where they are not given."""
        self.state = first
        self.rules = step_rules_for(first.settings) if rules is None else tuple(rules)
        kept = ghosts_for(first.settings) if ghosts is None else ghosts
        self._kept = tuple(k for g in kept for k in _for_each_component(g, first.settings))
        self._values: dict[_Kept, dict[int, int]] = {k: {} for k in self._kept}

    def follow(self, call: Call, after: Snapshot) -> Report:
        """Every rule about this operation, on the step from the last state to this one, which becomes the last."""
        step = Step(self.state, call, after)
        frames = self._with_ghosts(step)
        evaluator = Evaluator(step, frames)
        about = tuple(r for r in self.rules if call.operation in r.on)
        findings = tuple(evaluator.judge(c) for c in checks(about, after.settings))
        self.state = after
        return Report(evaluator, findings)

    def _with_ghosts(self, step: Step) -> tuple[Frame, Frame]:
        earlier, later = step.frames()
        for k in self._kept:
            sort = k.ghost.field.owner
            rows = step.rows(sort)
            if rows is None:
                self._values[k] = {}  # whatever happened, it is not known of whom
                continue
            fresh = self._initial(step, rows, (earlier, later), k)
            values, ids = self._values[k], rows.ids.tolist()
            met = torch.tensor([i in values for i in ids], dtype=torch.bool)
            old = torch.tensor([values.get(i, 0) for i in ids], dtype=torch.int64)
            known = met if fresh.known is None else met | fresh.known
            earlier = earlier.with_column(sort, k.key, Column(torch.where(met, old, fresh.values), known))
            now = Evaluator(step, (earlier, later)).values(k.term, k.ghost.var)
            later = later.with_column(sort, k.key, now)
            sure = (rows.at[1] >= 0) & (now.known if now.known is not None else True)
            kept = sure.nonzero().flatten().tolist()
            self._values[k] = {ids[row]: int(now.values[row]) for row in kept}
        return earlier, later

    @staticmethod
    def _initial(step: Step, rows: Rows, frames: tuple[Frame, Frame], k: _Kept) -> Column:
        if k.initial is not None:
            return Evaluator(step, frames).values(k.initial, k.ghost.var, Moment.BEFORE)
        there = rows.at[0] >= 0
        return Column(torch.zeros(len(there), dtype=torch.int64), ~there)


def _for_each_component(g: Ghost, settings: Settings) -> Iterable[_Kept]:
    of: list[Component | None] = [None]
    if g.per is not None:
        of = [c for c in settings.components if g.per.takes(c)]
    for c in of:
        bound = {g.component: c} if g.component is not None and c is not None else {}
        first = None if g.initial is None else instantiate(g.initial, settings, {})
        yield _Kept(g, Key.of(g.field.name, c), first, instantiate(g.term, settings, bound))  # type: ignore[arg-type]
