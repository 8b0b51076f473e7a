"""Prefetches from storage into the host tier, without a storage backend: somebody fills the slots, we do.

What the cache itself does at both ends of a prefetch is done here in its order and with its
functions; the threads in between, which query and read storage, are left out. Of caches
with full attention alone: with more, the cache decides what a prefetch brings by what its
storage says of each pool, and there is nobody to ask.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sanitree.models.engines import content, drive
from sanitree.models.engines.build import LiveEngine
from sanitree.models.engines.serving import Refused
from sanitree.models.engines.slots import NONE


@dataclass(slots=True, eq=False)
class Prefetch:
    """Host slots of `tokens` that are being filled, and the host lock of the node that they go below.

    number: below 0, where those of locks are above. below: tokens of the anchor's path.
    """

    number: int
    tokens: tuple[int, ...]
    below: int
    anchor: drive.Handle
    receipt: Any
    slots: Tensor


_numbers = itertools.count(1)


def possible(live: LiveEngine) -> bool:
    """Whether this cache takes what a prefetch brings: 0.5.12 has no storage at all."""
    if live.controller is None or live.config.components != ("full",):
        return False
    return hasattr(live.tree, "insert_host") or hasattr(live.cache, "_insert_helper_host")


def start(live: LiveEngine, tokens: Sequence[int]) -> Prefetch | Refused | None:
    """As `Scheduler._prefetch_kvcache` and `prefetch_from_storage` with a hit for all of `tokens`:
    match, lock the anchor on the host, allocate (evicting when short). None where nothing is
    missing, or the host has not all of what the device has."""
    tokens = tuple(tokens)
    found = live.cache.match_prefix(live.names.MatchPrefixParams(key=drive.key(live, tokens)))
    device = found.device_prefix_len if hasattr(found, "device_prefix_len") else len(found.device_indices)
    below, anchor = int(device) + found.host_hit_length, found.last_host_node
    top = drive.root(live)
    if below >= len(tokens) or not (anchor == top or drive.is_backed_up(live, anchor)):
        return None
    receipt = live.cache.inc_host_lock_ref(anchor).to_dec_params()
    fetched = Prefetch(-next(_numbers), tokens, below, anchor, receipt, NONE)
    live.prefetches.append(fetched)
    count = len(tokens) - below
    slots = live.slots.alloc_host(count)
    if slots is None:
        drive.evict_host(live, count)
        slots = live.slots.alloc_host(count)
    if slots is None:
        _end(live, fetched)
        return Refused("full", count)
    fetched.slots = slots
    content.write_host(live, tokens, below, slots)
    return fetched


def finish(live: LiveEngine, fetched: Prefetch) -> tuple[int, bool]:
    """As `check_prefetch_progress` when all has been read. Returns how many tokens are new on the
    host, and whether the cache dropped it all."""
    page, slots = live.page_size, fetched.slots
    key = drive.key(live, fetched.tokens[fetched.below :])
    hashes = [f"{h:064x}" for h in content.prefix_hashes(fetched.tokens)[fetched.below + page - 1 :: page]]
    if hasattr(live.tree, "insert_host"):
        result = live.tree.insert_host(fetched.anchor, key, slots, hashes)
        live.cache._apply_cache_actions(result.cache_actions)
    else:
        result = live.cache._insert_helper_host(fetched.anchor, key, slots, hashes)
    dropped = bool(getattr(result, "host_insert_dropped", False))
    fetched.slots = slots if dropped else slots[: result.prefix_len]
    known = len(fetched.slots)
    abort(live, fetched)
    return len(slots) - known, dropped


def abort(live: LiveEngine, fetched: Prefetch) -> None:
    """As `release_aborted_request`: frees its slots, drops its lock."""
    if len(fetched.slots):
        live.slots.free_host(fetched.slots)
        fetched.slots = NONE
    _end(live, fetched)


def _end(live: LiveEngine, fetched: Prefetch) -> None:
    live.cache.dec_host_lock_ref(fetched.anchor, fetched.receipt)
    live.prefetches.remove(fetched)
