"""What a page model is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sanitree.invariants.vocabulary import FULL, WRITE_THROUGH_FAMILY, Component, Policy, Settings, Tier

_TRAITS = frozenset(
    {"tiered", "locked_tombstones", "host_leaf_unlocked", "host_lock_delists", "marks_pending_loads", "reads_bytes"}
)
"""As the reference cache, whose semantics the model has."""


def binary(pages: int) -> tuple[int, ...]:
    """A trie in which each page, the first included, is followed by up to two."""
    return tuple(0 if n == 0 else (n - 1) // 2 + 1 for n in range(pages))


@dataclass(frozen=True)
class Pages:
    """A model of so many pages.

    parents: of the pages 1, 2, …, each before those that follow it; 0 is the root. device, host: capacity of each
    component's pool, in pages of a per-token component, in states of a per-node one; where none is given, one page
    less than there are. requests: that hold a lock at one time. copies: that are in flight at one time.
    window: pages that sliding-window attention looks back. fault: by name; see `faults`. rooms: capacities of single
    pools, by the component's name and the tier, in the place of `device` and `host`. extra: words for
    what only a fault leaves: "free_twice" of slots, "below_zero" of device locks.
    Raises ValueError for what cannot be.
    """

    policy: Policy = Policy.WRITE_THROUGH
    components: tuple[Component, ...] = (FULL,)
    parents: tuple[int, ...] = field(default_factory=lambda: binary(4))
    device: int | None = None
    host: int | None = None
    requests: int = 1
    copies: int = 2
    window: int = 2
    fault: str | None = None
    rooms: Mapping[tuple[str, Tier], int] = field(default_factory=dict)
    extra: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.parents:
            raise ValueError("no pages make no model: at least 1")
        for page, parent in enumerate(self.parents, 1):
            if not 0 <= parent < page:
                raise ValueError(f"page {page} follows page {parent}: each page follows an earlier one, or 0, the root")
        if self.components[:1] != (FULL,) or len(set(self.components)) < len(self.components):
            raise ValueError("components are full, first, and others, each once")
        if sum(c.per_token and not c.backbone for c in self.components) > 1:
            raise ValueError("the page model has one component with a window at most")
        for what in ("requests", "copies", "window"):
            least = 0 if what == "requests" else 1
            if getattr(self, what) < least:
                raise ValueError(f"{what} is {getattr(self, what)}: it must be at least {least}")
        for what in ("device", "host"):
            given = getattr(self, what)
            if given is not None and given < 1:
                raise ValueError(f"{what} is {given}: a pool has at least 1 page")

    @property
    def count(self) -> int:
        """How many pages there may be."""
        return len(self.parents)

    def capacity(self, c: Component, tier: Tier) -> int:
        """Of a component's pool on a tier."""
        if (c.name, tier) in self.rooms:
            return self.rooms[c.name, tier]
        given = self.device if tier is Tier.DEVICE else self.host
        return max(1, self.count - 1) if given is None else given

    @cached_property
    def depth(self) -> int:
        """Pages of the longest path."""
        found = [0]
        for parent in self.parents:
            found.append(found[parent] + 1)
        return max(found)

    @property
    def auxiliary(self) -> tuple[Component, ...]:
        """The components that are not the backbone."""
        return self.components[1:]

    @property
    def windowed(self) -> Component | None:
        """The component with a window, if there is one."""
        return next((c for c in self.auxiliary if c.per_token), None)

    @property
    def writes_through(self) -> bool:
        """Whether nodes are backed up before they are evicted."""
        return self.policy in WRITE_THROUGH_FAMILY

    @property
    def hits_to_back_up(self) -> int:
        """Inserts of a node until it is backed up."""
        return 2 if self.policy is Policy.WRITE_THROUGH_SELECTIVE else 1

    @property
    def settings(self) -> Settings:
        """What the model's rules are instantiated with."""
        return Settings(self.policy, self.components, _TRAITS, 1)
