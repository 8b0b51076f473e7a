"""Tier 3: every rule that one pass can judge, on the whole tree, in slices.

Between two slices the engine may run. A walk then is of no state that ever was, so the
first change ends it, and the next time of rest begins a new one: what is reported was
judged on a tree that stood still. A server that never rests for as long as a walk takes
is never walked to the end; `walks` and `given_up` count both.

A Rust core has no nodes to walk. Rules about slots, and about the order of LRU lists, are
not judged here: the first are tier 1's, the others take a list in one go.
"""

from __future__ import annotations

import time
from collections.abc import Generator

from sanitree.checker.fused.codegen import IRREGULAR, compile_slices
from sanitree.invariants.plugins import catalogue_for
from sanitree.invariants.rules import Check, Cost, checks
from sanitree.models.engines.python_core import reading
from sanitree.models.engines.view import View
from sanitree.models.observe import FAULTS

_SHARE = 0.8
"""Of the budget: the last nodes of a slice are judged after it has looked at the clock."""


class Walk:
    """The walks over one cache. budget: seconds that a slice may take; compiled when it is made."""

    def __init__(self, view: View, budget: float) -> None:
        self._view, self._budget = view, budget
        self._until = 0.0
        self._running: Generator[None, None, int | None] | None = None
        self._began: object = None
        self._done: object = None
        self.walks = self.given_up = 0
        self.longest = 0.0
        """Seconds of the longest slice so far."""
        self.checks: tuple[Check, ...] = ()
        self.skipped: tuple[Check, ...] = ()
        if view.rust:
            return
        wanted = checks(catalogue_for(view.settings), view.settings)
        whole = (c for c in wanted if c.rule.cost not in (Cost.SLOT, Cost.BYTES))
        self._make, compiled = compile_slices(whole, reading(view), self._late)
        self.checks, self.skipped = compiled.checks, compiled.skipped

    def _late(self) -> bool:
        return time.perf_counter() >= self._until

    def slice(self, now: object, start: float | None = None) -> str | None:
        """Goes on for one budget; the name of a check that does not hold, if one was met.

        now: equal as long as nothing may have changed. A state that was walked is not walked again.
        start: when the budget began to be spent, in seconds of `time.perf_counter`; now if it is None.
        """
        if not self.checks or now == self._done:
            return None
        start = time.perf_counter() if start is None else start
        self._until = start + _SHARE * self._budget
        if self._running is None or now != self._began:
            self.given_up += self._running is not None
            self._running, self._began = self._make(self._view), now
        found: int | None = None
        try:
            next(self._running)
        except StopIteration as end:
            found = end.value
            self._finish(now)
        except FAULTS:
            found = IRREGULAR
            self._finish(now)
        self.longest = max(self.longest, time.perf_counter() - start)
        if found is None:
            return None
        return "irregular" if found == IRREGULAR else self.checks[found].name

    def _finish(self, now: object) -> None:
        self._running, self._done = None, now
        self.walks += 1
