"""Watches a cache: every state rule and every step rule, from call to call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cache as cached

from sanitree.checker.follow import Follower
from sanitree.checker.live import InvariantViolated
from sanitree.checker.report import check
from sanitree.checker.rowwise import Programs, Seen, judging
from sanitree.checker.tally import Tally
from sanitree.invariants.calls import Operation
from sanitree.invariants.plugins import catalogue_for
from sanitree.invariants.rules import Check, Rule, checks
from sanitree.invariants.vocabulary import Settings
from sanitree.models.driving.driver import Watched
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.watched import WatchedCache
from sanitree.models.snapshot import Snapshot
from sanitree.models.step import Call

Tell = Callable[[InvariantViolated], None]


class Watch:
    """Judges each state that a call meets, and the step that led to it.

    found: raised where a rule is violated, unless `tell` takes it. `settle` judges the last
    call, which no other has followed yet; `end` does so, and stops watching. calls: all so far.
    state: the last that was judged. exercised: rules that its tally counted for the first time.
    """

    def __init__(
        self,
        watched: Watched | UnifiedRadixCache,
        tell: Tell | None = None,
        content: bool = True,
        rules: Iterable[Rule] | None = None,
        step_rules: Iterable[Rule] | None = None,
        tally: Tally | None = None,
        heard: Callable[[Call, Snapshot], None] | None = None,
    ) -> None:
        """Of these rules; of all that there are for the cache, where they are not given. tally: is told of every state
        and every step; heard: of every call and the state after it, once they were judged."""
        self._watched = WatchedCache(watched) if isinstance(watched, UnifiedRadixCache) else watched
        self._tell, self._content, self._heard = tell, content, heard
        self._rules = None if rules is None else tuple(rules)
        self._tally = tally
        self.exercised = 0
        self._quick: Programs | None = None
        self._settings: Settings | None = None
        self.calls: list[Call] = []
        self._settled = 0
        self.state = self._judged()
        self._follower = Follower(self.state, step_rules)
        self._stop = self._watched.listen(self.settle, self.calls.append)

    def without(self, names: Collection[str]) -> None:
        """Judges these rules no more: what is known to be wrong would be told again at every call."""
        state = self.state.settings
        kept = catalogue_for(state) if self._rules is None else self._rules
        self._rules = tuple(r for r in kept if r.id not in names)
        self._quick = None
        self._follower.only(r for r in self._follower.rules if r.id not in names)

    def settle(self) -> None:
        """Judges what the last call has led to; nothing where that is done."""
        if self._settled == len(self.calls):
            return
        self._settled = len(self.calls)
        self.state = self._judged()
        report = self._follower.violation(self.calls[-1], self.state, self._tell_tally)
        if report is not None:
            self._say(InvariantViolated(report, self.calls))
        if self._heard is not None:
            self._heard(self.calls[-1], self.state)

    def end(self) -> None:
        """Judges the last call, and lets the cache go."""
        try:
            self.settle()
        finally:
            self._stop()

    def _judged(self) -> Snapshot:
        state = self._watched.subject(self._content).snapshot(None)
        if self._quick is None or state.settings is not self._settings:
            self._quick, self._settings = _quick(self._rules, state.settings), state.settings
        seen = Seen(state)
        if self._quick.on(seen) is not None:
            self._say(InvariantViolated(check(state, self._rules), self.calls))
        self._tell_tally(lambda: _checks(self._rules, state.settings), state.settings, None, seen)
        return state

    def _tell_tally(
        self, about: Callable[[], tuple[Check, ...]], settings: Settings, op: Operation | None, seen: Seen
    ) -> None:
        if self._tally is not None:
            self.exercised += self._tally.see(about, settings, op, seen)

    def _say(self, found: InvariantViolated) -> None:
        if self._tell is None:
            raise found
        self._tell(found)


def sound(state: Snapshot, rules: tuple[Rule, ...] | None = None) -> bool:
    """Whether no state rule is known to be violated: of these, or of all that there are for the cache."""
    return _quick(rules, state.settings).on(Seen(state)) is None


@cached  # caches that are searched are made by the thousand
def _quick(rules: tuple[Rule, ...] | None, settings: Settings) -> Programs:
    return judging(_checks(rules, settings))


def _checks(rules: tuple[Rule, ...] | None, settings: Settings) -> tuple[Check, ...]:
    return checks(catalogue_for(settings) if rules is None else rules, settings)
