"""What a hunter knows of the cache it drives: who runs, what is locked, which prompts there were.

Kept from the operations that were done and from what can be done next, never from inside a
cache: a driver names requests, locks and transfers by their place among those there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sanitree.models.driving.driver import Driver
from sanitree.models.driving.operations import (
    BackUp,
    Copy,
    Extend,
    Finish,
    FinishPrefetch,
    LoadBack,
    Lock,
    Match,
    Operation,
    Prefetch,
    Prompt,
    Release,
    Reset,
    Start,
    Unlock,
)

REMEMBERED = 24
"""Prompts that are kept for their order of use."""


@dataclass(slots=True)
class Running:
    """A request: its prompt so far, and whether it only fetches."""

    prompt: Prompt
    fetching: bool = False


@dataclass(slots=True)
class Books:
    """requests, locks: oldest first. recent: prompts by their last use, newest first. flying: copies that have not
    run."""

    requests: list[Running] = field(default_factory=list)
    locks: list[Prompt] = field(default_factory=list)
    recent: list[Prompt] = field(default_factory=list)
    flying: int = 0

    def note(self, op: Operation, driver: Driver) -> None:
        """Enters what an operation that was done has changed."""
        before = len(self.requests)
        running = _count(before, lambda i: driver.can(Release(i)))
        match op:
            case Start() | Prefetch() if running > before:
                self.requests.append(Running(op.prompt, isinstance(op, Prefetch)))
            case Extend() if running == before:
                self.requests[op.request].prompt += op.prompt
            case Lock():
                self.locks.append(op.prompt)
            case Unlock():
                del self.locks[op.lock]
            case Reset():
                self.recent.clear()
        match op:
            case Start() | Match() | Lock() | BackUp() | LoadBack() | Prefetch():
                self._used(op.prompt)
            case Finish() | Extend() | Release() | FinishPrefetch():
                self._used(self.requests[op.request].prompt)
                if running < before:
                    del self.requests[op.request]
        self.flying = _count(self.flying, lambda i: driver.can(Copy(i)))

    def _used(self, prompt: Prompt) -> None:
        self.recent = [prompt, *(p for p in self.recent if p != prompt)][:REMEMBERED]


def _count(guess: int, there: Callable[[int], bool]) -> int:
    """How many there are, places being taken from 0 on."""
    while there(guess):
        guess += 1
    while guess and not there(guess - 1):
        guess -= 1
    return guess
