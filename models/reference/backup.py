"""Backups: device copies written to the host."""

from __future__ import annotations

from sanitree.invariants.vocabulary import HOST
from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.host import HostTier
from sanitree.models.reference.nodes import Node
from sanitree.models.reference.operations import BackupResult, Refused
from sanitree.models.reference.transfers import Span
from sanitree.models.reference.tree import FULL


class Backup(HostTier):
    """A host copy is published when its write is submitted; its bytes are there when that is acknowledged."""

    def write_backup(self, node: Node) -> BackupResult:
        """Writes to the host what a node has on the device alone, and before it the ancestors that
        have no host copy: one transfer a node. A host pool without room is evicted from; if that
        is not enough, a node without room for its full copy is refused, and its descendants
        with it, and an auxiliary copy without room is left out.

        Raises CacheError under write_back, where only an eviction backs a node up, without a
        host tier, and for a node that is not on the device.
        """
        if not self.config.writes_through:
            raise CacheError("only a cache with a host tier under write_through backs nodes up when asked to")
        if node is self.root or node.data[FULL].device is None:
            raise CacheError(f"node {node.id} has no tokens on the device: there is nothing to back up")
        if not self.can_back_up(node):
            return BackupResult()
        acks: list[int] = []
        left_out: list[str] = []
        for n in (*self.unbacked_ancestors(node), node):
            result = self.back_up(n)
            acks += result.acks
            left_out += result.left_out
            if result.refused is not None:
                return BackupResult(tuple(acks), result.refused, tuple(left_out))
        return BackupResult(tuple(acks), None, tuple(left_out))

    def unbacked_ancestors(self, node: Node) -> list[Node]:
        """The ancestors without a host copy, from the top."""
        return [n for n in node.path()[:-1] if n.data[FULL].host is None]

    def can_back_up(self, node: Node) -> bool:
        """Whether a node has something on the device alone, and nothing is in flight for it."""
        if node.write_ack is not None or node.load_ack is not None:
            return False
        return any(c.device is not None and c.host is None for c in node.data)

    def back_up(self, node: Node) -> BackupResult:
        """Writes one node: submits the transfer, unless there is no room."""
        spans: list[Span] = []
        left_out: list[str] = []
        for i, part in enumerate(self.parts):
            copies = node.data[i]
            if copies.device is None or copies.host is not None:
                continue
            host = self.alloc_host(part.name, copies.device.numel())
            if host is None and i == FULL:
                return BackupResult((), Refused(part.name, copies.device.numel(), HOST))
            if host is None:
                left_out.append(part.name)
                continue
            spans.append(Span(part.name, copies.device, host, self.device_pools[i], self.host_pools[i]))
        if not spans:
            return BackupResult((), None, tuple(left_out))
        for s in spans:
            self.put_host(node, self.places[s.component], s.host)
        transfer = self.submit("write", node, [node], spans)
        return BackupResult((transfer.ack,), None, tuple(left_out))
