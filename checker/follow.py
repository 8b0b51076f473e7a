"""Follows a cache from call to call: step rules on each, and the ghosts that rules over a history speak of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from sanitree.checker.columns import Evaluator
from sanitree.checker.report import Report
from sanitree.checker.rowwise import Programs, Seen, computing, judging
from sanitree.invariants.calls import Operation
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.plugins import ghosts_for, step_rules_for
from sanitree.invariants.rules import Check, Rule, checks
from sanitree.invariants.steps import Ghost
from sanitree.invariants.terms import Moment
from sanitree.invariants.vocabulary import Component, Settings
from sanitree.models.snapshot import Column, Key, Snapshot
from sanitree.models.step import Call, Frame, Rows, Step


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """A ghost for one component: how its first value and each next one are computed."""

    ghost: Ghost
    key: Key
    first: Programs | None
    next: Programs


Tell = Callable[[Callable[[], tuple[Check, ...]], Settings, Operation, Seen], None]
"""Hears of a step: which checks are about it, and what they are judged on."""


def _nobody(*_: object) -> None:
    pass


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
        self._kept = _kept(tuple(kept), first.settings)
        self._quick: dict[Operation, Programs] = {}
        self._values: dict[_Kept, dict[int, int]] = {k: {} for k in self._kept}

    def only(self, rules: Iterable[Rule]) -> None:
        """Judges these rules from here on."""
        self.rules = tuple(rules)
        self._quick.clear()

    def follow(self, call: Call, after: Snapshot) -> Report:
        """Every rule about this operation, on the step from the last state to this one, which becomes the last."""
        step = Step(self.state, call, after)
        return self._report(step, self._advance(step))

    def violation(self, call: Call, after: Snapshot, tell: Tell = _nobody) -> Report | None:
        """The same, and None where no rule is violated: quick, for small caches. `tell` hears of each step."""
        step = Step(self.state, call, after)
        earlier, later = self._advance(step)
        if (quick := self._quick.get(call.operation)) is None:
            quick = self._quick[call.operation] = _about(self.rules, call.operation, after.settings)[1]
        seen = Seen(later, earlier, step.told)
        tell(lambda: _about(self.rules, call.operation, after.settings)[0], after.settings, call.operation, seen)
        if quick.on(seen) is None:
            return None
        return self._report(step, (earlier, later))

    def _report(self, step: Step, frames: tuple[Frame, Frame]) -> Report:
        evaluator = Evaluator(step, frames)
        about, _ = _about(self.rules, step.call.operation, step.after.settings)
        return Report(evaluator, tuple(evaluator.judge(c) for c in about))

    def _advance(self, step: Step) -> tuple[Frame, Frame]:
        """The step's two states with the ghosts in them; its later state becomes the last."""
        earlier, later = step.frames()
        for k in self._kept:
            sort = k.ghost.field.owner
            rows = step.rows(sort)
            if rows is None:
                self._values[k] = {}  # whatever happened, it is not known of whom
                continue
            ids, values = rows.ids.tolist(), self._values[k]
            old, known = _first(step, rows, (earlier, later), k)
            for row, i in enumerate(ids):
                if i in values:
                    old[row], known[row] = values[i], True
            earlier = earlier.with_column(sort, k.key, Column.of(old, int, None if all(known) else known))
            now, sure = k.next.on(Seen(later, earlier, step.told))
            later = later.with_column(sort, k.key, Column.of(now, int, None if all(sure) else sure))
            last = zip(ids, now, sure, rows.at[1], strict=True)
            self._values[k] = {i: value for i, value, known, row in last if known and row >= 0}
        self.state = step.after
        return earlier, later


def _first(step: Step, rows: Rows, frames: tuple[Frame, Frame], k: _Kept) -> tuple[list[int], list[bool]]:
    """What a ghost begins with, for every row: known of what is new, where nothing else is said."""
    if k.first is not None:
        earlier, later = frames
        found: tuple[list[int], list[bool]] = k.first.on(Seen(later, earlier, step.told))
        return found
    return [0] * len(rows.ids), [row < 0 for row in rows.at[0]]


@cache  # caches that are searched are made by the thousand
def _about(rules: tuple[Rule, ...], operation: Operation, settings: Settings) -> tuple[tuple[Check, ...], Programs]:
    """The checks of an operation."""
    found = checks((r for r in rules if operation in r.on), settings)
    return found, judging(found)


@cache
def _kept(ghosts: tuple[Ghost, ...], settings: Settings) -> tuple[_Kept, ...]:
    return tuple(k for g in ghosts for k in _for_each_component(g, settings))


def _for_each_component(g: Ghost, settings: Settings) -> Iterable[_Kept]:
    of: list[Component | None] = [None]
    if g.per is not None:
        of = [c for c in settings.components if g.per.takes(c)]
    for c in of:
        bound = {g.component: c} if g.component is not None and c is not None else {}
        first = None
        if g.initial is not None:
            first = computing(instantiate(g.initial, settings, {}), g.var, Moment.BEFORE)
        now = computing(instantiate(g.term, settings, bound), g.var, Moment.AFTER)  # type: ignore[arg-type]
        yield _Kept(g, Key.of(g.field.name, c), first, now)
