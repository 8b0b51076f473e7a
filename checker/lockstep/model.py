"""The page model of one kind of cache, as what follows a live one takes it: for tries of any size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

from sanitree.checker.lockstep.program import Pool, Programs, programs
from sanitree.invariants.vocabulary import Settings
from sanitree.models.protocol.pages import Pages, pages
from sanitree.models.protocol.pages.duplicates import TRAIT, with_duplicates
from sanitree.models.protocol.system import System, Variable
from sanitree.models.snapshot import Key

MANY = 1 << 20
"""Requests and transfers: as many as there are."""


@dataclass(frozen=True, eq=False)
class Model:
    """The page model of one kind of cache, for tries of any size."""

    config: Pages
    system: System
    programs: Programs

    @property
    def variables(self) -> tuple[Variable, ...]:
        return self.system.variables

    @cached_property
    def places(self) -> dict[Key, int]:
        return {v.key: i for i, v in enumerate(self.system.variables)}


@cache  # caches that are searched are made by the thousand
def model(settings: Settings, window: int, rooms: tuple[tuple[Pool, int], ...], fault: str | None = None) -> Model:
    """window: in pages. rooms: capacity of each pool, in pages. fault: of the model, by name."""
    config = Pages(
        policy=settings.policy, components=settings.components, parents=tuple(range(window)), requests=MANY,
        copies=MANY, window=window, rooms={(c.name, tier): n for (c, tier), n in rooms}, fault=fault,
    )  # fmt: skip
    system = with_duplicates(config) if TRAIT in settings.traits else pages(config)
    return Model(config, system, programs(system))
