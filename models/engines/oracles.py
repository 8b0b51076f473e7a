"""What an engine's own oracles would say of a live cache: its tree check, and the scheduler's accounting of pools.

The scheduler's checks need a scheduler, which a driven engine has not: what they compare is
said here again over the same counters, with the function of SGLang's that compares it. They
are asked as if every switch of theirs was on; in a server most are off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from sanitree.models.engines import drive, store
from sanitree.models.engines.build import LiveEngine
from sanitree.models.engines.observe import pools, subject
from sanitree.models.engines.view import view
from sanitree.models.snapshot import Key, Snapshot

TREE, POOLS, PAGES = "sanity_check", "pool accounting", "page invariants"
FIRST_PAGES = "0.5.15"


def oracles(live: LiveEngine) -> Mapping[str, tuple[str, ...]]:
    """The complaints of each oracle that this version has, none where it is content.

    `sanity_check`: the tree's own, which the scheduler calls when idle, for models with window or
    state layers (`_check_tree_cache`).
    """
    asked: dict[str, Callable[[LiveEngine, Snapshot], tuple[str, ...]]] = {POOLS: _pool_accounting}
    if store.at_least(live.version, FIRST_PAGES):
        asked[PAGES] = _page_invariants
    found = {TREE: drive.engine_sanity_check(live)}
    try:
        s = subject(view(live)).snapshot(None)
    except Exception as error:  # noqa: BLE001  what is broken so that nobody can look at it says so loudly enough
        return found | {name: (f"{type(error).__name__}: {error}",) for name in asked}
    return found | {name: ask(live, s) for name, ask in asked.items()}


def _pool_accounting(live: LiveEngine, s: Snapshot) -> tuple[str, ...]:
    """Available, evictable, protected and what requests hold uncached make up each device pool.

    SGLang: `SchedulerInvariantChecker._check_pool_invariant`, by `self_check_during_busy` while requests
    run and `_check_all_pools` when none does; the mamba pool by the latter alone.
    """
    told = []
    for c in s.settings.components:
        if c.name == "mamba" and live.requests:
            continue
        parts = {name: _number(s, Key(name, c.name)) for name in ("evictable_size", "protected_size")}
        parts["available"] = _number(s, Key("available", c.name, "device"))
        held = None if s.requests is None else s.requests.lists.get(Key("holds", c.name, "device"))
        parts["uncached"] = 0 if held is None else sum(map(len, held.each))
        total = _number(s, Key("capacity", c.name, "device"))
        if None not in (total, *parts.values()) and sum(x or 0 for x in parts.values()) != total:
            told.append(f"[{c.name}] total={total}, " + ", ".join(f"{k}={v}" for k, v in parts.items()))
    return tuple(told)


def _number(s: Snapshot, key: Key) -> int | None:
    column = s.tree.columns.get(key)
    return None if column is None or column.mask not in (None, [True]) else column.listed[0]


def _page_invariants(live: LiveEngine, s: Snapshot) -> tuple[str, ...]:
    """No running request's page is free, no page is free twice. SGLang: `_check_kv_page_invariants`, asked by
    `self_check_during_busy`, so only while requests run."""
    if not live.requests:
        return ()
    told = []
    _, free = pools(view(live))
    for key, lists in free.items():
        if key.tier == "device" and key.component != "mamba" and len(set(lists.values.tolist())) < len(lists.values):
            told.append(f"KV double free: the {key.component} pool has duplicate pages")
    owned = torch.cat([r.slots for r in live.requests])
    stale = owned[torch.isin(owned, free[Key("free", "full", "device")].values)]
    if len(stale):
        told.append(f"KV page use-after-free: {len(stale)} owner refs are in the free pool")
    return tuple(told)
