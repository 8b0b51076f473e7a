"""The traces of known bugs: an engine that has one shows it, one in which it is fixed does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sanitree.checker.hunt.both import CORES
from sanitree.checker.hunt.known import known
from sanitree.checker.hunt.wrong import Kind, Wrong
from sanitree.checker.replay import Answer, replay
from sanitree.models.driving.trace import read
from sanitree.models.engines import deps, store
from sanitree.models.engines.findings import FINDINGS, Finding

TRACES = sorted((Path(__file__).parents[1] / "traces").glob("*.json"))
BY_ID = {f.id: f for f in FINDINGS}

pytestmark = pytest.mark.engine


def installed(wanted: Callable[[str], bool]) -> str:
    """The oldest version here that is wanted; skips where there is none."""
    found = [i.version for i in store.installed() if wanted(i.version)]
    if not found or not deps.ready():
        pytest.skip("no engine that shows it is here (sanitree engine setup, fetch)")
    return min(found, key=store.version_key)


@pytest.mark.parametrize("path", TRACES, ids=lambda p: p.stem)
def test_an_engine_that_has_it_shows_it(path: Path) -> None:
    finding, trace = BY_ID[path.stem], read(path)
    assert trace.on is not None
    assert shown(finding, trace.on)
    version = installed(partial(str.__eq__, trace.on))
    assert replay(trace, version).answer is Answer.REPRODUCED


@pytest.mark.parametrize("path", TRACES, ids=lambda p: p.stem)
def test_it_is_not_there_where_it_is_fixed(path: Path) -> None:
    """GONE, or the operations that led there cannot be done any more."""
    finding, trace = BY_ID[path.stem], read(path)
    if finding.fixed is None:
        pytest.skip("no version has fixed it")
    version = installed(partial(fixed_in, finding.fixed))
    assert replay(trace, version).answer is not Answer.REPRODUCED


def fixed_in(floor: str, version: str) -> bool:
    return store.at_least(version, floor)


def shown(finding: Finding, version: str) -> bool:
    late = finding.fixed is not None and store.at_least(version, finding.fixed)
    return store.at_least(version, finding.first) and not late


@pytest.mark.parametrize("path", TRACES, ids=lambda p: p.stem)
def test_a_hunt_that_comes_upon_it_says_so(path: Path) -> None:
    t, finding = read(path), BY_ID[path.stem]
    assert t.found is not None
    wrong = Wrong(Kind(t.found.kind), t.found.names, t.found.place, t.found.call, t.found.text)
    assert finding in known(finding.first, t.setup, wrong)
    if finding.fixed:
        assert finding not in known(finding.fixed, t.setup, wrong)


def test_both_cores_have_what_either_has() -> None:
    t = read(next(p for p in TRACES if p.stem == "rust-keeps-auxiliary-data-while-loading"))
    assert t.found is not None and t.setup.core == "rust"
    wrong = Wrong(Kind(t.found.kind), t.found.names, t.found.place, t.found.call, t.found.text)
    found = {core: {f.id for f in known("0.5.20", replace(t.setup, core=core), wrong)} for core in (*CORES, "both")}
    assert found["both"] == found["python"] | found["rust"] > found["python"]
