"""Which bytes belong in which slot, written and checked.

The KV of a token is a function of its whole prefix, its layer, and whether it is key,
value or state. So a slot that serves another prefix, another layer or older bytes is
wrong, and shows. Two different prefixes have the same bytes with a chance of 251^-4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sanitree.models.engines.build import COMPONENTS, Component, LiveEngine
from sanitree.models.engines.copies import spans_of
from sanitree.models.snapshot import Column, Key, Snapshot

_SEED = 7
_MASK = (1 << 48) - 1
_PRIME = 251  # values stay below 256: bfloat16 holds those exactly


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a request's matched prefix: how many tokens were checked, the positions served
    with wrong bytes by component (for mamba, the position whose state is wrong)."""

    checked: int
    wrong: dict[Component, tuple[int, ...]]

    @property
    def wrong_tokens(self) -> int:
        """Tokens with a wrong byte in any component."""
        return len({position for positions in self.wrong.values() for position in positions})

    def __bool__(self) -> bool:
        return not self.wrong


@dataclass(frozen=True, slots=True)
class WrongBytes:
    """Slots that hold other bytes than the tokens of their holder call for: of a node's
    copy on `tier` "device" or "host", or of a running "request"."""

    node: int
    component: Component
    tier: str
    slots: tuple[int, ...]

    def __str__(self) -> str:
        holder = "request" if self.tier == "request" else f"{self.tier} copy of node"
        return f"{holder} {self.node}: wrong {self.component} bytes in slots {list(self.slots)}"


def prefix_hashes(tokens: Sequence[int], start: int = _SEED) -> list[int]:
    """For each token, a hash of the whole prefix that ends with it; `start` continues one."""
    hashes = []
    for token in tokens:
        start = (start * 1000003 + token + 1) & _MASK
        hashes.append(start)
    return hashes


def _rows(hashes: Tensor, layer: int, kind: int, shape: Sequence[int]) -> Tensor:
    """The expected values of one buffer: a row of `shape` for each hash."""
    width = 1
    for size in shape:
        width *= size
    element = torch.arange(width)
    values = (hashes[:, None] >> (8 * (element % 4))) + 13 * layer + 101 * kind + 31 * element
    return (values % _PRIME).to(torch.bfloat16).view(len(hashes), *shape)


def _hashes(tokens: Sequence[int]) -> Tensor:
    return torch.tensor(prefix_hashes(tokens), dtype=torch.int64)


def write(live: LiveEngine, tokens: Sequence[int], start: int, slots: Tensor) -> None:
    """The forward pass of `tokens[start:]` into full-attention `slots`, and into the window
    slots that the allocator paired with them."""
    if not len(slots):
        return
    hashes = _hashes(tokens)[start : start + len(slots)]
    for kind, layer, buffer in _device_buffers(live, "full"):
        buffer[slots] = _rows(hashes, layer, kind, buffer.shape[1:])
    if live.has("swa"):
        window = swa_slots(live, slots)
        for kind, layer, buffer in _device_buffers(live, "swa"):
            buffer[window] = _rows(hashes, layer, kind, buffer.shape[1:])


def write_state(live: LiveEngine, tokens: Sequence[int], state: Tensor) -> None:
    """The mamba state after all of `tokens`, into the one slot `state`."""
    last = _hashes(tokens)[-1:]
    for kind, layer, buffer in _device_buffers(live, "mamba"):
        buffer[state.long()] = _rows(last, layer, kind, buffer.shape[1:])


def write_host(live: LiveEngine, tokens: Sequence[int], start: int, slots: Tensor) -> None:
    """What storage has of `tokens[start:]`, into full-attention host slots of the layer-first layout."""
    hashes, pool = _hashes(tokens)[start : start + len(slots)], live.host_pools["full"]
    for kind, buffer in enumerate((pool.k_buffer, pool.v_buffer)):
        for layer, rows in enumerate(buffer):
            rows[slots.long()] = _rows(hashes, layer, kind, rows.shape[1:])


def swa_slots(live: LiveEngine, slots: Tensor) -> Tensor:
    """The window slots paired with full-attention slots; 0 where there is none."""
    paired: Tensor = live.allocator.translate_loc_from_full_to_swa(slots)
    return paired.long()


def check_prefix(live: LiveEngine, tokens: Sequence[int], slots: Tensor, node: Any) -> Verdict:
    """Checks what a request that starts at `node` reads: all of full attention, the last
    window of sliding-window attention, the one mamba state."""
    count = len(slots)
    hashes = _hashes(tokens[:count])
    wrong: dict[Component, tuple[int, ...]] = {}
    bad = _wrong(live, "full", "device", slots, hashes)
    if bad:
        wrong["full"] = tuple(bad)
    if live.has("swa") and count:
        first = max(0, count - live.config.window)
        bad = _wrong(live, "swa", "device", swa_slots(live, slots[first:]), hashes[first:])
        if bad:
            wrong["swa"] = tuple(first + position for position in bad)
    if live.has("mamba") and count:
        state = _mamba_value(live, node)
        if state is None or _wrong(live, "mamba", "device", state.long(), hashes[-1:]):
            wrong["mamba"] = (count - 1,)
    return Verdict(count, wrong)


def _mamba_value(live: LiveEngine, node: Any) -> Tensor | None:
    if not isinstance(node, int):
        value: Tensor | None = node.component_data[2].value
        return value
    return live.tree.get_component_device_value(node, live.names.ComponentType.MAMBA)  # type: ignore[no-any-return]


def verify_tree(live: LiveEngine) -> list[WrongBytes]:
    """Every copy of every node of a Python core, but those a transfer in flight is writing.

    A Rust core's nodes cannot be read: it has nothing to say there and returns an empty list.
    """
    if live.rust:
        return []
    arriving = _arriving(live)
    found: list[WrongBytes] = []
    stack = [(live.tree.root_node, _SEED)]
    while stack:
        node, start = stack.pop()
        hashes: list[int] = []
        if node.parent is not None:
            hashes = prefix_hashes(node_tokens(node), start)
            found += _verify_node(live, node, torch.tensor(hashes, dtype=torch.int64), arriving)
        stack += [(child, hashes[-1] if hashes else start) for child in node.children.values()]
    return found


def node_tokens(node: Any) -> list[int]:
    """The tokens of a node object's own run."""
    raw = getattr(node.key, "raw_token_ids", None)
    return list(raw() if raw is not None else node.key.token_ids)


def _verify_node(
    live: LiveEngine, node: Any, hashes: Tensor, arriving: set[tuple[str, str, int]]
) -> Iterator[WrongBytes]:
    for component in live.config.components:
        data = node.component_data[COMPONENTS.index(component)]
        expected = hashes[-1:] if component == "mamba" else hashes
        for tier, slots in (("device", data.value), ("host", data.host_value)):
            if slots is None:
                continue
            bad = _wrong(live, component, tier, slots.long(), expected)
            named = (int(slots[position]) for position in bad)
            bad_slots = tuple(slot for slot in named if (component, tier, slot) not in arriving)
            if bad_slots:
                yield WrongBytes(node.id, component, tier, bad_slots)


def verify_requests(live: LiveEngine) -> list[WrongBytes]:
    """What each request that holds a lock reads: its full-attention slots, but those that
    a load in flight is writing. `node` is the request's number here."""
    arriving = _arriving(live)
    found = []
    for request in live.requests:
        bad = _wrong(live, "full", "device", request.slots, _hashes(request.tokens))
        slots = tuple(slot for slot in request.slots[bad].tolist() if ("full", "device", slot) not in arriving)
        if slots:
            found.append(WrongBytes(request.number, "full", "request", slots))
    return found


def _arriving(live: LiveEngine) -> set[tuple[str, str, int]]:
    """Slots whose bytes are still on their way: targets of copies that have not run, and of
    operations that the controller has not even submitted."""
    slots: set[tuple[str, str, int]] = set()
    for transfer in live.copies.pending():
        tier = "host" if transfer.stream == "write" else "device"
        slots.update((span.component, tier, slot) for span in transfer.spans for slot in getattr(span, tier))
    if live.controller is not None:
        for queue, tier in ((live.controller.write_queue, "host"), (live.controller.load_queue, "device")):
            slots.update((s.component, tier, slot) for s in spans_of(queue) for slot in getattr(s, tier))
    return slots


Digests = dict[tuple[str, int], bytes]
"""What one slot of a component holds for a prefix of a hash, laid out as `_held` has it; filled as it is asked for."""


def columns(live: LiveEngine, s: Snapshot, known: Digests) -> dict[Key, Column]:
    """What each copy in a snapshot of an engine holds, as numbers to compare, and what it should.

    Unknown without a copy, and while a copy in flight is writing it. What it should hold is only said where the tokens
    of every node were read.
    """
    arriving, nodes = _arriving(live), s.nodes
    keys = nodes.lists.get(Key("key"))
    paths: list[list[int]] | None = None
    if keys is not None:
        paths = [[]]
        for tokens, up in zip(keys.each[1:], nodes.columns[Key("parent")].listed[1:], strict=True):
            paths.append(prefix_hashes(tokens, paths[up][-1] if paths[up] else _SEED))
    found: dict[Key, Column] = {}
    for c in live.config.components:
        for tier in ("device", "host"):
            holds = nodes.lists.get(Key("holds", c, tier))
            if holds is None:
                continue
            if tier == "host" and c not in live.host_pools:
                continue
            here = [bool(x) and not any((c, tier, slot) in arriving for slot in x) for x in holds.each]
            listed = [slot for x, there in zip(holds.each, here, strict=True) if there for slot in x]
            bytes_of = _held(live, c, tier, listed)
            own = [0] * len(here)
            sure = [False] * len(here)
            held = [
                _number([bytes_of[slot] for slot in x]) if there else 0
                for x, there in zip(holds.each, here, strict=True)
            ]
            for row, (x, there) in enumerate(zip(holds.each, here, strict=True)):
                if there and paths is not None:
                    wanted = paths[row][-1:] if c == "mamba" else paths[row]
                    if len(wanted) == len(x):  # else some of its tokens have no slot, and nobody says which
                        own[row], sure[row] = _number([_expected(live, c, h, known) for h in wanted]), True
            found[Key("bytes", c, tier)] = Column.of(held, int, here)
            if paths is not None:
                found[Key("own_bytes", c, tier)] = Column.of(own, int, sure)
    return found


def _held(live: LiveEngine, component: Component, tier: str, slots: Sequence[int]) -> dict[int, bytes]:
    if not slots:
        return {}
    at = torch.tensor(slots, dtype=torch.int64)
    rows = _device_rows if tier == "device" else _host_rows
    parts = [found.reshape(len(slots), -1) for _, _, found in rows(live, component, at)]
    together = torch.cat(parts, dim=1).contiguous().view(torch.int16).numpy()
    return {slot: together[i].tobytes() for i, slot in enumerate(slots)}


def _expected(live: LiveEngine, component: Component, one: int, known: Digests) -> bytes:
    held = known.get((component, one))
    if held is None:
        hashes, parts = torch.tensor([one], dtype=torch.int64), []
        for kind, layer, buffer in _device_buffers(live, component):
            parts.append(_rows(hashes, layer, kind, buffer.shape[1:]).reshape(1, -1))
        held = known[component, one] = torch.cat(parts, dim=1).contiguous().view(torch.int16).numpy().tobytes()
    return held


def _number(held: Sequence[bytes]) -> int:
    return hash(tuple(held)) & ((1 << 62) - 1)


def _wrong(live: LiveEngine, component: Component, tier: str, slots: Tensor, hashes: Tensor) -> list[int]:
    """The positions whose slot has any byte other than its hash calls for."""
    if not len(slots):
        return []
    good = torch.ones(len(slots), dtype=torch.bool)
    rows = _device_rows if tier == "device" else _host_rows
    for kind, layer, found in rows(live, component, slots):
        expected = _rows(hashes, layer, kind, found.shape[1:])
        good &= (found == expected).view(len(slots), -1).all(dim=1)
    return (~good).nonzero().view(-1).tolist()


def _device_buffers(live: LiveEngine, component: Component) -> Iterator[tuple[int, int, Tensor]]:
    """(kind, layer, buffer indexed by slot): kind 0 is key or the temporal state, 1 value,
    from 2 the convolution states."""
    pool = live.device_pools[component]
    if component == "mamba":
        yield from ((0, layer, buffer) for layer, buffer in enumerate(pool.mamba_cache.temporal))
        for kind, conv in enumerate(pool.mamba_cache.conv, start=2):
            yield from ((kind, layer, buffer) for layer, buffer in enumerate(conv))
        return
    yield from ((0, layer, buffer) for layer, buffer in enumerate(pool.k_buffer))
    yield from ((1, layer, buffer) for layer, buffer in enumerate(pool.v_buffer))


def _device_rows(live: LiveEngine, component: Component, slots: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    yield from ((kind, layer, buffer[slots]) for kind, layer, buffer in _device_buffers(live, component))


def _host_rows(live: LiveEngine, component: Component, slots: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    """The same rows from the host pool, in either of its layouts."""
    pool = live.host_pools[component]
    page = 1 if component == "mamba" else live.page_size
    if component == "mamba":
        buffers = [(0, pool.temporal_buffer), *enumerate(pool.conv_buffer, start=2)]
    else:
        buffers = [(0, pool.k_buffer), (1, pool.v_buffer)]
    for kind, buffer in buffers:
        if pool.layout == "layer_first":
            yield from ((kind, layer, rows[slots]) for layer, rows in enumerate(buffer))
        else:
            for layer in range(buffer.shape[1]):
                yield kind, layer, buffer[slots // page, layer, slots % page]
