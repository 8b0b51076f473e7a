"""Real engines, driven: seeded workloads with bytes checked, and each finding reproduced."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest
from conftest import Run, asked_for, versions

from sanitree.models.engines import store
from sanitree.models.engines.build import FIRST_RUST, POLICIES, EngineConfig
from sanitree.models.engines.errors import EngineFailed
from sanitree.models.engines.findings import applying

pytestmark = pytest.mark.engine

NEWEST = "0.5.23"
CORES = [
    (version, core)
    for version in versions()
    for core in (["python", "rust"] if store.at_least(version, FIRST_RUST) else ["python"])
]
STEPS = int(os.environ.get("SANITREE_STEPS", "300" if len(asked_for()) > 3 else "120"))


@pytest.mark.parametrize(("version", "core"), CORES)
def test_a_workload_is_clean_where_no_finding_applies(run_case: Run, version: str, core: str) -> None:
    components: list[Any] = [("full",), ("full", "swa"), ("full", "mamba")]
    configs = [
        EngineConfig(policy=policy, components=kinds, page_size=page, core=core, device_tokens=96 * page)  # type: ignore[arg-type]
        for kinds, policy, page in itertools.product(components, POLICIES, (1, 4))
    ]
    outcomes = run_case(version, "workloads", configs=[c.to_json() for c in configs], steps=STEPS, seed=0)
    for config, outcome in zip(configs, outcomes, strict=True):
        known = [finding.id for finding in applying(version, config)]
        if not known or outcome["failure"] is None:
            assert outcome["failure"] is None, f"{config}: {outcome['failure']}"
            assert outcome["steps"] == STEPS
            assert outcome["in flight at the end"] == 0
        if "duplicate-check-wrong-while-loading" not in known:
            assert outcome["alarms"] == 0
        if outcome["steps"] >= 100:
            assert outcome["flying"], "no copy was ever in flight"
            assert {"request", "start", "finish", "evict", "evict_host", "pump"} <= set(outcome["ops"])


def test_a_write_back_that_is_not_awaited_serves_wrong_bytes(run_case: Run) -> None:
    race = run_case("0.5.12", "write_back_race")
    assert race["flying"] == ["write 1 of [6]: full [3, 4] → [0, 1]"]
    assert race["free sources"] == [3, 4]
    assert race["complaints"] == [
        "node 6 backed up but parent 5 not backed up",
        "[Ongoing] write_through node 6 lock_ref=0",
    ]
    assert race["loaded"]
    assert (race["checked"], race["wrong"]) == (4, 4)


@pytest.mark.parametrize("version", ["0.5.13.post1", NEWEST])
def test_an_awaited_write_back_serves_right_bytes(run_case: Run, version: str) -> None:
    race = run_case(version, "write_back_race")
    assert race == {
        "flying": [],
        "complaints": [],
        "free sources": [],
        "loaded": True,
        "checked": 4,
        "wrong": 0,
    }


@pytest.mark.parametrize(("version", "outcome"), [("0.5.12", "assertion"), ("0.5.13.post1", "fine")])
def test_the_ack_of_a_write_back_has_no_lock_to_release(run_case: Run, version: str, outcome: str) -> None:
    assert run_case(version, "poll_a_write_back") == outcome


@pytest.mark.parametrize("version", ["0.5.12", "0.5.13.post1"])
def test_window_recovery_frees_what_a_running_request_reads(run_case: Run, version: str) -> None:
    told = run_case(version, "recover_a_window")
    assert told["freed while held"] == 4
    assert told["started"]
    assert len(told["wrong"]) == 1


def test_window_recovery_leaves_locked_slots_alone_since(run_case: Run) -> None:
    assert run_case(NEWEST, "recover_a_window") == {"freed while held": 0, "started": True, "wrong": []}


def test_the_duplicate_check_is_wrong_while_loading(run_case: Run) -> None:
    cases = list(itertools.product(("python", "rust"), POLICIES))
    for (core, policy), told in zip(cases, run_case(NEWEST, "check_while_loading", cases=cases), strict=True):
        complaint = {"python": "Duplicate missing", "rust": "Full host coexistence missing"}[core]
        assert told["loaded"], policy
        assert told["after"] == []
        assert told["known"] == told["during"]
        assert [line[: len(complaint)] for line in told["during"]] == [complaint] * (policy != "write_back")


@pytest.mark.parametrize("version", versions())
def test_one_flipped_byte_is_noticed(run_case: Run, version: str) -> None:
    cases = list(itertools.product((["full"], ["full", "swa"], ["full", "mamba"]), (1, 4)))
    for (components, _page), noticed in zip(cases, run_case(version, "corruption", cases=cases), strict=True):
        assert noticed == {
            "clean": True,
            **{component: {"tree": True, "served": True} for component in components},
            "host": True,
        }


@pytest.mark.parametrize("version", versions())
def test_transfers_in_flight_name_their_slots(run_case: Run, version: str) -> None:
    told = run_case(version, "transfers")
    assert told.pop("write") == ["write", ["full"]]
    assert told.pop("load") == ["load", True]
    assert all(told.values()), told


@pytest.mark.parametrize(("version", "core"), CORES)
def test_grow_makes_as_many_nodes_as_asked(run_case: Run, version: str, core: str) -> None:
    for told in run_case(version, "grown", nodes=503, core=core):
        assert told["made"] == 503
        assert told["counted"] == (503 if core == "python" else None)
        assert told["complaints"] == []


def test_one_version_a_process_and_whole_pages(run_case: Run) -> None:
    other, unaligned = run_case("0.5.12", "refusals")
    assert other.startswith("EngineRefused: sglang 0.5.12 runs in this process")
    assert unaligned == "ValueError: 2 tokens are not whole pages of 4"


def test_what_a_child_raises_is_one_clear_error(run_case: Run) -> None:
    with pytest.raises(EngineFailed, match=r"engine_cases:grown on sglang 0.5.12 raised TypeError"):
        run_case("0.5.12", "grown")
