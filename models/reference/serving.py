"""A request's life in the cache, step by step as a scheduler lives it.

Started, a request holds a lock and has slots of its own; finished, those of whole pages
are the tree's and the lock has moved to the end of its path; released, it is gone. Steps
of other requests, evictions and late copies come between. A prefetch is a request that
holds host slots alone until it is finished. What a request holds is entered as soon as
the cache has given it, and struck out when the cache has taken it: the books are right
whenever a call on the cache is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE, HOST
from sanitree.models.reference import content
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.nodes import Node, Tokens
from sanitree.models.reference.operations import HostInsertResult, InsertResult, Receipt, Refused


@dataclass(slots=True, eq=False)
class Request:
    """A request that holds a lock.

    number: that of its first lock. prefix: full device slots of its first tokens, which are the tree's and which it has
    locked. own: device slots that are not the tree's, by component: of a per-token one
    those of the tokens after the prefix, of a per-node one its state. own_host: the same
    on the host, of a prefetch. loaded: tokens that its load back brings.
    """

    number: int
    tokens: Tokens
    receipt: Receipt
    prefix: Tensor
    own: dict[str, Tensor] = field(default_factory=dict)
    own_host: dict[str, Tensor] = field(default_factory=dict)
    finished: bool = False
    loaded: int = 0

    @property
    def node(self) -> Node:
        """Where its locked path ends."""
        return self.receipt.node


def start(cache: UnifiedRadixCache, tokens: Sequence[int], load: bool = True) -> Request | Refused:
    """Admits a request and launches its forward pass: match, lock, load back what the host has
    (unless not `load`), allocate with eviction, write the new KV. The last token is always
    computed, so its page is never matched. The bytes of a load may still be in flight when
    this returns. A refusal leaves nothing behind but the load."""
    tokens = tuple(tokens)
    if not tokens:
        raise CacheError("a request has tokens")
    found = cache.match_prefix(tokens[: len(tokens) - 1])
    request = _admit(cache, tokens, found.device_node)
    if load and found.host_tokens > found.device_tokens and cache.load_back(found.host_node).refused is None:
        _move(cache, request, found.host_node)
        request.loaded = found.host_tokens - found.device_tokens
    refused = _allocate(cache, request)
    if refused is not None:
        release(cache, request)
        return refused
    _compute(cache, request)
    return request


def extend(cache: UnifiedRadixCache, request: Request, tokens: Sequence[int]) -> Refused | None:
    """A request that was finished goes on: its next chunk, or what it decodes. A refusal leaves it as it was."""
    if not request.finished or not tokens or any(slots.numel() for slots in request.own.values()):
        raise CacheError(f"request {request.number} cannot go on: finish it, on whole pages, and give it tokens")
    before, request.tokens = request.tokens, request.tokens + tuple(tokens)
    refused = _allocate(cache, request)
    if refused is not None:
        _free_own(cache, request)
        request.tokens = before
        return refused
    _compute(cache, request)
    request.finished = False
    return None


def _allocate(cache: UnifiedRadixCache, request: Request) -> Refused | None:
    """Device slots for what a request is to compute; what it was given before a refusal is its own."""
    page = cache.config.page_size
    pages = -(-len(request.tokens) // page) * page
    for part in cache.parts:
        count = pages - request.prefix.numel() if part.per_token else 1
        slots = cache.alloc(part.name, count)
        if slots is None:
            return Refused(part.name, count, DEVICE)
        request.own[part.name] = slots
    return None


def _admit(cache: UnifiedRadixCache, tokens: Tokens, node: Node) -> Request:
    receipt = cache.inc_lock_ref(node)
    request = Request(receipt.number, tokens, receipt, cache.path_slots(node))
    cache.requests[request.number] = request
    return request


def _move(cache: UnifiedRadixCache, request: Request, node: Node) -> None:
    """Moves a request's lock to the end of another path."""
    before, request.receipt = request.receipt, cache.inc_lock_ref(node)
    request.prefix = cache.path_slots(node)
    cache.dec_lock_ref(before)


def _compute(cache: UnifiedRadixCache, request: Request) -> None:
    """The forward pass: KV of the tokens after the prefix, and the state after the last whole page."""
    prefix_len, whole = request.prefix.numel(), len(cache.whole(request.tokens))
    for part in cache.parts:
        slots = request.own[part.name]
        if part.per_token:
            content.fill(cache, part.name, request.tokens, prefix_len, slots[: len(request.tokens) - prefix_len])
        elif whole:
            content.fill(cache, part.name, request.tokens[:whole], whole - 1, slots)


def finish(cache: UnifiedRadixCache, request: Request) -> InsertResult:
    """Caches what a request computed; it keeps a lock on its path, and the slots of a last
    partial page, until it is released."""
    if request.finished or request.own_host:
        raise CacheError(f"request {request.number} has nothing to insert")
    prefix_len, whole = request.prefix.numel(), len(cache.whole(request.tokens))
    slots: dict[str, Tensor] = {}
    rest: dict[str, Tensor] = {}
    for part in cache.parts:
        own = request.own[part.name]
        if part.per_token:
            prefix = request.prefix if part.component.backbone else torch.zeros(prefix_len, dtype=torch.int64)
            slots[part.name] = torch.cat([prefix, own[: whole - prefix_len]])
            rest[part.name] = own[whole - prefix_len :]
        else:
            slots[part.name] = own
    inserted = cache.insert(request.tokens, slots, prefix_len)
    request.own = rest | {name: slots[name] for name in inserted.left}
    for name in inserted.left:
        cache.free(name, slots[name])
        del request.own[name]
    _move(cache, request, inserted.node)
    request.finished = True
    return inserted


def release(cache: UnifiedRadixCache, request: Request, insert: bool = False) -> None:
    """Ends a request: frees what is its own, and drops its lock. Before it is finished, an abort; after,
    with `insert`, all that is cached of it is inserted once more, which counts a hit for each node."""
    if cache.requests.get(request.number) is not request:
        raise CacheError(f"request {request.number} is not running")
    if insert and request.finished:
        prefix_len = request.prefix.numel()
        slots = {p.name: request.prefix for p in cache.parts if p.per_token}  # all known: nobody looks at them
        cache.insert(request.tokens[:prefix_len], slots, prefix_len)
    _free_own(cache, request)
    for name in list(request.own_host):
        cache.free_host(name, request.own_host[name])
        del request.own_host[name]
    cache.dec_lock_ref(request.receipt)
    del cache.requests[request.number]


def _free_own(cache: UnifiedRadixCache, request: Request) -> None:
    for name in list(request.own):
        cache.free(name, request.own[name])
        del request.own[name]


abort = release


def start_prefetch(cache: UnifiedRadixCache, tokens: Sequence[int]) -> Request | Refused:
    """Allocates host slots for whole pages of tokens and the state after them, and fills them as
    from storage."""
    if not cache.config.tiered:
        raise CacheError("this cache has no host tier: configure host_slots")
    tokens = cache.whole(tokens)
    request = _admit(cache, tokens, cache.root)
    for part in cache.parts:
        count = len(tokens) if part.per_token else 1
        slots = cache.alloc_host(part.name, count)
        if slots is None:
            release(cache, request)
            return Refused(part.name, count, HOST)
        request.own_host[part.name] = slots
        if tokens:
            content.fill(cache, part.name, tokens, 0 if part.per_token else len(tokens) - 1, slots, HOST)
    return request


def finish_prefetch(cache: UnifiedRadixCache, request: Request) -> HostInsertResult:
    """Gives the tree what a prefetch has fetched; the request is over."""
    done = cache.insert_host(request.tokens, request.own_host)
    request.own_host = {}
    release(cache, request)
    return done
