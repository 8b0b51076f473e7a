"""The copy queue on a controller of a few lines, and the copies against plain indexing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch

from sanitree.models.engines import copies


class Ack(NamedTuple):
    finish_event: Any
    node_ids: list[int]


class Controller:
    """Submits as an engine's controller does: copies, then an ack."""

    layer_done_counter = SimpleNamespace(num_counters=3)

    def __init__(self) -> None:
        self.device, self.host = torch.arange(8), torch.full((8,), -1)
        self.write_queue: list[Any] = []
        self.load_queue: list[Any] = []
        self.ack_write_queue: list[Ack] = []
        self.ack_load_queue: list[Ack] = []

    def operation(self, node: int, device: list[int], host: list[int]) -> Any:
        return SimpleNamespace(node_ids=[node], device_indices=torch.tensor(device), host_indices=torch.tensor(host))

    def write(self, node: int, device: list[int], host: list[int]) -> None:
        self.write_queue.append(self.operation(node, device, host))
        self.start_writing()

    def load(self, node: int, device: list[int], host: list[int]) -> None:
        self.load_queue.append(self.operation(node, device, host))
        self.start_loading()

    def start_writing(self) -> None:
        self._start(self.write_queue, self.ack_write_queue, self.device, self.host, "device_indices")

    def start_loading(self) -> None:
        self._start(self.load_queue, self.ack_load_queue, self.host, self.device, "host_indices")

    def _start(self, queue: list[Any], acks: list[Ack], source: Any, target: Any, first: str) -> None:
        second = "host_indices" if first == "device_indices" else "device_indices"
        for operation in queue:
            copies.transfer_kv_direct([source], [target], getattr(operation, first), getattr(operation, second), 1)
        if queue:
            acks.append(Ack(None, [operation.node_ids[0] for operation in queue]))
        queue.clear()


@pytest.fixture
def pair() -> tuple[Controller, copies.CopyQueue]:
    controller, queue = Controller(), copies.CopyQueue("manual")
    copies.attach(controller, queue)
    return controller, queue


def test_a_pending_write_reads_its_source_when_it_runs(pair: tuple[Controller, copies.CopyQueue]) -> None:
    controller, queue = pair
    controller.write(7, [1, 2], [4, 5])
    (transfer,) = queue.pending()
    assert (transfer.stream, transfer.ack_ids) == ("write", (7,))
    assert (transfer.spans[0].device, transfer.spans[0].host) == ((1, 2), (4, 5))
    assert controller.host[4] == -1
    controller.device[1] = 99  # the slot has a new owner
    queue.run(0)
    assert controller.host[[4, 5]].tolist() == [99, 2]
    assert queue.pending() == ()


def test_a_stream_runs_in_order_and_streams_do_not_wait_for_each_other(
    pair: tuple[Controller, copies.CopyQueue],
) -> None:
    controller, queue = pair
    controller.write(1, [1], [1])
    controller.load(2, [6], [1])
    controller.write(3, [2], [1])
    assert [str(transfer) for transfer in queue.pending()] == [
        "write 1 of [1]: full [1] → [1]",
        "load 2 of [2]: full [6] ← [1]",
        "write 3 of [3]: full [2] → [1]",
    ]
    queue.run(2)
    assert controller.host[1] == 2  # both writes ran, the second last
    assert [transfer.stream for transfer in queue.pending()] == ["load"]
    assert queue.run_all() == 1
    assert controller.device[6] == 2


def test_events_answer_by_mode(pair: tuple[Controller, copies.CopyQueue]) -> None:
    controller, queue = pair
    controller.write(1, [1], [1])
    event = controller.ack_write_queue[0].finish_event
    assert not any(event.query() for _ in range(5))
    event.synchronize()
    assert event.query()
    assert controller.host[1] == 1
    queue.mode, queue.polls = "polled", lambda: 2
    controller.write(2, [2], [2])
    event = controller.ack_write_queue[1].finish_event
    assert [event.query() for _ in range(4)] == [False, False, True, True]
    queue.mode = "instant"
    controller.write(3, [3], [3])
    assert controller.ack_write_queue[2].finish_event.query()
    assert controller.host[3] == 3


def test_loads_in_flight_stay_below_the_engines_counters(pair: tuple[Controller, copies.CopyQueue]) -> None:
    controller, queue = pair
    for number in range(4):
        controller.load(number, [number], [number])
    assert [transfer.ack_ids for transfer in queue.pending("load")] == [(2,), (3,)]


def test_copies_outside_a_submission_are_instant() -> None:
    source, target = torch.arange(4), torch.zeros(4, dtype=torch.int64)
    copies.transfer_kv_direct([source], [target], torch.tensor([2, 3]), torch.tensor([0, 1]), 2)
    assert target.tolist() == [2, 3, 0, 0]


def test_forgotten_copies_never_run(pair: tuple[Controller, copies.CopyQueue]) -> None:
    controller, queue = pair
    controller.write(1, [1], [1])
    assert queue.forget() == 1
    assert queue.run_all() == 0
    assert controller.host[1] == -1


@pytest.mark.parametrize("page", [1, 2, 4])
def test_page_first_copies_are_inverse_to_each_other(page: int) -> None:
    torch.manual_seed(page)
    layers = [torch.rand(16, 3) for _ in range(2)]
    keys, values = (torch.zeros(4, 1, page, 3) for _ in range(2))
    source, target = torch.arange(8, 8 + 2 * page), torch.arange(page, 3 * page)
    copies.transfer_kv_all_layer_direct_lf_pf(layers, [keys, values], source, target, page)
    assert torch.equal(keys.view(-1, 3)[page : 3 * page], layers[0][8 : 8 + 2 * page])
    back = [torch.zeros(16, 3) for _ in range(2)]
    copies.transfer_kv_per_layer_direct_pf_lf([keys, values], back, target, source, 0, page)
    for layer, copy in zip(layers, back, strict=True):
        assert torch.equal(copy[source], layer[source])


def test_a_copy_of_unequal_ends_or_part_of_a_page_is_an_error() -> None:
    buffer = [torch.zeros(8)]
    with pytest.raises(ValueError, match="2 slots to 3"):
        copies.transfer_kv_direct(buffer, buffer, torch.arange(2), torch.arange(3), 1)
    with pytest.raises(ValueError, match="pages of 4"):
        copies.transfer_kv_direct(buffer, buffer, torch.arange(2), torch.arange(2), 4)
