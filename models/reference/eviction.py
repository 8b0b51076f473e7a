"""Eviction from the device."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE
from sanitree.models.reference.backup import Backup
from sanitree.models.reference.nodes import Node
from sanitree.models.reference.operations import EvictResult
from sanitree.models.reference.tree import FULL


@dataclass(slots=True)
class Tally:
    """What an eviction has done so far. evicted: slots by the component's place. taken: each copy
    that was taken off the device: its node, the component's place, its slots. stuck: leaves
    that could be neither backed up nor dropped."""

    evicted: list[int]
    backed_up: int = 0
    taken: list[tuple[Node, int, int]] = field(default_factory=list)
    stuck: set[Node] = field(default_factory=set)


class Eviction(Backup):
    """Least recently used first: the backbone from the device leaves up, other components from their LRU lists."""

    def alloc(self, component: str, count: int) -> Tensor | None:
        """Device slots, whole units, with eviction where there are too few; None where that does not help."""
        pool = self.pool(component, DEVICE)
        slots = pool.alloc(count)
        if slots is None:
            self.evict({component: count - pool.available})
            slots = pool.alloc(count)
        return slots

    def free(self, component: str, slots: Tensor) -> None:
        """Gives back device slots that the tree did not take."""
        self.pool(component, DEVICE).free(slots)

    def evict(self, wanted: Mapping[str, int]) -> EvictResult:
        """Frees at least so many device slots of each component named, or as many as it can.

        Under write_through, what has a host copy stays on the host, the rest goes. Under
        write_back it is written there first, and slots are freed when the bytes have arrived.
        """
        tally = Tally([0] * len(self.parts))
        places = sorted((self.place(name), count) for name, count in wanted.items())
        for i, count in places:
            if i == FULL:
                self._evict_leaves(count, tally)
            else:
                self._evict_copies(i, count, tally)
        result = EvictResult(self.named(tally.evicted), tally.backed_up, self.named(self.dropped(tally)))
        if self.log is not None:
            self.log(result)
        return result

    def _evict_leaves(self, count: int, tally: Tally) -> None:
        heap = self.by_age(self.device_leaves)
        while tally.evicted[FULL] < count and heap:
            node = heapq.heappop(heap)[2]
            parent = node.parent
            self.evict_leaf(node, tally)
            if parent in self.device_leaves:
                heapq.heappush(heap, (parent.last_access, parent.id, parent))

    def _evict_copies(self, i: int, count: int, tally: Tally) -> None:
        while tally.evicted[i] < count:
            node = next((n for n in self.lru[i] if not n.data[i].lock and n not in tally.stuck), None)
            if node is None:
                return
            if node in self.device_leaves:
                self.evict_leaf(node, tally)
            else:
                self.evict_copy(node, i, tally)

    def evict_leaf(self, node: Node, tally: Tally) -> None:
        """Takes a device leaf off the device: it stays on the host if it has a copy there."""
        if self.config.writes_back:
            self.save(node, tally)
        if node.data[FULL].host is not None:
            self.demote(node, tally)
        elif self.can_drop(node):
            self.drop(node, tally)
        else:
            tally.stuck.add(node)

    def evict_copy(self, node: Node, i: int, tally: Tally) -> None:
        """Takes one auxiliary device copy; the rest of the node stays."""
        if self.config.writes_back and node.data[FULL].host is not None:
            self.save(node, tally)
        self.free_device(node, i, tally)

    def save(self, node: Node, tally: Tally) -> None:
        """Under write_back: writes to the host what a node has on the device alone, as far as there is room."""
        if self.can_back_up(node) and self.back_up(node).acks:
            tally.backed_up += 1
            self.finish_save()

    def finish_save(self) -> None:
        """Waits for what `save` has submitted: until then the device slots are being read."""
        self.writing_check(wait=True)

    def demote(self, node: Node, tally: Tally) -> None:
        """Frees the device copies of a leaf that has host copies."""
        for i, copies in enumerate(node.data):
            if copies.device is not None:
                self.free_device(node, i, tally)
        self.refresh(node)
        if node.parent is not None:
            self.refresh(node.parent)

    def can_drop(self, node: Node) -> bool:
        """Whether nothing is left below a device leaf. The host was evicted from before, for room:
        what is left there is locked."""
        return not node.children

    def drop(self, node: Node, tally: Tally) -> None:
        """Takes a leaf that is on the device alone out of the tree."""
        for i, copies in enumerate(node.data):
            if copies.device is not None:
                self.free_device(node, i, tally)
        self.detach(node)

    def free_device(self, node: Node, i: int, tally: Tally) -> None:
        """Frees one device copy."""
        slots = self.take_device(node, i)
        self.device_pools[i].free(slots)
        tally.evicted[i] += slots.numel()
        tally.taken.append((node, i, slots.numel()))

    def dropped(self, tally: Tally) -> list[int]:
        """Slots of the copies taken that are not on the host when all is done: they had no copy there,
        or it made room for another."""
        lost = [0] * len(self.parts)
        for node, i, size in tally.taken:
            if node.data[i].host is None:
                lost[i] += size
        return lost
