"""A plain reference cache as something to be watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sanitree.models.reference import calls, observe
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.step import Call
from sanitree.models.subject import Subject


@dataclass(frozen=True, slots=True)
class WatchedCache:
    """`sanitree.models.driving.driver.Watched`, of a cache that somebody else drives."""

    cache: UnifiedRadixCache

    def subject(self, content: bool = False) -> Subject:
        """The cache as a checker takes it; with `content` its snapshots tell what every copy holds."""
        return observe.subject(self.cache, content=content)

    def listen(self, before: Callable[[], None], after: Callable[[Call], None]) -> Callable[[], None]:
        """As `sanitree.models.reference.calls.listen`."""
        return calls.listen(self.cache, before, after)
