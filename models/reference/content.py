"""Which bytes belong in which slot, written and checked.

The entries of a token are a function of its whole prefix, of the component, the layer and
the column. So a slot that serves another prefix, another layer or older bytes shows.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE, HOST, Tier
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.nodes import Node

_SEED = 7
_MASK = (1 << 48) - 1
_LAYER, _COLUMN, _MIX = 0x9E3779B97F4A7C15 >> 1, 0xC2B2AE3D27D4EB4F >> 1, 0x165667B19E3779F9


@dataclass(frozen=True, slots=True)
class WrongBytes:
    """Slots that hold other bytes than the tokens of their holder call for.

    holder: a node's id, or the number of a request that reads them. what: "device" or
    "host" for a copy of the node, "request" for what a request reads on the device.
    """

    holder: int
    component: str
    what: str
    slots: tuple[int, ...]

    def __str__(self) -> str:
        holder = "request" if self.what == "request" else f"{self.what} copy of node"
        return f"{holder} {self.holder}: wrong {self.component} bytes in slots {list(self.slots)}"


def prefix_hashes(tokens: Sequence[int], start: int = _SEED) -> list[int]:
    """For each token, a hash of the whole prefix that ends with it; `start` continues one."""
    hashes = []
    for token in tokens:
        start = (start * 1000003 + token + 1) & _MASK
        hashes.append(start)
    return hashes


def expected(cache: UnifiedRadixCache, component: str, hashes: Sequence[int]) -> Tensor:
    """The rows of slots of tokens with these prefix hashes: int64, shape [layers, hashes, width], on the CPU."""
    return _rows(component, cache.config.layers, cache.config.width, tuple(hashes))


def expected_digest(cache: UnifiedRadixCache, component: str, hashes: Sequence[int]) -> int:
    """The digest of `expected`."""
    return _digest(component, cache.config.layers, cache.config.width, tuple(hashes))


@lru_cache(maxsize=1 << 14)  # of a watched cache's nodes, most are asked for again after each call
def _rows(component: str, layers: int, width: int, hashes: tuple[int, ...]) -> Tensor:
    tokens = torch.tensor(hashes, dtype=torch.int64) + zlib.crc32(component.encode())
    layer, column = torch.arange(layers) * _LAYER, torch.arange(width) * _COLUMN
    # int64 arithmetic wraps around, which mixes well enough.
    return (tokens * _MIX)[None, :, None] ^ (layer[:, None, None] + column[None, None, :])


@lru_cache(maxsize=1 << 16)
def _digest(component: str, layers: int, width: int, hashes: tuple[int, ...]) -> int:
    return digest(_rows(component, layers, width, hashes))


def fill(
    cache: UnifiedRadixCache, component: str, tokens: Sequence[int], start: int, slots: Tensor, tier: Tier = DEVICE
) -> None:
    """Writes the bytes of the tokens from `start` on into their slots, as a forward pass or a fetch
    from storage does; of a state, with its last token alone."""
    buffer = cache.pool(component, tier).buffer
    rows = expected(cache, component, prefix_hashes(tokens)[start : start + slots.numel()])
    buffer.index_copy_(1, slots.to(buffer.device), rows.to(buffer.device))


def held(cache: UnifiedRadixCache, component: str, tier: Tier, slots: Tensor) -> Tensor:
    """The rows that slots hold now: int64, shape [layers, slots, width], on the CPU."""
    buffer = cache.pool(component, tier).buffer
    return buffer.index_select(1, slots.to(buffer.device)).to("cpu")


def digest(rows: Tensor) -> int:
    """A number for rows; equal rows have equal numbers, here and in every process."""
    code = hashlib.blake2b(rows.contiguous().numpy().tobytes(), digest_size=8).digest()
    return int.from_bytes(code, "big") >> 1


def wrong_bytes(cache: UnifiedRadixCache) -> list[WrongBytes]:
    """Every settled copy of every node, and what each request reads, compared with what its tokens
    call for. What a transfer in flight is still writing is left out."""
    arriving = slots_arriving(cache)
    return [*_wrong_copies(cache, arriving), *_wrong_reads(cache, arriving)]


Arriving = dict[tuple[str, Tier], set[int]]


def slots_arriving(cache: UnifiedRadixCache) -> Arriving:
    """The slots that transfers in flight are still writing, by component and tier."""
    found: Arriving = {(part.name, tier): set() for part in cache.parts for tier in Tier}
    for lane, tier in ((cache.writes, HOST), (cache.loads, DEVICE)):
        for transfer in lane.flying.values():
            if not cache.runner.is_done(transfer):
                for s in transfer.spans:
                    found[s.component, tier].update((s.host if tier is HOST else s.device).tolist())
    return found


def _wrong_copies(cache: UnifiedRadixCache, arriving: Arriving) -> Iterator[WrongBytes]:
    stack: list[tuple[Node, int]] = [(cache.root, _SEED)]
    while stack:
        node, start = stack.pop()
        hashes = prefix_hashes(node.key, start)
        stack += [(child, hashes[-1] if hashes else start) for child in node.children.values()]
        for part, copies in zip(cache.parts, node.data, strict=True):
            wanted = hashes if part.per_token else hashes[-1:]
            for tier, slots in ((DEVICE, copies.device), (HOST, copies.host)):
                if slots is None or node is cache.root:
                    continue
                if bad := _differing(cache, part.name, tier, slots, wanted, arriving):
                    yield WrongBytes(node.id, part.name, tier.value, bad)


def _wrong_reads(cache: UnifiedRadixCache, arriving: Arriving) -> Iterator[WrongBytes]:
    for request in cache.requests.values():
        hashes = prefix_hashes(request.tokens)
        prefix_len = request.prefix.numel()
        for part in cache.parts:
            own = request.own.get(part.name)
            reads = request.prefix if part.component.backbone else cache.path_slots(request.node, part.name)
            before = hashes[:prefix_len][-reads.numel() :] if reads.numel() else []
            pairs = [(reads, before)]
            if own is not None and part.per_token:
                pairs.append((own, hashes[prefix_len:]))
            elif own is not None:
                pairs.append((own, hashes[: len(cache.whole(request.tokens))][-1:]))
            for slots, wanted in pairs:
                # The last page may have more slots than tokens.
                if bad := _differing(cache, part.name, DEVICE, slots[: len(wanted)], wanted, arriving):
                    yield WrongBytes(request.number, part.name, "request", bad)


def _differing(
    cache: UnifiedRadixCache, component: str, tier: Tier, slots: Tensor, hashes: Sequence[int], arriving: Arriving
) -> tuple[int, ...]:
    """The settled slots that hold other bytes than the hashes call for."""
    if not slots.numel():
        return ()
    bad = (held(cache, component, tier, slots) != expected(cache, component, hashes)).any(dim=2).any(dim=0)
    if not bool(bad.any()):
        return ()
    late = arriving[component, tier]
    return tuple(s for s in slots[bad].tolist() if s not in late)
