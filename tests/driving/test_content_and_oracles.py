"""Real engines under watch tell what their copies hold; their own oracles, and what no snapshot shows."""

from __future__ import annotations

import pytest

from tests.driving.engines import in_engine

pytestmark = pytest.mark.engine

CORES = (("0.5.12", "python"), ("0.5.23", "python"), ("0.5.23", "rust"))


CASES = "tests.driving.content_cases"


@pytest.mark.parametrize(("version", "core"), CORES)
def test_a_byte_that_is_wrong_is_told_of_the_copy_that_holds_it(version: str, core: str) -> None:
    assert in_engine(version, "flipped", CASES, core=core) == {
        "nothing": [],
        "host": ["copies_agree[full]", "copy_holds_its_own_bytes[full, host]"],
        "device": ["copies_agree[full]", "copy_holds_its_own_bytes[full, device]"],
    }


@pytest.mark.parametrize(("version", "core"), CORES)
def test_each_oracle_complains_of_what_it_is_there_for(version: str, core: str) -> None:
    told = in_engine(version, "complaints", CASES, core=core)
    pages = {} if version == "0.5.12" else {"page invariants": 0}
    assert told["sane"] == {"sanity_check": 0, "pool accounting": 0, **pages}
    assert told["lost"]["pool accounting"] == told["used"]["pool accounting"] == told["twice"]["pool accounting"] == 1
    if pages:
        assert [told[name]["page invariants"] for name in ("lost", "used", "twice")] == [0, 1, 1]


@pytest.mark.parametrize(("version", "core"), CORES)
def test_what_has_not_run_is_numbered_as_a_copy_counts(version: str, core: str) -> None:
    assert in_engine(version, "flying", CASES, core=core)


@pytest.mark.parametrize(("version", "core"), CORES)
def test_what_has_run_and_who_runs_is_said(version: str, core: str) -> None:
    assert in_engine(version, "landed", CASES, core=core) == [[0, 1, 0, 0, 0, 1], [[1, 2]], core == "python"]
