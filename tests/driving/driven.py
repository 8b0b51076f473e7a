"""What the engine tests do inside an engine's process: each function returns plain JSON."""

from __future__ import annotations

from itertools import product
from typing import Any

from sanitree.checker.follow import Follower
from sanitree.checker.live import InvariantViolated
from sanitree.checker.watch import Watch
from sanitree.invariants.vocabulary import COMPONENTS, Policy
from sanitree.models.driving.engine import EngineDriver
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.operations import (
    Copy,
    Evict,
    Extend,
    Finish,
    FinishPrefetch,
    LoadBack,
    Match,
    Operation,
    Poll,
    Prefetch,
    Release,
    Reset,
    Start,
)
from sanitree.models.driving.setup import Setup
from sanitree.models.engines import content, shims
from sanitree.models.step import Call
from tests.driving.work import done_of, random_operations, run


def _open(**more: Any) -> EngineDriver:
    version = shims.active()
    assert version is not None
    driver = open_driver(version, Setup(**more))
    assert isinstance(driver, EngineDriver)
    return driver


def _setup(policy: str, components: list[str], page: int, core: str) -> dict[str, Any]:
    known = tuple(COMPONENTS[c] for c in components)
    return {"policy": Policy(policy), "components": known, "page_size": page, "core": core}


def random_work(cells: list[list[Any]], count: int) -> list[dict[str, Any]]:
    """Work in each cell, checked byte by byte; and the same work once more."""
    return [_work(EngineDriver, cell, count) for cell in cells]


def _work(kind: type[EngineDriver], cell: list[Any], count: int) -> dict[str, Any]:
    driver = _open(**_setup(*cell))
    first = []
    for op in random_operations(driver, 7, count):
        first.append((op, driver.do(op)))
        wrong = content.verify_requests(driver.live) + content.verify_tree(driver.live)
        assert not wrong, (op, [str(w) for w in wrong])
        complaints = driver.own_check()
        assert not complaints or driver.live.cache.ongoing_load_back, (op, complaints)
    driver.settle()
    left = len(driver.live.locks) + len(driver.live.requests) + len(driver.live.copies.pending())
    reset = driver.can(Reset()) and driver.do(Reset())
    driver.fresh()
    again = run(driver, 7, count)
    return {"left": left, "same": again == first, "done": sorted(done_of(first)), "reset": reset}


def story(core: str) -> list[str]:
    """A request is chunked, evicted, loaded back; what it asks of the cache is heard."""
    driver = _open(core=core, page_size=2)
    said: list[str] = []
    heard: list[str] = []
    end = driver.listen(lambda: None, lambda call: heard.append(call.operation.value))
    work: list[Operation] = [
        Start((1, 2)), Finish(0), Extend(0, (3,)), Finish(0), Release(0, insert=True), Copy(0), Copy(0), Poll(),
        Match((1, 2, 3)), Evict("full", 8), Match((1, 2, 3)), LoadBack((1, 2, 3)), Copy(0), Poll(), Match((1, 2, 3)),
    ]  # fmt: skip
    for op in work:
        assert driver.can(op), op
        said.append(driver.do(op))
    end()
    driver.do(Reset())
    return [*said, *sorted(set(heard))]


def prefetched(core: str) -> list[str]:
    """What storage had is on the host, then on the device; one that is aborted leaves nothing."""
    driver = _open(core=core)
    if not driver.can(Prefetch((1, 2))):
        return []
    work: list[Operation] = [
        Prefetch((1, 2)), FinishPrefetch(0), Match((1, 2)), LoadBack((1, 2)), Copy(0), Poll(), Match((1, 2)),
        Prefetch((1, 2, 3)), Prefetch((1, 2)), Release(0),
    ]  # fmt: skip
    said = [driver.do(op) for op in work]
    assert driver.can(Reset())
    assert not content.verify_tree(driver.live)
    host = driver.live.host_pools["full"]
    return [*said, f"{host.size - host.available_size()} host slots taken"]


def race() -> list[str]:
    """What 0.5.12 does under write_back, and how a fresh cache knows nothing of it."""
    driver = _open(policy=Policy.WRITE_BACK, core="python")
    said = []
    for _ in range(2):
        driver.fresh()
        for op in (Start((1, 2)), Finish(0), Release(0), Evict("full", 2)):
            driver.do(op)
        said.append(f"{len(driver.live.copies.pending())} in flight, {len(driver.own_check())} complaints")
    return said


def watched(cells: list[list[Any]], count: int) -> list[dict[str, Any]]:
    """Work in each cell under watch: which rules are violated, and how many calls were judged."""
    return [_watched(_open(**_setup(*cell)), count) for cell in cells]


def _watched(driver: EngineDriver, count: int) -> dict[str, Any]:
    violated: set[str] = set()

    def tell(found: InvariantViolated) -> None:
        violated.update(v.rule.id for v in found.report.violations)

    watch = Watch(driver, tell)
    try:
        for op in random_operations(driver, 11, count):
            driver.do(op)
        driver.settle()
        watch.end()
    except AssertionError:
        assert violated, "an engine that fails had been seen to be wrong before"
    return {"violated": sorted(violated), "calls": len(watch.calls)}


def judged_steps(core: str, count: int) -> list[str]:
    """The rules about steps of which some instance was checked."""
    checked: set[str] = set()
    for policy, components in product(("write_through", "write_back"), (["full"], ["full", "swa"])):
        driver = _open(**_setup(policy, components, 1, core))
        follower, calls = Follower(driver.subject().snapshot(None)), list[Call]()

        def settle(driver: EngineDriver = driver, follower: Follower = follower, calls: list[Call] = calls) -> None:
            if calls:
                report = follower.follow(calls.pop(), driver.subject().snapshot(None))
                checked.update(f.check.rule.id for f in report.findings if f.checked)

        driver.listen(settle, calls.append)
        run(driver, 13, count)
    return sorted(checked)
