"""What can go wrong with an engine before any rule is checked. Each message is complete
and says what to do; none needs a traceback."""

from __future__ import annotations


class EngineError(Exception):
    """The engine or its surroundings failed: process exit 4, never a verdict."""


class EngineMissing(EngineError):  # noqa: N818 (reads as what happened)
    """The version asked for is not in the cache folder."""


class EngineRefused(EngineError):  # noqa: N818 (reads as what happened)
    """This process must not be shimmed: a GPU, somebody's own engine, a second version."""


class EngineFailed(EngineError):  # noqa: N818 (reads as what happened)
    """An engine in its own process raised, died or ran out of time."""
