"""Watches a cache: every state rule and every step rule, from call to call."""

from __future__ import annotations

from collections.abc import Callable

from sanitree.checker.columns import Evaluator
from sanitree.checker.follow import Follower
from sanitree.checker.live import Compiled, InvariantViolated, LiveChecker
from sanitree.checker.report import check
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.calls import listen
from sanitree.models.reference.observe import subject
from sanitree.models.snapshot import Snapshot
from sanitree.models.step import Call
from sanitree.models.subject import Subject

Tell = Callable[[InvariantViolated], None]


class Watch:
    """Judges each state that a call meets, and the step that led to it.

    found: raised where a rule is violated, unless `tell` takes it. `settle` judges the last
    call, which no other has followed yet; `end` does so, and stops watching. calls: all so far.
    """

    def __init__(self, cache: UnifiedRadixCache, tell: Tell | None = None, content: bool = True) -> None:
        self._cache, self._tell, self._content = cache, tell, content
        self._checker = LiveChecker()
        self.calls: list[Call] = []
        self._settled = 0
        seen = self._subject()
        state = seen.snapshot(None)
        self._judge_state(seen, state)
        self._follower = Follower(state)
        self._stop = listen(cache, self.settle, self.calls.append)

    def settle(self) -> None:
        """Judges what the last call has led to; nothing where that is done."""
        if self._settled == len(self.calls):
            return
        self._settled = len(self.calls)
        seen = self._subject()
        state = seen.snapshot(None)
        self._judge_state(seen, state)
        report = self._follower.follow(self.calls[-1], state)
        if any(f.violated for f in report.findings):
            self._say(InvariantViolated(report, self.calls))

    def end(self) -> None:
        """Judges the last call, and lets the cache go."""
        try:
            self.settle()
        finally:
            self._stop()

    def _subject(self) -> Subject:
        return subject(self._cache, content=self._content)

    def _judge_state(self, seen: Subject, state: Snapshot) -> None:
        compiled = self._checker.compiled(seen)
        if not sound(compiled, seen, state):
            self._say(InvariantViolated(check(state, self._checker.rules), self.calls))

    def _say(self, found: InvariantViolated) -> None:
        if self._tell is None:
            raise found
        self._tell(found)


def sound(compiled: Compiled, seen: Subject, state: Snapshot) -> bool:
    """Whether no state rule is known to be violated: in place what one pass can judge, the others on columns."""
    if compiled.fused is not None and compiled.fused.run(seen.tree) is not None:
        return False
    judge = Evaluator(state).judge
    return not any(judge(c).violated for c in compiled.on_columns)
