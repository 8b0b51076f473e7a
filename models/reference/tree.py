"""The tree and its books: nodes, copies, LRU lists, leaf sets, sizes. No slot is allocated or freed here.

A cache is a stack of layers, each a class that adds its operations to the one below:
`Tree`, `Locks`, `Traffic` (transfers), `HostTier`, `Backup`, `Eviction`, `Loading`, and
`UnifiedRadixCache` on top. Every decision is a small method, so that one can be replaced
on a single cache.
"""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE, HOST, Tier
from sanitree.models.reference.config import CacheConfig
from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.nodes import Edge, Node, Tokens
from sanitree.models.reference.operations import Event, EvictHostResult, EvictResult
from sanitree.models.reference.plugins import parts_of
from sanitree.models.reference.pools import Pool, device_pools, host_pools
from sanitree.models.reference.transfers import Lane

Lru = OrderedDict[Node, None]
FULL = 0
"""The backbone's place among the components."""


class Tree:
    """Nodes, and what is kept about them.

    parts, device_pools, host_pools, evictable, protected, lru, host_lru: by the
    component's place in the configuration; host_pools is empty without a host tier.
    lru, host_lru: least recently used first; the backbone's stay empty. evictable,
    protected: device slots of unlocked and locked copies. log: told of each transfer and
    eviction, those included that other operations lead to.
    """

    def __init__(self, config: CacheConfig) -> None:
        self.config = config
        self.parts = parts_of(config)
        self.auxiliaries = tuple(range(1, len(self.parts)))
        self.per_token = tuple(i for i, part in enumerate(self.parts) if part.per_token)
        self.per_node = tuple(i for i, part in enumerate(self.parts) if not part.per_token)
        self.places = {part.name: i for i, part in enumerate(self.parts)}
        self.device_pools = device_pools(config)
        self.host_pools = host_pools(config)
        self.log: Callable[[Event | EvictResult | EvictHostResult], None] | None = None
        self._ids = itertools.count()
        self._clear()

    def _clear(self) -> None:
        """An empty tree."""
        count = len(self.parts)
        self.root = Node(next(self._ids), (), None, count)
        # The root is on the device and locked, so that every walk up ends well.
        self.root.data[FULL].device = torch.empty(0, dtype=torch.int64)
        for copies in self.root.data:
            copies.lock = 1
        self.clock = 0
        self.device_leaves: set[Node] = set()
        self.host_leaves: set[Node] = set()
        self.evictable = [0] * count
        self.protected = [0] * count
        self.lru: list[Lru] = [OrderedDict() for _ in range(count)]
        self.host_lru: list[Lru] = [OrderedDict() for _ in range(count)]
        self.writes = Lane()
        self.loads = Lane()

    def place(self, component: str) -> int:
        """The place of a component. Raises CacheError for one that the cache does not have."""
        if component not in self.places:
            raise CacheError(f"no component {component!r} here: one of {', '.join(self.places)}")
        return self.places[component]

    def pool(self, component: str, tier: Tier) -> Pool:
        """A component's pool. Raises CacheError where there is none."""
        if tier is HOST and not self.host_pools:
            raise CacheError("this cache has no host tier: configure host_slots")
        return (self.host_pools if tier is HOST else self.device_pools)[self.place(component)]

    # Tokens.

    def whole(self, tokens: Sequence[int]) -> Tokens:
        """Tokens cut to whole pages."""
        tokens = tuple(tokens)
        extra = len(tokens) % self.config.page_size
        return tokens[:-extra] if extra else tokens

    def edge(self, tokens: Tokens) -> Edge:
        """Under what a parent's map holds the child that begins with these tokens: their first page."""
        page = self.config.page_size
        return tokens[0] if page == 1 else tokens[:page]

    def shared(self, key: Tokens, tokens: Tokens) -> int:
        """Tokens, in whole pages, of the longest common prefix."""
        low, high = 0, min(len(key), len(tokens))
        while low < high:
            middle = (low + high + 1) // 2
            if key[low:middle] == tokens[low:middle]:
                low = middle
            else:
                high = middle - 1
        return low - low % self.config.page_size

    def descend(self, tokens: Tokens) -> list[Node]:
        """The nodes that whole pages of tokens lead through, from below the root; where the
        tokens leave a node halfway, it is split and its first part is the last."""
        page, at, node = self.config.page_size, 0, self.root
        path: list[Node] = []
        while at < len(tokens):
            child = node.children.get(tokens[at] if page == 1 else tokens[at : at + page])
            if child is None:
                break
            key = child.key
            if tokens[at : at + len(key)] != key:
                path.append(self.split(child, self.shared(key, tokens[at:])))
                break
            path.append(child)
            at += len(key)
            node = child
        return path

    # Structure.

    def subtree(self, node: Node) -> list[Node]:
        """A node and all below it, parents first."""
        found = [node]
        for n in found:
            found += n.children.values()
        return found

    def grow(self, parent: Node, key: Tokens) -> Node:
        """A new child without copies."""
        node = Node(next(self._ids), key, parent, len(self.parts))
        parent.children[self.edge(key)] = node
        return node

    def split(self, node: Node, at: int) -> Node:
        """Cuts a node `at` tokens from its start. It keeps its end; the new node above it is returned."""
        parent = node.parent
        assert parent is not None, "the root has no tokens"
        prefix = self.grow(parent, node.key[:at])
        node.key = node.key[at:]
        node.parent = prefix
        prefix.children[self.edge(node.key)] = node
        prefix.hits, prefix.last_access = node.hits, node.last_access
        for i, part in enumerate(self.parts):
            part.split(node.data[i], prefix.data[i], at)
            self.relist(prefix, i)
        self.split_marks(node, prefix)
        return prefix

    def split_marks(self, suffix: Node, prefix: Node) -> None:
        """What a split node waits for, both parts wait for."""
        prefix.write_ack, prefix.load_ack = suffix.write_ack, suffix.load_ack
        if suffix.write_ack is not None:
            self.writes.flying[suffix.write_ack].nodes.append(prefix)
        if suffix.load_ack is not None:
            self.loads.flying[suffix.load_ack].nodes.append(prefix)

    def detach(self, node: Node) -> None:
        """Takes a node without copies out of the tree."""
        assert node.parent is not None, "the root stays"
        del node.parent.children[self.edge(node.key)]
        self.device_leaves.discard(node)
        self.host_leaves.discard(node)
        self.refresh(node.parent)

    # Copies.

    def put_device(self, node: Node, i: int, slots: Tensor) -> None:
        """Gives a node its device copy."""
        copies = node.data[i]
        copies.device = slots
        (self.protected if copies.lock else self.evictable)[i] += slots.numel()
        self.relist(node, i)

    def take_device(self, node: Node, i: int) -> Tensor:
        """Takes a node's device copy away, and returns its slots."""
        copies = node.data[i]
        slots = copies.device
        assert slots is not None, "there is a copy to take"
        copies.device = None
        (self.protected if copies.lock else self.evictable)[i] -= slots.numel()
        self.relist(node, i)
        return slots

    def put_host(self, node: Node, i: int, slots: Tensor) -> None:
        """Gives a node its host copy."""
        node.data[i].host = slots
        self.relist(node, i)

    def take_host(self, node: Node, i: int) -> Tensor:
        """Takes a node's host copy away, and returns its slots."""
        slots = node.data[i].host
        assert slots is not None, "there is a copy to take"
        node.data[i].host = None
        self.relist(node, i)
        return slots

    # LRU lists, of auxiliary components only.

    def relist(self, node: Node, i: int) -> None:
        """Puts a node into the list that it belongs to, at its recent end, unless it is there."""
        if i == FULL:
            return
        tier = self.list_of(node, i)
        for lru, belongs in ((self.lru[i], tier is DEVICE), (self.host_lru[i], tier is HOST)):
            if belongs:
                lru.setdefault(node, None)
            else:
                lru.pop(node, None)

    def list_of(self, node: Node, i: int) -> Tier | None:
        """Which tier's list a node belongs to: the device's with a device copy, locked or not; the
        host's with a host copy alone, unless that is locked."""
        copies = node.data[i]
        if copies.device is not None:
            return DEVICE
        return HOST if copies.host is not None and not copies.host_lock else None

    def touch(self, path: Iterable[Node]) -> None:
        """Makes the nodes of a path the most recently used, the last one most of all."""
        self.clock += 1
        for node in path:
            node.last_access = self.clock
            for i in self.auxiliaries:
                for lru in (self.lru[i], self.host_lru[i]):
                    if node in lru:
                        lru.move_to_end(node)

    # Leaf sets.

    def refresh(self, node: Node) -> None:
        """Enters a node into the leaf sets that it belongs to, and takes it out of the others."""
        if self.is_device_leaf(node):
            self.device_leaves.add(node)
        else:
            self.device_leaves.discard(node)
        if self.is_host_leaf(node):
            self.host_leaves.add(node)
        else:
            self.host_leaves.discard(node)

    def is_device_leaf(self, node: Node) -> bool:
        """Whether eviction may take a node off the device: unlocked, with no child on it."""
        if node.parent is None or node.data[FULL].device is None:
            return False
        if any(c.lock for c in node.data):
            return False
        return all(child.data[FULL].device is None for child in node.children.values())

    def is_host_leaf(self, node: Node) -> bool:
        """Whether eviction may take a node off the host, and so out of the tree: there alone,
        unlocked, without children."""
        full = node.data[FULL]
        if node.parent is None or node.children or full.device is not None or full.host is None:
            return False
        return not any(c.lock or c.host_lock for c in node.data)

    def by_age(self, leaves: Iterable[Node]) -> list[tuple[int, int, Node]]:
        """A heap of leaves, least recently used first."""
        heap = [(n.last_access, n.id, n) for n in leaves]
        heapq.heapify(heap)
        return heap
