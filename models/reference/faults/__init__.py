"""Named faults: each makes one cache wrong in the way of one kind of real bug.

A fault replaces a decision of a single cache from outside; nothing in the cache knows of
it, and none is there without being named: `inject(cache, "evict_does_not_wait")`. The
family is that of the rules which must catch it, written down before it was first run.
"""

from __future__ import annotations

from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.faults import evictions, inserts, locking, transferring
from sanitree.models.reference.faults.registry import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "evictions", "inject", "inserts", "locking", "transferring"]


def inject(cache: UnifiedRadixCache, name: str) -> None:
    """Makes a cache wrong. Raises CacheError for a name that is none, and where the fault cannot show."""
    if name not in FAULTS:
        raise CacheError(f"no fault is called {name!r}: one of {', '.join(FAULTS)}")
    if not FAULTS[name].fits(cache.config):
        raise CacheError(f"a cache of this configuration cannot have the fault {name!r}")
    FAULTS[name].plant(cache)
