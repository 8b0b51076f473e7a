"""What is legal in which version of SGLang, as traits: data, so that no rule asks for a version.

Read off the engine's sources and confirmed by running every version; the places are
named with each trait. Versions in between are like the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sanitree.models.engines import store

SINCE: Mapping[str, str] = MappingProxyType(
    {
        # acquire_component_lock(lock_host=True) removes the node from the host LRU list
        "host_lock_delists": "0.5.13",
        # UnifiedTreeCore._node_arena
        "table_of_nodes": "0.5.17",
        # full_host_duplicates, load_back_pending_id, reclaim of the full host copy alone
        "tracks_host_duplicates": "0.5.18",
        "marks_pending_loads": "0.5.18",
        "aux_host_outlives_full": "0.5.18",
        # commit_load_back pins the nodes of every transfer, not only those of full attention
        "marks_auxiliary_loads": "0.5.18",
        # segment locks: acquire_component_lock counts every node to its boundary; _is_host_leaf
        "locked_tombstones": "0.5.20",
        "host_leaf_unlocked": "0.5.20",
        # _should_backup_after_insert
        "async_window_backup": "0.5.20",
    }
)
"""The first version that has each trait."""

UNTIL: Mapping[str, str] = MappingProxyType({"marks_auxiliary_loads": "0.5.19", "async_window_backup": "0.5.23"})
"""The first version that has it no more."""


def of_version(version: str) -> frozenset[str]:
    """The traits that a version of SGLang has, whatever the cache's configuration."""
    return frozenset(
        t
        for t, first in SINCE.items()
        if store.at_least(version, first) and not (t in UNTIL and store.at_least(version, UNTIL[t]))
    )
