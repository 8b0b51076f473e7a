"""The operations of a cache, called as the engine's scheduler calls them; what it does for
a whole request is in `serving`.

An illegal call is our bug, not the engine's: each docstring names the scheduler or cache
function that uses the engine in that way. Nodes are handles (`Handle`): node objects up to
0.5.16, node ids from 0.5.17; nothing here looks inside one.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sanitree.models.engines import content, store
from sanitree.models.engines.build import Component, LiveEngine
from sanitree.models.engines.copies import Transfer
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.rust_listing import listing

Handle = Any


@dataclass(frozen=True, slots=True, eq=False)
class MatchInfo:
    """What a prefix match found. `slots` are the device slots of full attention, one a
    token; the host hits are tokens (states for mamba) that a load back would bring."""

    slots: Tensor
    device_node: Handle
    """The deepest node that a request can start from as the device stands."""
    best_node: Handle
    """The same with host copies counted."""
    host_hit: int
    aux_host_hit: int

    @property
    def needs_load(self) -> bool:
        return self.host_hit > 0 or self.aux_host_hit > 0


@dataclass(frozen=True, slots=True, eq=False)
class Lock:
    """A path lock on `node` and the engine's receipt, which releases exactly that lock.
    slots: full-attention device slots of the path, which its holder reads."""

    number: int
    node: Handle
    receipt: Any
    slots: Tensor


@dataclass(frozen=True, slots=True)
class Evicted:
    """What an eviction says it freed on the device: tokens, and states for mamba."""

    full: int
    swa: int
    mamba: int


def key(live: LiveEngine, tokens: Sequence[int]) -> Any:
    """The engine's key of whole pages of `tokens`."""
    if len(tokens) % live.page_size:
        raise ValueError(f"{len(tokens)} tokens are not whole pages of {live.page_size}")
    plain = not store.at_least(live.version, "0.5.13")
    return live.names.RadixKey(list(tokens) if plain else array("q", tokens))


def root(live: LiveEngine) -> Handle:
    """The root's handle."""
    if hasattr(live.cache, "root_node_handle"):
        return live.cache.root_node_handle(None)
    return live.cache.root_node


def node_of(live: LiveEngine, handle: Handle) -> Any:
    """The node object behind a handle, on a Python core."""
    return live.tree.node_by_id(handle) if isinstance(handle, int) else handle


def match(live: LiveEngine, tokens: Sequence[int]) -> MatchInfo:
    """As `Req.init_next_round_input` does for each waiting request; may split a node."""
    found = live.cache.match_prefix(live.names.MatchPrefixParams(key=key(live, tokens)))
    if hasattr(found, "device_indices"):
        slots = found.device_indices
    else:
        slots = path_slots(live, found.last_device_node)[: found.device_prefix_len]
    aux = (getattr(found, f"{name}_host_hit_length", 0) for name in ("swa", "mamba"))
    return MatchInfo(
        slots.long().clone(), found.last_device_node, found.best_match_node, found.host_hit_length, sum(aux)
    )


def path_slots(live: LiveEngine, node: Handle, above: Handle | None = None) -> Tensor:
    """Full-attention device slots from below `above` (the root by default) down to `node`."""
    top = root(live) if above is None else above
    if hasattr(live.tree, "collect_full_device_indices"):
        slots: Tensor = live.tree.collect_full_device_indices(node, top)
        return slots.long()
    parts = []
    while node is not top:
        parts.append(node.component_data[0].value.long())
        node = node.parent
    return torch.cat(parts[::-1]) if parts else torch.empty(0, dtype=torch.int64)


def lock(live: LiveEngine, node: Handle) -> Lock:
    """As `PrefillAdder` locks the node a request starts from."""
    slots, number = path_slots(live, node), next_number(live)
    receipt = live.cache.inc_lock_ref(node).to_dec_params()
    held = Lock(number, node, receipt, slots)
    live.locks[number] = held
    return held


def next_number(live: LiveEngine) -> int:
    """The number of the lock that is acquired next."""
    return max(live.locks, default=0) + 1


def unlock(live: LiveEngine, held: Lock) -> None:
    """As the cache does when a request is done with the node it locked; once for each lock."""
    live.cache.dec_lock_ref(held.node, held.receipt)
    del live.locks[held.number]


def alloc(live: LiveEngine, count: int) -> Tensor | None:
    """Device slots for `count` tokens of whole pages, or None."""
    return live.slots.alloc(count)


def free(live: LiveEngine, slots: Tensor) -> None:
    """Gives back a request's own slots, as `cache_finished_req` does with what the tree did
    not take."""
    if len(slots):
        live.slots.free(slots)


def evict_for(live: LiveEngine, count: int) -> Evicted:
    """As `evict_from_tree_cache` before an allocation: evicts only what is missing."""
    if live.swa_allocator is None:
        short = max(0, count - live.allocator.available_size())
        return evict(live, short) if short else Evicted(0, 0, 0)
    full = max(0, count - live.full_allocator.available_size())
    swa = max(0, count - live.swa_allocator.available_size())
    return evict(live, full, swa) if full or swa else Evicted(0, 0, 0)


def evict(live: LiveEngine, full: int = 0, swa: int = 0, mamba: int = 0) -> Evicted:
    """As the allocation paths in `mem_cache/common.py`: numbers of tokens, states for mamba."""
    done = live.cache.evict(live.names.EvictParams(num_tokens=full, swa_num_tokens=swa, mamba_num=mamba))
    return Evicted(done.num_tokens_evicted, done.swa_num_tokens_evicted, done.mamba_num_evicted)


def evict_host(live: LiveEngine, count: int, component: Component = "full") -> int:
    """As a backup does when its host pool is short (`host_evict_fn`, the pre-eviction in
    the backup itself). Returns what the engine counts for that component."""
    return int(live.cache.evict_host(count, getattr(live.names.ComponentType, component.upper())))


def load_slot_free(live: LiveEngine) -> bool:
    """Later engines take no load while as many are unacknowledged as they have counters."""
    return not hasattr(live.cache, "has_free_load_back_slot") or live.cache.has_free_load_back_slot()


def load_back(live: LiveEngine, tokens: Sequence[int]) -> bool:
    """Brings the host copies of a prefix to the device; whether the engine agreed to.

    As `PrefillAdder.add_one_req` for a request that is then aborted: match, pin, load, and
    the loads are started with the batch.
    """
    found = match(live, tokens)
    if not found.needs_load or not load_slot_free(live):
        return False
    pin = lock(live, found.device_node)
    loaded = bool(live.cache.load_back(found.best_node))
    unlock(live, pin)
    live.cache.ready_to_load_host_cache()
    return loaded


def is_backed_up(live: LiveEngine, node: Handle) -> bool:
    """Whether a node has a full-attention host copy."""
    return bool(live.cache.is_backuped(node) if isinstance(node, int) else node.backuped)


def write_backup(live: LiveEngine, node: Handle) -> int:
    """Backs a device node up by hand; returns the number of host tokens, 0 if the engine
    declined. As `_inc_hit_count` when a node of the write-through family has enough hits:
    a node that has a backup already, or the write-back policy, is not its case.
    """
    if live.config.policy == "write_back":
        raise ValueError("under write_back only an eviction backs a node up")
    if hasattr(live.cache, "write_backup"):
        count = live.cache.write_backup(node)
    else:
        count = live.cache._execute_and_commit_kv_backup(_backup_action(live, node))
    flush(live)
    return int(count)


def _backup_action(live: LiveEngine, node: Handle) -> Any:
    """The action of the node and its ancestors without a backup, where a core builds one."""
    if hasattr(live.tree, "build_backup_kv_action") and (not live.rust or store.at_least(live.version, "0.5.23")):
        return live.tree.build_backup_kv_action(node)
    if live.rust:  # 0.5.22's inherits that and raises
        actions = importlib.import_module("sglang.srt.mem_cache.unified_cache.cache_action")
        return actions.BackupKV(node_ids=_without_backup(live, node))
    return live.tree._build_backup_kv_action(live.tree.node_by_id(node))


def _without_backup(live: LiveEngine, node: Handle) -> list[Handle]:
    """A node of a Rust core and its ancestors up to the first that is backed up, that one's child first."""
    seen = listing(live.tree._binding)
    row, chain = seen.row[node], [node]
    while (row := seen.parents[row]) and not is_backed_up(live, seen.ids[row]):
        chain.append(seen.ids[row])
    return chain[::-1]


def flush(live: LiveEngine) -> None:
    """Submits queued backups where an engine queues them, as after each batch's results."""
    if hasattr(live.cache, "flush_pending_backups"):
        live.cache.flush_pending_backups()


def pump(live: LiveEngine) -> None:
    """As the scheduler at each step: takes the acks of copies that are done."""
    if live.controller is not None:
        live.cache.check_hicache_events()


def drain(live: LiveEngine) -> tuple[Transfer, ...]:
    """Runs and acknowledges everything in flight; returns what ran.

    Waits for writes as `evict` does under write_back from 0.5.13: in 0.5.12 the ordinary
    poll fails on the ack of a write-back, which has no lock to release.
    """
    if live.controller is None:
        return ()
    flush(live)
    running = live.copies.pending()
    live.cache.writing_check(write_back=True)
    live.copies.run_all()
    live.cache.check_hicache_events()
    return running


def reset(live: LiveEngine) -> None:
    """As `Scheduler.flush_cache`, which runs only when no request is left; copies in flight
    land first, as they would on a GPU."""
    held = len(live.locks) + len(live.prefetches)
    if held:
        raise EngineError(f"{held} locks and prefetches are held: an engine flushes only when idle")
    flush(live)
    live.copies.run_all()
    live.cache.reset()
    live.req_to_token_pool.clear()
    live.allocator.clear()


def engine_sanity_check(live: LiveEngine) -> tuple[str, ...]:
    """What the engine's own check complains about, line by line; empty when it is content."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            live.cache.sanity_check()
        except AssertionError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            return tuple(lines[1:] if len(lines) > 1 else lines) or ("assertion without a message",)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 (a panic of the Rust core is no Exception)
            return (f"{type(error).__name__}: {error}",)
    return ()


def known_false_alarms(live: LiveEngine, complaints: Sequence[str]) -> tuple[str, ...]:
    """Those of the engine's complaints that are wrong about a legal state.

    0.5.18 to 0.5.23, not under write_back, while a load back is in flight: the loaded
    nodes join the duplicate tracking at the ack (`finish_load_back`), but only write_back
    marks them, so the check (`_is_settled_full_host_duplicate`) misses them before.
    """
    if not store.at_least(live.version, "0.5.18") or live.config.policy == "write_back":
        return ()
    if live.controller is None or not live.cache.ongoing_load_back:
        return ()
    return tuple(line for line in complaints if line.startswith(_UNTRACKED))


# The same check in the Python and in the Rust core.
_UNTRACKED = ("Duplicate missing", "Full host coexistence missing")


def verify_request(live: LiveEngine, tokens: Sequence[int]) -> content.Verdict:
    """The bytes that a request for `tokens` would be served from the cache now.

    Loads that are in flight land first: a forward pass waits for its batch's load, and
    those of earlier batches ran before it on the same stream.
    """
    found = match(live, tokens)
    live.copies.run_all("load")
    return content.check_prefix(live, tokens, found.slots, found.device_node)
