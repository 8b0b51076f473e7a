"""Transfers in flight: submitted, run by somebody else, acknowledged in the order of submission."""

from __future__ import annotations

from itertools import count, takewhile

from sanitree.models.ranks.group import ALONE, Group
from sanitree.models.reference.config import CacheConfig
from sanitree.models.reference.locks import Locks
from sanitree.models.reference.nodes import Node
from sanitree.models.reference.operations import Event, Receipt
from sanitree.models.reference.runners import AtOnce, Runner
from sanitree.models.reference.transfers import Kind, Lane, Span, Transfer


class Traffic(Locks):
    """runner: runs the copies. group: the ranks that this is one of, each with a cache of its own."""

    def __init__(self, config: CacheConfig, runner: Runner | None = None, group: Group = ALONE) -> None:
        super().__init__(config)
        self.runner: Runner = AtOnce() if runner is None else runner
        self.group = group
        self._acks = count(1)

    def writing_check(self, wait: bool = False) -> int:
        """Takes the acknowledgements of writes, up to the first that is not done on some rank; returns how many.
        With `wait` it waits for each, and takes all: then nobody else need be asked."""
        return self._collect(self.writes, wait)

    def loading_check(self, wait: bool = False) -> int:
        """The same for loads."""
        return self._collect(self.loads, wait)

    def drain(self) -> None:
        """Waits for everything in flight, and takes its acknowledgements."""
        self.writing_check(wait=True)
        self.loading_check(wait=True)

    def submit(self, kind: Kind, node: Node, nodes: list[Node], spans: list[Span]) -> Transfer:
        """Marks `nodes`, takes the locks, and hands the copy to the runner."""
        ack = next(self._acks)
        transfer = Transfer(kind, ack, node, nodes, spans, self.lock_for(kind, node))
        for n in nodes:
            if kind == "write":
                n.write_ack = ack
            else:
                n.load_ack = ack
        self._lane(kind).add(transfer)
        if self.log is not None:
            self.log(Event("submitted", kind, ack))
        self.runner.submit(transfer)
        return transfer

    def lock_for(self, kind: Kind, node: Node) -> list[Receipt]:
        """The locks that a transfer holds until it is acknowledged: on the device for both ends,
        on the host for what a load reads. (What a write fills has a device copy, and so stays.)"""
        if kind == "write":
            return [self.lock_copies(node)]
        return [self.inc_lock_ref(node), self.lock_host(node)]

    def acknowledge(self, transfer: Transfer) -> None:
        """Unmarks the transfer's nodes, and releases its locks."""
        for node in transfer.nodes:
            if transfer.kind == "write" and node.write_ack == transfer.ack:
                node.write_ack = None
            if transfer.kind == "load" and node.load_ack == transfer.ack:
                node.load_ack = None
        for receipt in transfer.receipts:
            self.dec_lock_ref(receipt)
        if self.log is not None:
            self.log(Event("acked", transfer.kind, transfer.ack))

    def _lane(self, kind: Kind) -> Lane:
        return self.writes if kind == "write" else self.loads

    def agree(self, done: int) -> int:
        """Of how many acknowledgements that can be taken here, those that can be taken on every rank."""
        return self.group.reduce("min", (done,))[0]

    def _collect(self, lane: Lane, wait: bool) -> int:
        taken = len(lane.queue) if wait else self.agree(self._done(lane))
        for _ in range(taken):
            transfer = lane.flying[lane.queue[0]]
            self.runner.wait(transfer)
            lane.queue.popleft()
            del lane.flying[transfer.ack]
            self.acknowledge(transfer)
        return taken

    def _done(self, lane: Lane) -> int:
        """Transfers at the head of a lane whose bytes have arrived."""
        return sum(1 for _ in takewhile(lambda ack: self.runner.is_done(lane.flying[ack]), lane.queue))
