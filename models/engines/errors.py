"""What can go wrong with an engine before any rule is checked. Each message is complete
and says what to do; none needs a traceback."""

from __future__ import annotations


class EngineError(Exception):
    """The engine or its surroundings failed: process exit 4, never a verdict."""


class EngineMissing(EngineError):
    """The version asked for is not in the cache folder."""


class EngineRefused(EngineError):
    """This process must not be shimmed: a GPU, somebody's own engine, a second version."""


class EngineFailed(EngineError):
    """An engine in its own process raised, died or ran out of time."""
