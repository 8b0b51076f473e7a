"""Drivers by the name of what they drive."""

from __future__ import annotations

from sanitree.models.driving.driver import Driver
from sanitree.models.driving.setup import Setup


def open_driver(on: str, setup: Setup) -> Driver:
    """The driver of a fresh cache: of the reference cache for "reference", else of an engine's version.

    Raises CacheError and EngineError for a setup that cannot be built there. The first
    engine that is opened is this process's for good.
    """
    if on == "reference":
        from sanitree.models.driving.reference import ReferenceDriver

        return ReferenceDriver(setup)
    from sanitree.models.driving.engine import EngineDriver

    return EngineDriver(on, setup)
