"""Drivers by the name of what they drive."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from sanitree.models.driving.driver import Driver
from sanitree.models.driving.setup import Setup
from sanitree.models.ranks.group import ALONE, Group


def around_ranks(on: str) -> Callable[[int], AbstractContextManager[None]] | None:
    """What is around all that a rank does (`Together.around`), for caches that are all new."""
    if on == "reference":
        return None
    from sanitree.models.engines.groups import OwnNames

    return OwnNames().around


def name_of(on: str) -> str:
    """What people are told of a cache, "reference" or an engine's version."""
    return "the reference cache" if on == "reference" else f"sglang {on}"


def core_with_nodes(on: str) -> str | None:
    """The core whose nodes can be seen, of a version that has several; None where there is no choice."""
    from sanitree.models.engines import store
    from sanitree.models.engines.build import FIRST_RUST

    return "python" if on != "reference" and store.at_least(on, FIRST_RUST) else None


def open_driver(on: str, setup: Setup, group: Group = ALONE) -> Driver:
    """The driver of a fresh cache: of the reference cache for "reference", else of an engine's version.

    group: the ranks that it is one of, whatever `setup` says of them.
    Raises CacheError and EngineError for a setup that cannot be built there. The first
    engine that is opened is this process's for good.
    """
    if on == "reference":
        from sanitree.models.driving.reference import ReferenceDriver

        return ReferenceDriver(setup, group)
    from sanitree.models.driving.engine import EngineDriver

    if group.size == 1:
        return EngineDriver(on, setup)
    from sanitree.models.engines.groups import of_torch

    return EngineDriver(on, setup, of_torch(group))
