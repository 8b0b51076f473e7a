"""What the tests of bytes and of oracles do inside an engine's process: each function returns plain JSON."""

from __future__ import annotations

from typing import Any

from sanitree.checker.watch import Watch
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.engine import EngineDriver
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.operations import Copy, Evict, Finish, Operation, Poll, Release, Start
from sanitree.models.driving.setup import Setup
from sanitree.models.engines import shims

SERVED: tuple[Operation, ...] = (Start((1, 2)), Finish(0), Release(0))


def _driver(core: str) -> EngineDriver:
    version = shims.active()
    assert version is not None
    driver = open_driver(version, Setup(core=core))
    assert isinstance(driver, EngineDriver)
    for op in (*SERVED, Copy(0), Poll()):
        driver.do(op)
    return driver


def told(driver: EngineDriver) -> list[str]:
    """The rules that a watch which begins now finds violated."""
    heard: list[Any] = []
    Watch(driver, heard.append).end()
    return sorted({f.check.name for h in heard for f in h.report.findings if f.violated})


def flipped(core: str) -> dict[str, list[str]]:
    """What is told where nothing is wrong, where a byte of a host copy is, where one of a device copy is."""
    found = {"nothing": told(_driver(core))}
    driver = _driver(core)
    driver.live.host_pools["full"].k_buffer[0][:] += 1
    found["host"] = told(driver)
    driver = _driver(core)
    driver.live.device_pools["full"].v_buffer[1][:] += 1
    found["device"] = told(driver)
    return found


def complaints(core: str) -> dict[str, dict[str, int]]:
    """How many complaints each oracle has: of a sane cache, of one that lost a slot, of one with a slot that is free
    while a request reads it, of one with a slot that is free twice."""
    found = {"sane": _driver(core), "lost": _driver(core), "used": _driver(core), "twice": _driver(core)}
    lost = found["lost"].live
    lost.full_allocator.free_pages = lost.full_allocator.free_pages[1:]
    for name in ("used", "twice"):
        found[name].do(Start((3,)))
        live = found[name].live
        slots = live.requests[0].slots[-1:] if name == "used" else live.full_allocator.free_pages[:1]
        live.full_allocator.free(slots)
    return {name: {o: len(lines) for o, lines in driver.oracles().items()} for name, driver in found.items()}


def numbered(driver: Driver) -> bool:
    """Three writes are in flight as a `Copy` counts them: with the second the first runs too, and the third is left."""
    for prompt in ((1,), (2,), (3,)):
        driver.do(Start(prompt, False))
        driver.do(Finish(0))
        driver.do(Release(0))
    flying = driver.hidden().flying
    driver.do(Copy(1))
    left = driver.hidden()
    return len(flying) == 3 and left.landed == flying[0] | flying[1] and left.flying == flying[2:]


def flying(core: str) -> bool:
    """That, of an engine."""
    version = shims.active()
    assert version is not None
    return numbered(open_driver(version, Setup(core=core)))


def landed(core: str) -> list[Any]:
    """Which transfers have run: after a write was submitted, when its copy ran, when it was acknowledged."""
    version = shims.active()
    assert version is not None
    driver = open_driver(version, Setup(core=core))
    for op in SERVED:
        driver.do(op)
    counts = [len(driver.hidden().landed)]
    for op in (Copy(0), Poll(), Evict("full", 1), Start((1, 2)), Copy(0)):
        driver.do(op)
        counts.append(len(driver.hidden().landed))
    return [counts, [list(x) for x in driver.hidden().running], driver.hidden().used is not None]
