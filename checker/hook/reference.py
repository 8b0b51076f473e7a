"""Watches a reference cache: every state rule and every step rule, at every call."""

from __future__ import annotations

from sanitree.checker.hook.telling import LOGGER, Once
from sanitree.checker.live import InvariantViolated
from sanitree.checker.watch import Watch
from sanitree.models.reference.cache import UnifiedRadixCache


class ReferenceWatcher:
    """One watched cache. found: the violations so far, where they are not raised."""

    def __init__(self, cache: UnifiedRadixCache, raising: bool) -> None:
        self.found: list[InvariantViolated] = []
        self._once = Once()
        self._watch = Watch(cache, None if raising else self._tell)

    def check(self) -> None:
        """Judges what the last call has led to, which no other has followed yet."""
        self._watch.settle()

    def stop(self) -> None:
        """Judges that, and lets the cache go."""
        self._watch.end()

    def _tell(self, violated: InvariantViolated) -> None:
        self.found.append(violated)
        if self._once.lets(frozenset(v.rule.id for v in violated.report.violations)):
            LOGGER.error("sanitree: %s", violated)
