"""The time that a search has, shared by all its questions."""

from __future__ import annotations

import time
from typing import Any

import z3


class Clock:
    """Begins to run when it is made."""

    def __init__(self, seconds: float) -> None:
        self.begun, self.seconds = time.perf_counter(), seconds

    @property
    def spent(self) -> float:
        return time.perf_counter() - self.begun

    @property
    def over(self) -> bool:
        return self.spent >= self.seconds

    def ask(self, solver: Any, *assumptions: Any) -> Any:
        """What the solver answers in the time that is left; unknown where none is."""
        left = self.seconds - self.spent
        if left <= 0:
            return z3.unknown
        solver.set("timeout", max(1, int(left * 1000)))
        return solver.check(*assumptions)
