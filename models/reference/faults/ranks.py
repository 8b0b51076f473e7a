"""Faults of one rank among several, which no rule about one cache is there to see.

Each is planted in the last rank; `rule` is that of `sanitree.checker.agreement` that must find it first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.faults.registry import Fits, Plant, always, swap, through, tiered


@dataclass(frozen=True, slots=True)
class RankFault:
    """what: the bug in words. fits: whether a cache of this configuration can show it."""

    name: str
    rule: str
    what: str
    fits: Fits
    plant: Plant


RANK_FAULTS: dict[str, RankFault] = {}


def _of(rule: str, fits: Fits = tiered) -> Callable[[Plant], Plant]:
    """Enters a fault under its function's name."""

    def enter(plant: Plant) -> Plant:
        name = plant.__name__
        RANK_FAULTS[name] = RankFault(name, rule, " ".join((plant.__doc__ or "").split()), fits, plant)
        return plant

    return enter


@_of("same_collectives")
def rank_skips_the_collective(cache: UnifiedRadixCache) -> None:
    """A rank on which nothing is done does not ask the others how far they are."""
    agree = cache.agree
    swap(cache, agree=lambda done: agree(done) if done else 0)


@_of("same_acks")
def rank_takes_its_own_acks(cache: UnifiedRadixCache) -> None:
    """A rank asks the others, and takes every acknowledgement that is done here, whatever they say."""
    agree = cache.agree

    def own(done: int) -> int:
        agree(done)
        return done

    swap(cache, agree=own)


@_of("same_decisions", through)
def rank_has_no_room_on_the_host(cache: UnifiedRadixCache) -> None:
    """One rank's host allocation fails, and the others' do not."""
    swap(cache, alloc_host=lambda component, count: None)


@_of("same_decisions")
def rank_matches_on_the_device_alone(cache: UnifiedRadixCache) -> None:
    """One rank does not see what the host has of a prefix."""
    match_prefix = cache.match_prefix

    def match(tokens: Any) -> Any:
        found = match_prefix(tokens)
        return replace(found, host_node=found.device_node, host_tokens=found.device_tokens)

    swap(cache, match_prefix=match)


@_of("same_tree", always)
def rank_forgets_what_is_used(cache: UnifiedRadixCache) -> None:
    """One rank does not note what was used: it will evict something else."""
    swap(cache, touch=lambda path: None)
