"""Named faults: each makes one cache wrong in the way of one kind of real bug.

A fault replaces a decision of a single cache from outside; nothing in the cache knows of
it, and none is there without being named: `inject(cache, "evict_does_not_wait")`. The
family is that of the rules which must catch it, written down before it was first run.
"""

from __future__ import annotations

from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.faults import evictions, inserts, locking, transferring
from sanitree.models.reference.faults.ranks import RANK_FAULTS, RankFault
from sanitree.models.reference.faults.registry import FAULTS, Fault

__all__ = [
    "FAULTS", "RANK_FAULTS", "Fault", "RankFault", "evictions", "inject", "inserts", "locking", "transferring",
]  # fmt: skip


def inject(cache: UnifiedRadixCache, name: str) -> None:
    """Makes a cache wrong; with a fault of one rank, the last of several, and no other.

    Raises CacheError for a name that is none, and where the fault cannot show.
    """
    found = FAULTS.get(name) or RANK_FAULTS.get(name)
    if found is None:
        raise CacheError(f"no fault is called {name!r}: one of {', '.join((*FAULTS, *RANK_FAULTS))}")
    if not found.fits(cache.config):
        raise CacheError(f"a cache of this configuration cannot have the fault {name!r}")
    if isinstance(found, Fault):
        found.plant(cache)
    elif cache.group.size == 1:
        raise CacheError(f"the fault {name!r} is of one rank among several, and this cache is alone")
    elif cache.group.rank == cache.group.size - 1:
        found.plant(cache)
