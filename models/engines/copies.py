"""Copies between the device and the host pools, in flight for as long as we like.

On a GPU a backup or a load back is a kernel on a side stream: the controller submits it,
appends an ack, and learns from the ack's event that the bytes have moved. Here the
controller's own submission runs, but what it would launch is kept as a `Transfer` until
its turn comes. So a write is really in flight: it reads its source slots when it runs, and
whoever reused them meanwhile really corrupts what it copies.

A stream runs its copies in order, and nothing orders the two streams (writes and loads)
with each other or with the forward pass. Running a transfer runs those before it on the
same stream first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

Mode = Literal["instant", "polled", "manual"]
Stream = Literal["write", "load"]


@dataclass(frozen=True, slots=True)
class Span:
    """The slots of one pool that one transfer copies: token slots, or states for mamba.

    `device` and `host` are position by position the two ends of the same copy; `ack_id` is
    the id under which the cache tracks the operation that this is part of.
    """

    component: str
    device: tuple[int, ...]
    host: tuple[int, ...]
    ack_id: int


@dataclass(slots=True)
class Transfer:
    """One submission of the controller: what one ack announces.

    `ack_ids` are the ids under which the cache tracks the operations that were merged
    into it. A write reads device slots and writes host slots; a load the reverse.
    """

    stream: Stream
    number: int
    ack_ids: tuple[int, ...]
    spans: tuple[Span, ...]
    moves: list[Callable[[], None]] = field(repr=False)
    polls: int = 0
    done: bool = False

    def __str__(self) -> str:
        ways = " ".join(
            f"{span.component} {list(span.device)} {'→' if self.stream == 'write' else '←'} {list(span.host)}"
            for span in self.spans
        )
        return f"{self.stream} {self.number} of {list(self.ack_ids)}: {ways}"


class CopyQueue:
    """The transfers of one live engine that were submitted and have not run.

    mode "instant": a transfer runs as it is submitted. "polled": it runs once its event
    has been queried `polls()` times in vain, or is waited for. "manual": only when it is
    waited for, or by `run`. The mode is read at each submission and may be changed.
    """

    def __init__(self, mode: Mode = "instant") -> None:
        self.mode: Mode = mode
        self.polls: Callable[[], int] = lambda: 1
        self._pending: list[Transfer] = []
        self._count = 0

    def pending(self, stream: Stream | None = None) -> tuple[Transfer, ...]:
        """The transfers in flight in order of submission, of one stream or of both."""
        return tuple(t for t in self._pending if stream in (None, t.stream))

    def run(self, index: int) -> Transfer:
        """Runs `pending()[index]` and what precedes it on its stream; returns it."""
        transfer = self._pending[index]
        self.finish(transfer)
        return transfer

    def run_all(self, stream: Stream | None = None) -> int:
        """Runs everything in flight, of one stream or of both; returns how many ran."""
        todo = self.pending(stream)
        for transfer in todo:
            self.finish(transfer)
        return len(todo)

    def finish(self, transfer: Transfer) -> None:
        """Runs `transfer` after those before it on its stream, unless it has run."""
        if transfer.done:
            return
        for earlier in self.pending(transfer.stream):
            self._pending.remove(earlier)
            for move in earlier.moves:
                move()
            earlier.moves.clear()
            earlier.done = True
            if earlier is transfer:
                return

    def forget(self) -> int:
        """Drops what is in flight without running it; returns how many were dropped.

        For a controller that was reset: it forgets its acks, but on a GPU the streams
        still run. `run_all` first is what the hardware does.
        """
        count = len(self._pending)
        for transfer in self._pending:
            transfer.moves.clear()
            transfer.done = True
        self._pending.clear()
        return count

    def _submit(
        self, stream: Stream, ack_ids: Sequence[int], spans: Sequence[Span], moves: list[Callable[[], None]]
    ) -> Transfer:
        self._count += 1
        transfer = Transfer(stream, self._count, tuple(ack_ids), tuple(spans), moves)
        self._pending.append(transfer)
        if self.mode == "instant":
            self.finish(transfer)
        transfer.polls = self.polls() if self.mode == "polled" else 0
        return transfer


class TransferEvent:
    """Stands where the controller expects its finish event."""

    def __init__(self, queue: CopyQueue, transfer: Transfer) -> None:
        self._queue = queue
        self.transfer = transfer

    def query(self) -> bool:
        """Whether the bytes have moved."""
        transfer = self.transfer
        if not transfer.done and self._queue.mode == "polled":
            if transfer.polls <= 0:
                self._queue.finish(transfer)
            transfer.polls -= 1
        return transfer.done

    def synchronize(self) -> None:
        """Waits for the bytes: here, moves them now."""
        self._queue.finish(self.transfer)

    def wait(self, *_stream: Any) -> None:
        self.synchronize()

    def record(self, *_stream: Any) -> None: ...

    def elapsed_time(self, _other: Any) -> float:
        return 0.0


# What a controller's submission collects while it runs; outside of one, copies are instant.
_collecting: list[Callable[[], None]] | None = None


@contextmanager
def _collect() -> Iterator[list[Callable[[], None]]]:
    global _collecting
    outer, _collecting = _collecting, []
    try:
        yield _collecting
    finally:
        _collecting = outer


def attach(controller: Any, queue: CopyQueue) -> None:
    """Routes the submissions of one engine's cache controller through `queue`."""
    _wrap(controller, "start_writing", "write", queue)
    _wrap(controller, "start_loading", "load", queue)


def _wrap(controller: Any, name: str, stream: Stream, queue: CopyQueue) -> None:
    submit = getattr(controller, name)
    # An engine asserts that a load's layer events are done before it reuses them, and has
    # only so many; its scheduler gets there no sooner, as each batch waits for its load.
    limit = controller.layer_done_counter.num_counters - 1

    def submission(*args: Any, **kwargs: Any) -> Any:
        operations = list(getattr(controller, f"{stream}_queue"))
        acks = getattr(controller, f"ack_{stream}_queue")
        if stream == "load" and operations:
            while len(queue.pending("load")) >= limit:
                queue.finish(queue.pending("load")[0])
        before = len(acks)
        with _collect() as moves:
            result = submit(*args, **kwargs)
        if len(acks) == before:
            for move in moves:
                move()
            return result
        ack = acks[-1]
        transfer = queue._submit(stream, ack.node_ids, spans_of(operations), moves)
        acks[-1] = ack._replace(finish_event=TransferEvent(queue, transfer))
        return result

    setattr(controller, name, submission)


def spans_of(operations: Sequence[Any]) -> list[Span]:
    """The slots of queued controller operations (`write_queue`, `load_queue`)."""
    spans = []
    for operation in operations:
        if len(operation.device_indices):
            spans.append(_span("full", operation.device_indices, operation.host_indices, operation))
        for extra in getattr(operation, "pool_transfers", None) or ():
            if extra.device_indices is not None and extra.host_indices is not None:
                spans.append(_span(str(extra.name.value), extra.device_indices, extra.host_indices, operation))
    return spans


def _span(component: str, device: Tensor, host: Tensor, operation: Any) -> Span:
    return Span(component, tuple(device.tolist()), tuple(host.tolist()), operation.node_ids[0])


def _move(move: Callable[[], None]) -> None:
    if _collecting is None:
        move()
    else:
        _collecting.append(move)


# The three kernels that the direct backend launches, under the engine's names for them.
# Indices are taken when a copy is submitted, bytes when it runs.


def transfer_kv_direct(
    src_layers: Sequence[Tensor],
    dst_layers: Sequence[Tensor],
    src_indices: Tensor,
    dst_indices: Tensor,
    page_size: int,
) -> None:
    """Token by token between buffers of one layer each, on either side."""
    _check(src_indices, dst_indices, page_size)
    source, target = src_indices.long().clone(), dst_indices.long().clone()

    def move() -> None:
        for src, dst in zip(src_layers, dst_layers, strict=True):
            dst[target] = src[source]

    _move(move)


def transfer_kv_per_layer_direct_pf_lf(
    src_ptrs: Sequence[Tensor],
    dst_ptrs: Sequence[Tensor],
    src_indices: Tensor,
    dst_indices: Tensor,
    layer_id: int,
    page_size: int,
) -> None:
    """One layer of a host buffer [page, layer, token in page, …] to a device layer."""
    _check(src_indices, dst_indices, page_size)
    source, target = src_indices.long().clone(), dst_indices.long().clone()

    def move() -> None:
        for src, dst in zip(src_ptrs, dst_ptrs, strict=True):
            dst[target] = src[source // page_size, layer_id, source % page_size]

    _move(move)


def transfer_kv_all_layer_direct_lf_pf(
    src_ptrs: Sequence[Tensor],
    dst_ptrs: Sequence[Tensor],
    src_indices: Tensor,
    dst_indices: Tensor,
    page_size: int,
) -> None:
    """Device layers to host buffers [page, layer, token in page, …], layers grouped by buffer."""
    _check(src_indices, dst_indices, page_size)
    source, target = src_indices.long().clone(), dst_indices.long().clone()
    layers, rest = divmod(len(src_ptrs), len(dst_ptrs))
    if rest:
        raise ValueError(f"{len(src_ptrs)} device layers do not divide over {len(dst_ptrs)} host buffers")

    def move() -> None:
        for number, src in enumerate(src_ptrs):
            group, layer = divmod(number, layers)
            dst_ptrs[group][target // page_size, layer, target % page_size] = src[source]

    _move(move)


def _check(source: Tensor, target: Tensor, page_size: int) -> None:
    if len(source) != len(target) or len(source) % page_size:
        raise ValueError(f"a copy of {len(source)} slots to {len(target)} in pages of {page_size}")


KERNELS: dict[str, Callable[..., None]] = {
    kernel.__name__: kernel
    for kernel in (
        transfer_kv_direct,
        transfer_kv_per_layer_direct_pf_lf,
        transfer_kv_all_layer_direct_lf_pf,
    )
}
