"""The slot sanitizer's tables, without an engine."""

from __future__ import annotations

import threading

import pytest
import torch

from sanitree.checker.hook.faults import Rule
from sanitree.checker.hook.shadow import Clock, PoolShape, Shadow
from tests.hook.same import Pair, random_work


@pytest.mark.parametrize("unit", [1, 4])
@pytest.mark.parametrize("seed", range(8))
def test_both_tables_find_the_same(unit: int, seed: int) -> None:
    """Legal work and faults: verdicts that nobody waited for name the same operations, slots and causes."""
    pair = Pair(size=24, unit=unit, padded=True)
    random_work(pair, size=24, unit=unit, steps=300, seed=seed)
    ours, device = pair.found()
    assert len(ours) > 20
    assert device == ours


def test_indices_are_never_read_back() -> None:
    """The test of the test: an index that is read back is an error here."""
    pair = Pair(size=8, unit=1, padded=True)
    with pytest.raises(AssertionError, match="read indices back"):
        pair.numpy.take(pair.slots([1, 2])[1], pair.clocks[0].now())


def test_a_fault_has_both_stacks() -> None:
    told = []
    clock = Clock()
    shadow = Shadow(PoolShape("full device", 8), clock, told.append)
    slots = torch.tensor([3, 4])

    def hand_out() -> None:
        shadow.take(slots, clock.now())

    def give_back() -> None:
        shadow.give(slots, clock.now())

    hand_out()
    give_back()
    give_back()
    (fault,) = told
    assert fault.rule is Rule.slot_is_freed_once
    assert [s.number for s in fault.slots] == [3, 4]
    assert "give_back" in fault.operation.stack[-1]
    assert "give_back" in fault.slots[0].since.stack[-1]
    assert fault.operation.serial == 3 and fault.slots[0].since.serial == 2
    text = str(fault)
    assert text.startswith("slot_is_freed_once: a slot was freed that is free already")
    assert "free since operation 2" in text


def test_a_slot_is_named_twice_in_one_call() -> None:
    told = []
    clock = Clock()
    shadow = Shadow(PoolShape("full device", 8), clock, told.append)
    shadow.take(torch.tensor([3, 4]), clock.now())
    shadow.give(torch.tensor([3, 4, 3]), clock.now())
    assert [(f.rule, [s.number for s in f.slots]) for f in told] == [(Rule.slot_is_freed_once, [3])]


def test_the_rest_of_a_page_may_be_handed_out_to_who_holds_it() -> None:
    """Decoding fills the page that a prompt began; the page's first slot is handed out with the page alone."""
    told = []
    clock = Clock()
    shadow = Shadow(PoolShape("full device", 8, unit=4), clock, told.append)
    shadow.take(torch.tensor([4, 5]), clock.now())
    shadow.take(torch.tensor([6]), clock.now())
    shadow.take(torch.tensor([7, 8]), clock.now())
    assert not told
    shadow.take(torch.tensor([8, 9]), clock.now())
    assert [(f.rule, [s.number for s in f.slots]) for f in told] == [(Rule.slot_is_handed_out_once, [2])]


def test_slots_from_before_are_nobodys_fault() -> None:
    told = []
    clock = Clock()
    shadow = Shadow(PoolShape("full device", 8), clock, told.append)
    shadow.begin(torch.tensor([5, 6, 7]))
    shadow.use(torch.tensor([1, 2]), clock.now())
    shadow.give(torch.tensor([1]), clock.now())
    assert not told
    shadow.give(torch.tensor([1]), clock.now())
    assert len(told) == 1
    shadow.idle(clock.now())
    assert len(told) == 1


def test_a_slot_that_the_pool_does_not_have() -> None:
    told = []
    clock = Clock()
    shadow = Shadow(PoolShape("full device", 8), clock, told.append)
    shadow.give(torch.tensor([900]), clock.now())
    assert [f.rule for f in told] == [Rule.slot_exists]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a GPU is needed to see what waits for it")
def test_nothing_waits_for_a_gpu() -> None:
    """Every operation under CUDA's own watch, which fails what synchronises."""
    pair = Pair(size=64, unit=1, padded=True, device="cuda", unread=False)
    torch.cuda.set_sync_debug_mode("error")
    try:
        random_work(pair, size=64, unit=1, steps=400, seed=1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.cuda.synchronize()
    ours, device = pair.found()
    assert len(ours) > 20 and device == ours


def test_threads_may_free_while_the_scheduler_allocates() -> None:
    """Transfer threads free host slots; none of their operations is lost, and none is a fault."""
    told = []
    clock = Clock()
    shadow = Shadow(PoolShape("full host", 4000, padded=False), clock, told.append)

    def work(first: int) -> None:
        for _ in range(200):
            for at in range(first, first + 1000, 50):
                slots = torch.arange(at, at + 50)
                shadow.take(slots, clock.now())
                shadow.give(slots, clock.now())

    threads = [threading.Thread(target=work, args=(i * 1000,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    shadow.idle(clock.rest())
    assert not told
