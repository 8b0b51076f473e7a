"""The host tier: room in it, what is evicted from it, and what comes into it from elsewhere."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from torch import Tensor

from sanitree.invariants.vocabulary import HOST, Tier
from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.nodes import Node, Tokens
from sanitree.models.reference.operations import EvictHostResult, HostInsertResult
from sanitree.models.reference.traffic import Traffic
from sanitree.models.reference.tree import FULL


class HostTier(Traffic):
    """Tallies of what is freed are lists of slots, by the component's place."""

    def alloc_host(self, component: str, count: int) -> Tensor | None:
        """Host slots, whole units, with eviction where there are too few; None where that does not help."""
        pool = self.pool(component, HOST)
        slots = pool.alloc(count)
        if slots is None:
            self.evict_host(count - pool.available, component)
            slots = pool.alloc(count)
        return slots

    def free_host(self, component: str, slots: Tensor) -> None:
        """Gives back host slots that the tree did not take."""
        self.pool(component, HOST).free(slots)

    def evict_host(self, count: int, component: str = "full") -> EvictHostResult:
        """Frees at least `count` host slots of a component, least recently used first, or as many
        as it can. The backbone's leave with their node, from the leaves up; another's leave alone
        where the node has more to it. What is locked on the host stays."""
        i, freed = self.place(component), [0] * len(self.parts)
        if i == FULL:
            self._evict_host_leaves(count, freed)
        else:
            while freed[i] < count and (node := next(iter(self.host_lru[i]), None)) is not None:
                if node in self.host_leaves:
                    self.remove(node, freed)
                else:
                    self.drop_host(node, i, freed)
        result = EvictHostResult(self.named(freed))
        if self.log is not None:
            self.log(result)
        return result

    def _evict_host_leaves(self, count: int, freed: list[int]) -> None:
        heap = self.by_age(self.host_leaves)
        while freed[FULL] < count and heap:
            node = heapq.heappop(heap)[2]
            parent = node.parent
            self.remove(node, freed)
            if parent in self.host_leaves:
                heapq.heappush(heap, (parent.last_access, parent.id, parent))

    def remove(self, node: Node, freed: list[int]) -> None:
        """Takes a node that is on the host alone, and has no children, out of the tree."""
        for i, copies in enumerate(node.data):
            if copies.host is not None:
                self.drop_host(node, i, freed)
        self.detach(node)

    def drop_host(self, node: Node, i: int, freed: list[int]) -> None:
        """Frees one host copy."""
        slots = self.take_host(node, i)
        self.host_pools[i].free(slots)
        freed[i] += slots.numel()

    def named(self, tally: Sequence[int]) -> dict[str, int]:
        """A tally by component name."""
        return {part.name: count for part, count in zip(self.parts, tally, strict=True)}

    def insert_host(self, tokens: Sequence[int], slots: Mapping[str, Tensor]) -> HostInsertResult:
        """Takes over host copies that came from elsewhere, as a prefetch from storage: filled slots
        from `alloc_host`, of a per-token component one for each token of whole pages, of a
        per-node one the state at the end, or none.

        What is on the host already keeps its copy, and what is missing there of other components
        is completed. It stops at a node that is on the device alone, which no host copy may
        follow under write_through. Slots that are not taken are freed. Raises CacheError for
        wrong numbers of slots, and without a host tier.
        """
        if not self.config.tiered:
            raise CacheError("this cache has no host tier: configure host_slots")
        tokens = self.whole(tokens)
        self.check_slots(tokens, slots, HOST)
        path = self.descend(tokens)
        on_host = path[: next((k for k, n in enumerate(path) if not self.can_extend_host(n)), len(path))]
        stopped = len(on_host) < len(path)
        at = 0
        for node in on_host:
            end = at + len(node.key)
            for i in self.per_token:
                self.complete_host(node, i, slots[self.parts[i].name][at:end])
            at = end
        if at < len(tokens) and not stopped:
            on_host.append(self.grow_host(on_host[-1] if on_host else self.root, tokens, at, slots))
        new = 0 if stopped else len(tokens) - at
        node = on_host[-1] if on_host else self.root
        for i, part in enumerate(self.parts):
            given = slots.get(part.name)
            if given is None:
                continue
            if part.per_token:
                self.host_pools[i].free(given[at + new :])
            elif stopped or node is self.root:
                self.host_pools[i].free(given)
            else:
                self.complete_host(node, i, given)
        self.touch(on_host)
        return HostInsertResult(node, new, stopped)

    def can_extend_host(self, node: Node) -> bool:
        """Whether host copies may follow below a node: it has one itself."""
        return node.data[FULL].host is not None

    def complete_host(self, node: Node, i: int, slots: Tensor) -> None:
        """Gives a node a host copy that it has nowhere; frees it where it has one."""
        copies = node.data[i]
        if copies.device is None and copies.host is None:
            self.put_host(node, i, slots)
        else:
            self.host_pools[i].free(slots)

    def grow_host(self, parent: Node, tokens: Tokens, at: int, slots: Mapping[str, Tensor]) -> Node:
        """A new leaf for `tokens[at:]`, on the host alone."""
        leaf = self.grow(parent, tokens[at:])
        for i in self.per_token:
            self.put_host(leaf, i, slots[self.parts[i].name][at:])
        self.refresh(leaf)
        self.refresh(parent)
        return leaf

    def check_slots(self, tokens: Tokens, slots: Mapping[str, Tensor], tier: Tier) -> None:
        """Raises CacheError unless there is a slot for each token of each per-token component, and
        one or none of each other."""
        for part in self.parts:
            given = slots.get(part.name)
            wanted = len(tokens) if part.per_token else 1
            if (given is None and part.per_token) or (given is not None and given.numel() != wanted):
                has = "none" if given is None else str(given.numel())
                raise CacheError(f"{has} {tier.value} slots of {part.name} for {len(tokens)} tokens: give {wanted}")
