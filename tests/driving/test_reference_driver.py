"""The reference cache, driven."""

from __future__ import annotations

from itertools import product

import pytest

from sanitree.checker.watch import Watch
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.operations import (
    OF_ONE_CACHE,
    BackUp,
    Copy,
    Evict,
    Extend,
    Finish,
    FinishPrefetch,
    LoadBack,
    Match,
    Poll,
    Prefetch,
    Release,
    Reset,
    Start,
    Unlock,
)
from sanitree.models.driving.reference import ReferenceDriver
from sanitree.models.driving.setup import Setup
from sanitree.models.reference import CacheError, content
from tests.driving.content_cases import numbered
from tests.driving.work import done_of, random_operations, run

COMPONENTS: tuple[tuple[Component, ...], ...] = ((FULL,), (FULL, SWA), (FULL, MAMBA))


@pytest.mark.parametrize(("policy", "components", "page"), list(product(Policy, COMPONENTS, (1, 4))))
def test_random_work_violates_nothing_and_leaves_nothing(
    policy: Policy, components: tuple[Component, ...], page: int
) -> None:
    driver = ReferenceDriver(Setup(policy=policy, components=components, page_size=page))
    watch = Watch(driver.cache)
    for op in random_operations(driver, 3, 50):
        driver.do(op)
        assert not content.wrong_bytes(driver.cache), op
    driver.settle()
    watch.end()
    assert not driver.cache.requests
    assert not driver.cache.receipts
    assert not driver.cache.writes.queue
    assert not driver.cache.loads.queue
    assert driver.own_check() == ()


def test_what_has_not_run_is_numbered_as_a_copy_counts() -> None:
    assert numbered(ReferenceDriver(Setup()))


def test_every_operation_is_done() -> None:
    assert done_of(run(ReferenceDriver(Setup()), 1, 1500)) == set(OF_ONE_CACHE)


def test_the_same_operations_have_the_same_results() -> None:
    driver = ReferenceDriver(Setup(components=(FULL, SWA, MAMBA)))
    first = run(driver, 5, 300)
    driver.fresh()
    assert run(driver, 5, 300) == first


def test_can_changes_nothing() -> None:
    driver = ReferenceDriver(Setup())
    driver.do(Start((1, 2)))
    driver.do(Finish(0))
    heard: list[object] = []
    driver.listen(lambda: heard.append("before"), heard.append)
    for op in (Match((1,)), Start((1,)), BackUp((1, 2)), LoadBack((1,)), Prefetch((3,)), Poll(), Copy(0), Reset()):
        driver.can(op)
    assert heard == []


def test_a_request_is_extended_and_its_pages_are_cached() -> None:
    driver = ReferenceDriver(Setup(page_size=2))
    assert driver.do(Start((1, 2))) == "0 shared, 0 of them loaded, 4 computed"
    assert not driver.can(Extend(0, (3,)))
    assert driver.do(Finish(0)) == "4 cached"
    assert driver.do(Extend(0, (3,))) == "6 tokens now"
    assert not driver.can(Extend(0, (3,)))
    assert driver.do(Finish(0)) == "6 cached"
    driver.do(Release(0, insert=True))
    assert driver.do(Match((1, 2, 3))) == "6 tokens on the device, 6 with the host"


def test_an_extension_for_which_there_is_no_room_leaves_the_request_as_it_was() -> None:
    driver = ReferenceDriver(Setup(device_pages=3))
    driver.do(Start((1, 2)))
    driver.do(Finish(0))
    assert driver.do(Extend(0, (3, 4, 5))) == "refused: no room for 3 full"
    assert driver.do(Extend(0, (3,))) == "3 tokens now"


def test_copies_are_run_in_the_order_of_their_stream() -> None:
    driver = ReferenceDriver(Setup())
    for prompt in ((1,), (2,)):
        driver.do(Start(prompt))
        driver.do(Finish(0))
        driver.do(Release(0))
    assert driver.do(Copy(1)) == "write of 1 full"
    assert not driver.can(Copy(0))
    assert driver.do(Poll()) == "2 writes and 0 loads acknowledged"
    assert not driver.can(Poll())


def test_what_a_prefetch_fetched_is_loaded() -> None:
    driver = ReferenceDriver(Setup())
    driver.do(Prefetch((1, 2)))
    assert not driver.can(Finish(0))
    assert not driver.can(Reset())
    assert driver.do(FinishPrefetch(0)) == "2 new"
    assert driver.do(LoadBack((1, 2))) == "2 full"
    assert driver.do(Match((1, 2))) == "2 tokens on the device, 2 with the host"


def test_nothing_is_backed_up_by_hand_under_write_back_and_nothing_at_all_without_a_host() -> None:
    assert not ReferenceDriver(Setup(policy=Policy.WRITE_BACK)).can(BackUp((1,)))
    bare = ReferenceDriver(Setup(host_pages=0))
    assert not any(bare.can(op) for op in (BackUp((1,)), LoadBack((1,)), Prefetch((1,)), Poll(), Unlock(0)))
    bare.do(Start((1,)))
    bare.do(Finish(0))
    bare.do(Release(0))
    assert bare.do(Evict("full", 5)) == "1 full"


def test_a_fault_is_planted_in_every_fresh_cache() -> None:
    driver = open_driver("reference", Setup(policy=Policy.WRITE_BACK, fault="evict_does_not_wait"))
    for _ in range(2):
        driver.fresh()
        driver.do(Start((1, 2)))
        driver.do(Finish(0))
        driver.do(Release(0))
        driver.do(Evict("full", 2))
        assert driver.own_check()
    with pytest.raises(CacheError, match="no fault"):
        open_driver("reference", Setup(fault="no such"))
