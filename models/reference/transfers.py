"""Copies between the tiers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sanitree.models.reference.nodes import Node
from sanitree.models.reference.operations import Receipt
from sanitree.models.reference.pools import Pool

Kind = Literal["write", "load"]


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """What one transfer copies of one component: `device[i]` to or from `host[i]`."""

    component: str
    device: Tensor
    host: Tensor
    device_pool: Pool
    host_pool: Pool


class Transfer:
    """A write (device to host) or a load (host to device) in flight.

    ack: what its acknowledgement carries. node: what it was submitted for. nodes: those
    that the acknowledgement unmarks; a split adds to them. receipts: of the locks that it
    holds until then. done: the bytes have arrived, as its runner says.
    """

    __slots__ = ("ack", "done", "kind", "node", "nodes", "receipts", "spans")

    def __init__(
        self, kind: Kind, ack: int, node: Node, nodes: list[Node], spans: list[Span], receipts: list[Receipt]
    ) -> None:
        self.kind = kind
        self.ack = ack
        self.node = node
        self.nodes = nodes
        self.spans = spans
        self.receipts = receipts
        self.done = False

    def __repr__(self) -> str:
        return f"{self.kind} {self.ack}"

    def copy(self) -> None:
        """Copies the bytes of all layers."""
        for s in self.spans:
            if self.kind == "write":
                rows = s.device_pool.buffer.index_select(1, s.device.to(s.device_pool.buffer.device))
                s.host_pool.buffer.index_copy_(1, s.host, rows.to("cpu"))
            else:
                rows = s.host_pool.buffer.index_select(1, s.host)
                target = s.device_pool.buffer
                target.index_copy_(1, s.device.to(target.device), rows.to(target.device))


class Lane:
    """The transfers of one kind: those in flight by acknowledgement, and the queue in which
    acknowledgements come, which is the order of submission."""

    __slots__ = ("flying", "queue")

    def __init__(self) -> None:
        self.flying: dict[int, Transfer] = {}
        self.queue: deque[int] = deque()

    def add(self, transfer: Transfer) -> None:
        """Enters a transfer that is about to be submitted."""
        self.flying[transfer.ack] = transfer
        self.queue.append(transfer.ack)
