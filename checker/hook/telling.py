"""Who is told of a fault: a log that repeats nothing and never floods."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable

LOGGER = logging.getLogger("sanitree")

MOST_A_MINUTE = 10
"""Reports that are written in full; others are counted, and the count is written."""


class Once:
    """Lets a report through once for each place, and few in a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: set[Hashable] = set()
        self._since, self._written = clock(), 0
        self.held_back = 0
        """Reports that were not let through."""

    def lets(self, place: Hashable) -> bool:
        """Whether a report about this place is to be written now."""
        now = self._clock()
        if now - self._since >= 60:
            self._since, self._written = now, 0
        if place in self._seen or self._written >= MOST_A_MINUTE:
            self.held_back += 1
            return False
        self._seen.add(place)
        self._written += 1
        return True
