"""Load backs: host copies brought to the device."""

from __future__ import annotations

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE
from sanitree.models.reference.eviction import Eviction
from sanitree.models.reference.nodes import Node
from sanitree.models.reference.operations import LoadBackResult, Receipt, Refused
from sanitree.models.reference.transfers import Span
from sanitree.models.reference.tree import FULL

Missing = list[list[Node]]
"""By the component's place, nodes whose copy is on the host alone, from the top."""


class Loading(Eviction):
    """A device copy is published when its load is submitted; its bytes are there when that is acknowledged."""

    def load_back(self, node: Node) -> LoadBackResult:
        """Brings to the device what a request reads that goes on from the end of `node`, as far as
        the host has it; the host copies stay. Evicts where the device is short. All or nothing."""
        missing = self.missing(node)
        if not any(missing):
            return LoadBackResult({})
        pins = self.pin(node)
        slots = self._alloc_all(missing)
        if not isinstance(slots, Refused):
            loaded = self._publish(node, missing, slots)
        for pin in pins:
            self.dec_lock_ref(pin)
        return LoadBackResult({}, None, slots) if isinstance(slots, Refused) else loaded

    def pin(self, node: Node) -> list[Receipt]:
        """Locks what the eviction for a load back must not take: where it begins, and what it reads."""
        return [self.inc_lock_ref(self.anchor(node)), self.lock_host(node)]

    def missing(self, node: Node) -> Missing:
        """What a load back of `node` brings."""
        found: Missing = []
        for i, part in enumerate(self.parts):
            nodes = part.read(node)[::-1]
            found.append([n for n in nodes if n.data[i].device is None and n.data[i].host is not None])
        return found

    def anchor(self, node: Node) -> Node:
        """The deepest node of the path that is on the device."""
        while node.data[FULL].device is None:
            assert node.parent is not None, "the root is on the device"
            node = node.parent
        return node

    def _alloc_all(self, missing: Missing) -> list[Tensor] | Refused:
        slots: list[Tensor] = []
        for i, part in enumerate(self.parts):
            count = sum(part.size(n) for n in missing[i])
            new = self.alloc(part.name, count)
            if new is None:
                for held, pool in zip(slots, self.device_pools, strict=False):
                    pool.free(held)
                return Refused(part.name, count, DEVICE)
            slots.append(new)
        return slots

    def _publish(self, node: Node, missing: Missing, slots: list[Tensor]) -> LoadBackResult:
        spans: list[Span] = []
        marked: dict[Node, None] = {}
        for i, part in enumerate(self.parts):
            at, sources = 0, []
            for n in missing[i]:
                host = n.data[i].host
                assert host is not None, "locked since it was found"
                sources.append(host)
                self.put_device(n, i, slots[i][at : at + host.numel()])
                at += host.numel()
                marked[n] = None
            if sources:
                spans.append(Span(part.name, slots[i], torch.cat(sources), self.device_pools[i], self.host_pools[i]))
        for n in marked:
            self.refresh(n)
            if n.parent is not None:
                self.refresh(n.parent)
        transfer = self.submit("load", node, list(marked), spans)
        return LoadBackResult({s.component: s.device.numel() for s in spans}, transfer.ack)
