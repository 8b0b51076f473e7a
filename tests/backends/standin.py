"""A live cache of plain objects, with the names that a Python core has for what it keeps, built from a draft.

What plain objects cannot show is lost (a counter below the members that it counts, two
children under one edge), so a draft is only where a stand-in starts from.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, SWA, Component, Tier
from sanitree.models.engines import store
from sanitree.models.engines.copies import CopyQueue, Span, Transfer, TransferEvent
from sanitree.models.engines.view import NUMBER, Held, View
from tests.drafts import Draft

KINDS = 3
"""Pointer slots of a list: the component's number on the device, this many more on the host."""

GHOST = 10**6
"""Ids from here on belong to nodes that are not in the tree."""


class Key:
    """A node's tokens and what a map of children calls them."""

    def __init__(self, first: int, tokens: list[int], length: int) -> None:
        self.first, self.token_ids, self.length = first, tokens, length

    def __len__(self) -> int:
        return self.length

    def child_key(self, page_size: int) -> int:
        return self.first


class Node:
    """A node as the engine has it; equal only to itself."""

    def __init__(self, number: int) -> None:
        self.id = number
        self.children: dict[int, Node] = {}
        self.parent: Node | None = None
        self.key = Key(0, [], 0)
        self.hit_count = 0
        self.write_through_pending_id: int | None = None
        self.load_back_pending_id: int | None = None
        self.component_data = [
            SimpleNamespace(value=None, host_value=None, lock_ref=0, host_lock_ref=0) for _ in range(KINDS)
        ]
        self.lru_prev: list[Node | None] = [None] * (2 * KINDS)
        self.lru_next: list[Node | None] = [None] * (2 * KINDS)


class LruList:
    """A linked list between two sentinels, and the nodes that are registered with it."""

    def __init__(self, slot: int) -> None:
        self._pt = slot
        self.head, self.tail = Node(-1 - 2 * slot), Node(-2 - 2 * slot)
        self.head.lru_next[slot], self.tail.lru_prev[slot] = self.tail, self.head
        self.cache: dict[int, Node] = {}

    def __len__(self) -> int:
        return len(self.cache)

    def __contains__(self, number: object) -> bool:
        return number in self.cache


def view(d: Draft) -> View:
    """The live view of a stand-in for the cache of a draft."""
    return _Builder(d).view()


class _Builder:
    def __init__(self, d: Draft) -> None:
        self.d, self.s = d, d.settings
        self.nodes = [Node(i) for i in d.nodes.ids]
        self.ghosts = 0

    def ghost(self) -> Node:
        self.ghosts += 1
        return Node(GHOST + self.ghosts)

    def view(self) -> View:
        d, n = self.d, self.d.nodes
        for row, node in enumerate(self.nodes):
            self.node(row, node)
        root = self.nodes[0]
        cache = SimpleNamespace(
            root_node=root,
            page_size=self.s.page_size,
            tree_components=[c.name for c in self.s.components],
            is_write_back=self.s.policy.value == "write_back",
            evictable_device_leaves=self.members("device_leaves"),
            evictable_host_leaves=self.members("host_leaves"),
            full_host_duplicates={x.id: x for x in self.members("host_duplicates")},
            _node_arena=self.arena(),
            component_evictable_size_=self.sizes("evictable_size"),
            component_protected_size_=self.sizes("protected_size"),
            lru_lists=[self.lru(i, DEVICE) for i in range(KINDS)],
            host_lru_lists=[self.lru(i, HOST) for i in range(KINDS)],
            ongoing_write_through={},
            ongoing_load_back={},
        )  # fmt: skip
        self.allocators(cache)
        if "tiered" in self.s.traits:
            self.controller(cache)
        held = []
        for i, number in enumerate(d.requests.ids):
            inside = d.requests("node_in_tree")[i]
            node = self.nodes[d.requests("node")[i]] if inside else self.ghost()
            device, host = (
                {c.name: tuple(d.requests.of("holds", c, t)[i]) for c in self.s.components} for t in (DEVICE, HOST)
            )
            prefix = tuple(d.requests.of("uses", FULL, DEVICE)[i])
            held.append(Held(number, node, d.requests("prefix_len")[i], device, host, prefix))
        assert n.ids[0] == root.id
        self.age(cache)
        return View(cache, d.origin.version, held)

    def age(self, cache: Any) -> None:
        """Takes away what a cache of this version does not have yet."""
        version = self.d.origin.version
        for name, first in (("_node_arena", "0.5.17"), ("full_host_duplicates", "0.5.18")):
            if not store.at_least(version, first):
                delattr(cache, name)
        for name, first in (("write_through_pending_id", "0.5.13"), ("load_back_pending_id", "0.5.18")):
            for node in self.nodes if not store.at_least(version, first) else ():
                delattr(node, name)

    def node(self, row: int, node: Node) -> None:
        n = self.d.nodes
        node.key = Key(n("first_page")[row], n.of("key")[row], max(0, n("key_len")[row]))
        node.hit_count = n("hits")[row]
        if row and n("references")[row] > 0:
            self.nodes[n("parent")[row]].children[n("edge")[row]] = node
            for again in range(n("references")[row] - 1):
                self.nodes[(n("parent")[row] + 1) % len(self.nodes)].children[GHOST + again] = node
        if n("has_parent_link")[row]:
            node.parent = self.nodes[n("parent_link")[row]]
        if n("write_pending")[row]:
            node.write_through_pending_id = n("write_ack")[row]
        if n("load_pending")[row]:
            node.load_back_pending_id = n("load_ack")[row]
        for c in self.s.components:
            data = node.component_data[NUMBER[c.name]]
            data.lock_ref, data.host_lock_ref = n("lock", c, DEVICE)[row], n("lock", c, HOST)[row]
            data.value, data.host_value = self.copy(row, c, DEVICE), self.copy(row, c, HOST)

    def copy(self, row: int, c: Component, t: Tier) -> Any:
        n = self.d.nodes
        if not n("present", c, t)[row]:
            return None
        if row == 0:
            return []  # what the engine's root has: a list
        slots, size = n.of("holds", c, t)[row], max(0, n("tokens", c, t)[row])
        padded = [0] * (size - len(slots)) + slots  # slot 0 is none
        return torch.tensor(padded[:size], dtype=torch.int64)

    def members(self, which: str) -> set[Node]:
        found = {self.nodes[r] for r, there in enumerate(self.d.nodes(f"in_{which}")) if there}
        return found | {self.ghost() for _ in range(self.d.tree(which)[0] - len(found))}

    def arena(self) -> dict[int, Node]:
        count = self.d.tree("registered_nodes")[0]
        ghosts = [self.ghost() for _ in range(count - len(self.nodes))]
        return {x.id: x for x in [*self.nodes, *ghosts][: max(0, count)]}

    def sizes(self, name: str) -> list[int]:
        found = [0] * KINDS
        for c in self.s.components:
            found[NUMBER[c.name]] = self.d.tree(name, c)[0]
        return found

    def lru(self, number: int, t: Tier) -> LruList:
        slot = number + (KINDS if t is HOST else 0)
        found = LruList(slot)
        for c in self.s.components:
            if NUMBER[c.name] != number:
                continue
            n = self.d.nodes
            ranks, prev = n("lru_rank", c, t), n("lru_prev_rank", c, t)
            order = sorted((r for r in range(len(self.nodes)) if ranks[r] >= 0), key=lambda r: ranks[r])
            at = found.head
            for r in order:
                at.lru_next[slot], at = self.nodes[r], self.nodes[r]
            at.lru_next[slot], found.tail.lru_prev[slot] = found.tail, at
            for r in range(len(self.nodes)):
                if 0 <= prev[r] < len(order):
                    self.nodes[r].lru_prev[slot] = self.nodes[order[prev[r]]]
                elif prev[r] != -2:
                    self.nodes[r].lru_prev[slot] = found.head if prev[r] == -1 else self.ghost()
            found.cache = {n.ids[r]: self.nodes[r] for r, there in enumerate(n("in_lru", c, t)) if there}
            for _ in range(self.d.tree("lru_size", c, t)[0] - len(found.cache)):
                ghost = self.ghost()
                found.cache[ghost.id] = ghost
        return found

    def allocators(self, cache: Any) -> None:
        full = self.pool(FULL, DEVICE)
        cache.token_to_kv_pool_allocator = full
        if SWA in self.s.components:
            full.full_attn_allocator, full.swa_attn_allocator = full, self.pool(SWA, DEVICE)
        if "maps_full_to_swa" in self.s.traits:
            full.full_to_swa_index_mapping = self.mapping()
        cache.req_to_token_pool = SimpleNamespace()
        for c in self.s.components:
            if c.name == "mamba":
                cache.req_to_token_pool.mamba_allocator = self.pool(c, DEVICE)

    def pool(self, c: Component, t: Tier) -> Any:
        free = torch.tensor(self.d.tree.of("free", c, t)[0], dtype=torch.int64)
        available = self.d.tree("available", c, t)[0]
        return SimpleNamespace(
            size=self.d.tree("capacity", c, t)[0],
            available_size=lambda: available,
            page_size=1,
            free_pages=free,
            release_pages=None,
            free_slots=free,
        )

    def mapping(self) -> torch.Tensor:
        full = [x.component_data[0].value for x in self.nodes[1:]]
        window = [x.component_data[NUMBER["swa"]].value for x in self.nodes[1:]]
        found = torch.zeros(2000, dtype=torch.int64)
        for row, (f, w) in enumerate(zip(full, window, strict=True), 1):
            agrees = self.d.nodes("mirrors_full", SWA)[row]
            if f is not None and w is not None and len(f) == len(w):
                found[f] = w + int(not agrees)
            elif f is not None and w is None and not agrees:
                found[f] = 1
        return found

    def controller(self, cache: Any) -> None:
        d, x = self.d, self.d.transfers
        queues: dict[str, list[Any]] = {"write": [], "load": []}
        for i in range(len(x)):
            for write in [True] * x("is_write")[i] + [False] * x("is_load")[i]:
                self.transfer(cache, queues["write" if write else "load"], i, write)
        cache.cache_controller = SimpleNamespace(
            write_policy=self.s.policy.value, write_queue=[], load_queue=[], ack_write_queue=queues["write"],
            ack_load_queue=queues["load"],
        )  # fmt: skip
        name = {"full": "kv", "swa": "swa", "mamba": "mamba"}
        cache.host_pool_group = SimpleNamespace(
            entries=[
                SimpleNamespace(name=SimpleNamespace(value=name[c.name]), host_pool=self.pool(c, HOST))
                for c in d.settings.components
            ]
        )

    def transfer(self, cache: Any, queue: list[Any], i: int, write: bool) -> None:
        x = self.d.transfers
        ack = x("ack")[i]
        node = self.nodes[x("node")[i]] if x("node_in_tree")[i] else self.ghost()
        lock = object() if x("takes_lock")[i] else None
        if write:
            cache.ongoing_write_through[ack] = (node, lock, [None] * x("published")[i])
        else:
            cache.ongoing_load_back[ack] = (node, lock)
        device, host = ("reads", "writes") if write else ("writes", "reads")
        spans = tuple(
            Span(c.name, tuple(x.of(device, c, DEVICE)[i]), tuple(x.of(host, c, HOST)[i]), ack)
            for c in self.s.components
        )
        for k in range(max(0, x("queued")[i])):
            move = Transfer("write" if write else "load", i, (ack,), spans if k == 0 else (), [])
            event = TransferEvent(CopyQueue.__new__(CopyQueue), move)
            queue.append(SimpleNamespace(node_ids=[ack], finish_event=event))
