"""Locks: counts that keep copies where they are."""

from __future__ import annotations

import itertools

from sanitree.invariants.vocabulary import DEVICE, HOST, Tier
from sanitree.models.reference.config import CacheConfig
from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.nodes import Node
from sanitree.models.reference.operations import Receipt
from sanitree.models.reference.tree import FULL, Tree


class Locks(Tree):
    """receipts: of every lock that is held, by number."""

    def __init__(self, config: CacheConfig) -> None:
        super().__init__(config)
        self.receipts: dict[int, Receipt] = {}
        self._numbers = itertools.count(1)

    def inc_lock_ref(self, node: Node) -> Receipt:
        """Locks on the device what a request reads that goes on from the end of `node`: the whole
        path of the backbone, of the others what their parts say, whether the data is there or not."""
        return self._acquire(node, DEVICE)

    def lock_host(self, node: Node) -> Receipt:
        """The same on the host: no copy on the path is evicted from there."""
        return self._acquire(node, HOST)

    def dec_lock_ref(self, receipt: Receipt) -> None:
        """Releases a lock of either tier. Raises CacheError for one that is not held (any more)."""
        if self.receipts.get(receipt.number) is not receipt:
            raise CacheError(f"lock {receipt.number} of node {receipt.node.id} is not held: each is released once")
        del self.receipts[receipt.number]
        shift = self.shift_device_lock if receipt.tier is DEVICE else self.shift_host_lock
        # The backbone last: what has its lock no more has none.
        for i in reversed(range(len(self.parts))):
            for node in self.parts[i].span(receipt.node, receipt.extents[i]):
                shift(node, i, -1)

    def lock_copies(self, node: Node) -> Receipt:
        """As `inc_lock_ref`, and what `node` itself has besides, for a transfer that reads it: a request
        may read nothing of the node that it goes on from."""
        return self._acquire(node, DEVICE, own=True)

    def _acquire(self, node: Node, tier: Tier, own: bool = False) -> Receipt:
        shift = self.shift_device_lock if tier is DEVICE else self.shift_host_lock
        extents = tuple([part.extent(node) for part in self.parts])
        if own:
            extents = tuple([max(e, part.size(node)) for e, part in zip(extents, self.parts, strict=True)])
        for i, part in enumerate(self.parts):
            for n in part.span(node, extents[i]):
                shift(n, i, 1)
        receipt = Receipt(next(self._numbers), node, tier, extents)
        self.receipts[receipt.number] = receipt
        return receipt

    def shift_device_lock(self, node: Node, i: int, by: int) -> None:
        """Counts a device lock, and moves the copy between the sizes when the first comes or the last goes."""
        copies = node.data[i]
        before = copies.lock
        copies.lock = before + by
        if before and copies.lock:
            return
        if copies.device is not None:
            size = copies.device.numel() if by > 0 else -copies.device.numel()
            self.evictable[i] -= size
            self.protected[i] += size
        if by > 0:
            self.device_leaves.discard(node)
            self.host_leaves.discard(node)
        elif i == FULL:
            self.refresh(node)

    def shift_host_lock(self, node: Node, i: int, by: int) -> None:
        """Counts a host lock; while one is held, the node is not up for eviction from the host."""
        copies = node.data[i]
        before = copies.host_lock
        copies.host_lock = before + by
        if before and copies.host_lock:
            return
        self.relist(node, i)
        self.refresh(node)
