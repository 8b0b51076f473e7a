"""How a cache is configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sanitree.invariants.vocabulary import FULL, WRITE_THROUGH_FAMILY, Component, Policy
from sanitree.models.reference.errors import CacheError


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """What to build.

    components: the backbone first, each once. page_size: tokens. device_slots,
    host_slots: capacity of each component's pools, in slots; of a per-token component
    whole pages. Without host_slots there is no host tier, and the policy says nothing.
    window: tokens that sliding-window attention looks back. hits_to_back_up: inserts of
    a node until the write-through family backs it up; None is the policy's own number.
    layers, width: of every pool's buffer, in entries. device: torch's name of where the
    device pools are. Raises CacheError for what cannot be built.
    """

    policy: Policy = Policy.WRITE_THROUGH
    components: tuple[Component, ...] = (FULL,)
    page_size: int = 1
    device_slots: Mapping[str, int]
    host_slots: Mapping[str, int] | None = None
    window: int = 4
    hits_to_back_up: int | None = None
    layers: int = 2
    width: int = 2
    device: str = "cpu"

    def __post_init__(self) -> None:
        names = [c.name for c in self.components]
        backbones = [c.name for c in self.components if c.backbone]
        if len(set(names)) < len(names) or not names or backbones != names[:1] or not self.components[0].per_token:
            raise CacheError(f"components are one per-token backbone, first, and others, each once: not {names}")
        for what in ("page_size", "window", "hits_to_back_up", "layers", "width"):
            value = getattr(self, what)
            if value is not None and value < 1:
                raise CacheError(f"{what} is {value}: it must be at least 1")
        for what in ("device_slots", "host_slots"):
            slots = getattr(self, what)
            if slots is not None:
                self._check_slots(what, slots)
                object.__setattr__(self, what, MappingProxyType(dict(slots)))

    def _check_slots(self, what: str, slots: Mapping[str, int]) -> None:
        names = {c.name for c in self.components}
        if set(slots) != names:
            raise CacheError(f"{what} names {sorted(slots)}: it must name the components, {sorted(names)}")
        for c in self.components:
            unit = self.page_size if c.per_token else 1
            if slots[c.name] < unit or slots[c.name] % unit:
                raise CacheError(f"{what}[{c.name!r}] is {slots[c.name]}: it must be whole pages of {unit}")

    @property
    def tiered(self) -> bool:
        """Whether there is a host tier."""
        return self.host_slots is not None

    @property
    def writes_through(self) -> bool:
        """Whether nodes are backed up when they are inserted: there is a host tier, and the policy says so."""
        return self.tiered and self.policy in WRITE_THROUGH_FAMILY

    @property
    def writes_back(self) -> bool:
        """Whether nodes are backed up when they are evicted."""
        return self.tiered and self.policy is Policy.WRITE_BACK

    @property
    def backup_hits(self) -> int:
        """Inserts of a node until it is backed up under the write-through family."""
        if self.hits_to_back_up is not None:
            return self.hits_to_back_up
        return 2 if self.policy is Policy.WRITE_THROUGH_SELECTIVE else 1
