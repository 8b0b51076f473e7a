"""What a fault is, and the words in which the files beside this one plant them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sanitree.invariants.rules import Family
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.config import CacheConfig

Plant = Callable[[UnifiedRadixCache], None]
Fits = Callable[[CacheConfig], bool]


@dataclass(frozen=True, slots=True)
class Fault:
    """what: the bug in words. fits: whether a cache of this configuration can show it."""

    name: str
    family: Family
    what: str
    fits: Fits
    plant: Plant


FAULTS: dict[str, Fault] = {}


def always(config: CacheConfig) -> bool:
    """Any cache shows it."""
    return True


def tiered(config: CacheConfig) -> bool:
    """A cache with a host tier."""
    return config.tiered


def through(config: CacheConfig) -> bool:
    """A cache of the write-through family."""
    return config.writes_through


def back(config: CacheConfig) -> bool:
    """A cache under write_back."""
    return config.writes_back


def window(config: CacheConfig) -> bool:
    """A cache with a window of its tokens."""
    return any(c.per_token and not c.backbone for c in config.components)


def state(config: CacheConfig) -> bool:
    """A cache with recurrent state."""
    return any(not c.per_token for c in config.components)


def auxiliary(config: CacheConfig) -> bool:
    """A cache with more than the backbone."""
    return len(config.components) > 1


def fault(family: Family, fits: Fits = always) -> Callable[[Plant], Plant]:
    """Enters a fault under its function's name."""

    def enter(plant: Plant) -> Plant:
        FAULTS[plant.__name__] = Fault(plant.__name__, family, " ".join((plant.__doc__ or "").split()), fits, plant)
        return plant

    return enter


def swap(owner: Any, **methods: Callable[..., Any]) -> None:
    """Replaces methods of one object."""
    for name, method in methods.items():
        assert hasattr(owner, name), name
        setattr(owner, name, method)
