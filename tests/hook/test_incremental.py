"""Rules after each operation, on what it touched: the verdict is that of a walk over everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sanitree.models.engines.process import run_in_engine
from tests.engines_here import needs

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]
SLICE = [("0.5.12", None), ("0.5.13.post1", None), ("0.5.23", "python")]
ALL = [
    *((v, None) for v in ("0.5.12", "0.5.13.post1", "0.5.14", "0.5.15", "0.5.16", "0.5.17", "0.5.18")),
    *((v, "python") for v in ("0.5.19", "0.5.20", "0.5.21", "0.5.22", "0.5.23")),
]
COMPONENTS = (["full"], ["full", "swa"], ["full", "mamba"])
POLICIES = ("write_through", "write_through_selective", "write_back")

FAULTS = {
    "leaf_forgotten": {"device_leaves_are_exact"},
    "slot_short": {"copy_covers_key"},
    "counted_twice": {"evictable_size_is_exact"},
    "locked_above": {"path_lock_covers_children", "full_lock_covers_auxiliary"},
    "wrong_edge": {"edge_names_first_page"},
    "wrong_parent": {"irregular"},
    "left_behind": {"node_lives_somewhere"},
    "hole_above": {"device_is_prefix_closed"},
    "ack_lost": {"pending_write_has_its_transfer"},
}
"""Planted into the engine's own methods, and the rules of which one at least is told."""

MISDEEDS = {
    "evicts_less": {"eviction_frees_what_was_asked"},
    "says_more": {"eviction_says_what_it_freed"},
    "match_locks": {"query_keeps_locks_and_copies"},
    "match_evicts": {"query_removes_no_node", "query_keeps_sizes"},
    "match_acknowledges": {"query_keeps_marks", "query_moves_no_transfer"},
    "promise_forgotten": {"promised_backup_is_made"},
    "backup_thrown_away": {"eviction_keeps_backups"},
    "stops_waiting": {"write_is_pending_until_acked"},
    "ack_lost": {"every_submit_is_acked_once"},
}
"""The same of what only shows in what a call did, and the rules about calls that are told."""


def in_engine(version: str, function: str, **arguments: Any) -> Any:
    needs(version)
    where = {"version": version, **arguments}
    return run_in_engine(version, f"tests.hook.both:{function}", where, search=[ROOT], timeout=3000)


def agree(version: str, cells: list[dict[str, Any]], steps: int, seed: int, fault: str = "") -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = in_engine(version, "agree", cells=cells, steps=steps, seed=seed, fault=fault)
    return answers


def cells(core: str | None, pages: tuple[int, ...] = (1, 4)) -> list[dict[str, Any]]:
    return [
        {"policy": policy, "components": components, "page_size": page, "core": core}
        for components in COMPONENTS
        for policy in POLICIES
        for page in pages
    ]


def unlike(answer: dict[str, Any]) -> bool:
    """Whether a run met what is known to be wrong in that engine."""
    return bool(answer["crash"] or answer["rules"])


@pytest.mark.parametrize(("version", "core"), SLICE)
def test_what_was_touched_says_what_the_whole_says(version: str, core: str | None) -> None:
    """After every call of the cache: and all is well, but on 0.5.12 under write_back."""
    for answer in agree(version, cells(core), steps=40, seed=11):
        assert answer["apart"] == [] and answer["irregular"] == "", answer
        assert answer["compared"] > 10 and answer["checks"] >= 42, answer
        assert answer["calls"] > 10 and answer["step checks"] >= 11, answer
        if not (version == "0.5.12" and answer["config"]["policy"] == "write_back"):
            assert not unlike(answer), answer
            assert answer["judged"] < answer["nodes"], "fewer nodes are judged than there are"


@pytest.mark.parametrize("version", ["0.5.13.post1", "0.5.23"])
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_told_and_the_two_agree(version: str, fault: str) -> None:
    """Also element by element: the same instances are false."""
    policies = ("write_through",) if fault == "ack_lost" else ("write_back",)
    core = "python" if version == "0.5.23" else None
    wanted = [{"policy": p, "components": ["full"], "page_size": 1, "core": core} for p in policies]
    (answer,) = agree(version, wanted, steps=80, seed=5, fault=fault)
    assert answer["apart"] == [], answer
    assert answer["false"] > 0 and FAULTS[fault] & set(answer["rules"]), answer


@pytest.mark.parametrize(("version", "core"), [("0.5.13.post1", None), ("0.5.23", "python")])
def test_misdeeds_are_told_and_the_two_agree(version: str, core: str | None) -> None:
    """Rules about calls: those of two whole states, instance by instance."""
    cell = {"policy": "write_through", "components": ["full"], "page_size": 1, "core": core}
    answers = in_engine(version, "misdeeds", cell=cell, steps=80, seed=5, faults=list(MISDEEDS))
    for fault, answer in answers.items():
        assert answer["apart"] == [], answer
        assert set(answer["rules"]) >= MISDEEDS[fault], answer


def test_a_load_that_is_forgotten_is_told() -> None:
    """From 0.5.18 on nodes are marked while they are loaded."""
    cell = {"policy": "write_back", "components": ["full"], "page_size": 1, "core": "python"}
    (answer,) = in_engine("0.5.23", "misdeeds", cell=cell, steps=200, seed=5, faults=["forgets_a_load"]).values()
    assert answer["apart"] == [], answer
    assert "load_is_pending_until_acked" in answer["rules"], answer


@pytest.mark.slow
@pytest.mark.parametrize(("version", "core"), ALL)
@pytest.mark.parametrize("seed", [21, 22])
def test_they_agree_on_long_work_on_every_version(version: str, core: str | None, seed: int) -> None:
    for answer in agree(version, cells(core), steps=150, seed=seed):
        assert answer["apart"] == [], answer


@pytest.mark.slow
@pytest.mark.parametrize(("version", "core"), SLICE)
@pytest.mark.parametrize("fault", FAULTS)
def test_they_agree_on_every_fault_in_every_cell(version: str, core: str | None, fault: str) -> None:
    for answer in agree(version, cells(core, pages=(1,)), steps=120, seed=6, fault=fault):
        assert answer["apart"] == [], answer
