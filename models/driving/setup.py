"""How a cache to be driven is built: the same words for every driver."""

from __future__ import annotations

from dataclasses import dataclass

from sanitree.invariants.vocabulary import FULL, Component, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What kind of cache, and how small.

    components: the backbone first. page_size, window: tokens. device_pages, host_pages:
    of each per-token component; 0 host pages is no host tier, and an engine up to 0.5.14,
    which wants more of them than on the device, gets one more. states: of each per-node
    component on the device; the host has as many for each as it has pages for each page. core:
    which implementation of the tree, where an engine has several; None is its default.
    fault: named fault of the reference cache that is planted; none is planted in an engine.
    ranks: of one server, each with a cache of its own that does the same operations.
    """

    policy: Policy = Policy.WRITE_THROUGH
    components: tuple[Component, ...] = (FULL,)
    page_size: int = 1
    device_pages: int = 6
    host_pages: int = 6
    states: int = 3
    window: int = 2
    core: str | None = None
    fault: str | None = None
    ranks: int = 1
