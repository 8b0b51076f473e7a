"""A request's life in the cache, step by step as the scheduler lives it.

Started, a request holds a lock and has slots of its own; finished, its slots are the
tree's and the lock has moved to the end of its path; released, it is gone. Steps of
other requests, evictions and late copies come between.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sanitree.models.engines import content, drive, store
from sanitree.models.engines.build import Component, LiveEngine
from sanitree.models.engines.errors import EngineError


@dataclass(slots=True, eq=False)
class Request:
    """A request that holds a lock. Until it is finished, the slots from `protected` on are
    its own; then all of them are the tree's."""

    number: int
    tokens: tuple[int, ...]
    slots: Tensor
    protected: int
    lock: drive.Lock
    finished: bool = False
    loaded: int = 0
    """Tokens that its load back brought."""
    inserted: int = 0
    """Tokens that it has inserted so far."""
    state: Tensor | None = None
    """The slot of a recurrent state that it is about to insert."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request could not start or finish: the pool that had too little."""

    component: Component
    wanted: int


_numbers = itertools.count(1)


def start_request(live: LiveEngine, tokens: Sequence[int], load: bool = True) -> Request | Refused:
    """Admits a request and launches its forward pass.

    As `PrefillAdder.add_one_req` and the allocation for extend: match, pin, load back what
    the host has, lock, allocate (evicting when short), start the loads, write the new KV.
    The last token is always computed, so its page is never matched. The bytes of a load
    may still be in flight when this returns.
    """
    tokens = tuple(tokens)
    found = drive.match(live, tokens[: len(tokens) - live.page_size])
    pin = drive.lock(live, found.device_node)
    node, slots, loaded = found.device_node, found.slots, 0
    if load and found.needs_load and drive.load_slot_free(live) and live.cache.load_back(found.best_node):
        brought = drive.path_slots(live, found.best_node, found.device_node)
        if len(brought):
            node, loaded = found.best_node, len(brought)
            slots = torch.cat([slots, brought])
    held = drive.lock(live, node)
    drive.unlock(live, pin)
    new = _allocate(live, len(tokens) - len(slots))
    if isinstance(new, Refused):
        _start_loads(live)
        drive.unlock(live, held)
        return new
    request = Request(next(_numbers), tokens, torch.cat([slots, new]), len(slots), held, loaded=loaded)
    live.requests.append(request)
    _start_loads(live)
    content.write(live, tokens, len(slots), new)
    return request


def _start_loads(live: LiveEngine) -> None:
    if live.controller is not None:
        live.cache.ready_to_load_host_cache()


def extend_request(live: LiveEngine, request: Request, tokens: Sequence[int]) -> Refused | None:
    """A finished request goes on with whole pages, which it computes. A refusal leaves it as it was.

    As `ScheduleBatch.prepare_for_extend` of a chunked request's next chunk, and as decoding
    fills pages (`prepare_for_decode`).
    """
    if not request.finished:
        raise EngineError(f"request {request.number} has not inserted what it computed before")
    new = _allocate(live, len(tokens))
    if isinstance(new, Refused):
        return new
    before = len(request.tokens)
    request.tokens, request.slots = (*request.tokens, *tokens), torch.cat([request.slots, new])
    request.finished = False
    content.write(live, request.tokens, before, new)
    return None


def _allocate(live: LiveEngine, count: int) -> Tensor | Refused:
    if not count:
        return torch.empty(0, dtype=torch.int64)
    drive.evict_for(live, count)
    new = drive.alloc(live, count)
    return Refused("full", count) if new is None else new


def finish_request(live: LiveEngine, request: Request) -> Refused | None:
    """Caches what the request computed; it keeps a lock on its path until `release`.

    As `cache_unfinished_req` (`checkpoint` in later versions) after prefill: insert frees
    the duplicates beyond the protected prefix itself, the request then uses the tree's
    slots and moves its lock to the node where the insert ended. With a refusal the request
    is over, as if it was aborted.
    """
    inserted = _insert(live, request)
    if isinstance(inserted, Refused):
        abort_request(live, request)
        return inserted
    if store.at_least(live.version, "0.5.22"):
        node = inserted.last_device_node
        slots = drive.path_slots(live, node)
    else:
        found = drive.match(live, request.tokens)
        node, slots = found.device_node, found.slots
    drive.unlock(live, request.lock)
    request.lock = drive.lock(live, node)
    if len(slots) != len(request.tokens):
        raise EngineError(f"{len(request.tokens)} tokens were inserted, {len(slots)} match right after")
    request.slots, request.protected = slots, len(slots)
    drive.flush(live)
    return None


def _insert(live: LiveEngine, request: Request) -> Any | Refused:
    """Inserts the request's tokens and slots; frees the state that the tree did not take."""
    fields = live.names.InsertParams.__dataclass_fields__
    extra: dict[str, Any] = {}
    if "inserted_len" in fields:
        # What the request inserted before is no new hit.
        extra["inserted_len"] = request.inserted
    if live.has("mamba"):
        request.state = _mamba_state(live)
        if request.state is None:
            return Refused("mamba", 1)
        content.write_state(live, request.tokens, request.state)
        extra["mamba_value"] = request.state
    inserted = live.cache.insert(
        live.names.InsertParams(
            key=drive.key(live, request.tokens),
            value=request.slots.clone(),
            prev_prefix_len=request.protected,
            **extra,
        )
    )
    # From here on its slots are the tree's.
    request.finished, request.inserted = True, len(request.tokens)
    if request.state is not None and inserted.mamba_exist:
        live.slots.free_state(request.state)
    request.state = None
    return inserted


def _mamba_state(live: LiveEngine) -> Tensor | None:
    """As `MambaComponent.prepare_for_caching_req` forks a state: evicts one when short."""
    state = live.slots.alloc_state()
    if state is None:
        drive.evict(live, mamba=1)
        state = live.slots.alloc_state()
    return state


def abort_request(live: LiveEngine, request: Request) -> None:
    """As `release_kv_cache(is_insert=False)`: frees the request's own slots, drops its lock."""
    drive.free(live, request.slots[request.protected :])
    request.slots = request.slots[: request.protected]
    release(live, request)


def release(live: LiveEngine, request: Request, insert: bool = False) -> None:
    """Ends a request. With `insert` as `cache_finished_req`, which inserts all tokens once
    more (up to 0.5.21 another hit for each node); without as an abort after prefill."""
    if insert and request.finished:
        _insert(live, request)
    drive.unlock(live, request.lock)
    live.requests.remove(request)
    drive.flush(live)


def insert_request(live: LiveEngine, tokens: Sequence[int], load: bool = True) -> Request | Refused:
    """`start_request` and `finish_request`; the request returned holds its lock."""
    request = start_request(live, tokens, load)
    if isinstance(request, Refused):
        return request
    return finish_request(live, request) or request


def insert(live: LiveEngine, tokens: Sequence[int]) -> Refused | None:
    """A whole request: `insert_request` and `release`."""
    request = insert_request(live, tokens)
    if isinstance(request, Refused):
        return request
    release(live, request)
    return None
