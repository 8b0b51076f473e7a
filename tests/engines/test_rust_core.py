"""Rust cores: what their snapshots show is what a Python core shows, and what they cannot show is not judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sanitree.models.engines import store
from sanitree.models.engines.process import run_in_engine
from tests.engines_here import needs

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent
NEWEST = "0.5.23"
WITH_RUST = tuple(v for v in store.KNOWN_VERSIONS if store.at_least(v, "0.5.19"))

# Of these nothing is known, whatever the state: leaf sets, LRU lists, the table of nodes, the
# register of duplicates. Rules that only a root or an empty tree satisfies without them count as checked.
NOWHERE = {
    "device_leaves_are_exact", "device_leaves_are_in_the_tree", "duplicates_are_in_the_tree", "full_has_no_lru",
    "host_leaves_are_exact", "host_leaves_are_in_the_tree", "leaf_sets_are_disjoint", "table_of_nodes_is_exact",
}  # fmt: skip
NOWHERE_AUXILIARY = {
    "device_lru_is_exact", "lru_links_agree", "lru_list_is_linked", "lru_lists_are_disjoint",
    "lru_nodes_are_in_the_tree",
}  # fmt: skip
EVERYWHERE = {
    "available_counts_the_free", "device_is_prefix_closed", "free_slot_is_not_held", "freed_once",
    "key_is_not_empty", "key_is_whole_pages", "lock_has_its_holders",
    "node_lives_somewhere", "one_parent", "path_lock_covers_children", "pending_write_is_locked",
    "pending_write_keeps_its_source", "request_holds_its_node", "request_prefix_is_its_path", "root_is_on_device",
    "slot_in_flight_is_not_held", "slot_is_of_its_pool", "source_is_not_free", "target_is_not_free",
    "transfer_is_acknowledged_once", "transfer_node_is_in_the_tree", "transfer_node_is_locked",
    "write_publishes_its_nodes", "write_source_stays_with_its_node",
}  # fmt: skip
# Of an auxiliary host pool only the free slots can be seen: where none is free, nobody knows whether a slot is held.
EVERYWHERE_FULL_ALONE = EVERYWHERE | {
    "copy_covers_key", "evictable_size_is_exact", "free_slot_is_not_in_the_tree", "held_slot_is_not_in_the_tree",
    "no_slot_leaks", "one_node_a_slot", "protected_size_is_exact", "root_is_locked_once",
    "write_target_stays_with_its_node",
}  # fmt: skip


def _run(version: str, function: str, **arguments: Any) -> Any:
    needs(version)
    return run_in_engine(version, f"rust_cases:{function}", arguments, search=[HERE], timeout=1800)


def _judge(version: str, steps: int, seed: int, stride: int = 1) -> None:
    for told in _run(version, "judged", steps=steps, seed=seed, stride=stride):
        assert told["steps"] == steps
        assert told["violated"] == [], told["config"]
        assert told["complaints"] == [], told["config"]
        full_alone = told["config"][1] == ["full"]
        missing = (EVERYWHERE_FULL_ALONE if full_alone else EVERYWHERE) - set(told["everywhere"])
        assert not missing, told["config"]
        assert set(told["nowhere"]) >= NOWHERE | (set() if full_alone else NOWHERE_AUXILIARY), told["config"]


def _compare(version: str, steps: int, seed: int, stride: int = 1) -> None:
    for told in _run(version, "compared", steps=steps, seed=seed, stride=stride):
        assert told["differences"] == [], told["config"]
        policy, components, _ = told["config"]
        # There the cores evict different nodes from the host.
        may_part = not store.at_least(version, "0.5.21") and policy == "write_back" and components != ["full"]
        if not may_part:
            assert told["parted"] is None, told["config"]
            assert told["steps"] == steps
        known = told["known"]
        for name in ("parent", "key_len", "write_ack", "lock.full.device", "list holds.full.device"):
            assert known[name] == 1, name
        assert known["list holds.full.host"] == known["present.full.host"] == 1
        for c in components[1:]:
            assert known[f"present.{c}.device"] == known[f"list holds.{c}.device"] == 1
            assert known[f"present.{c}.host"] > (0.05 if c == "swa" else 0.99)  # not where a write of it is pending
        assert known["parent_link"] > 0.3  # not the root's, and before 0.5.22 only those of nodes on the device


def test_a_legal_workload_violates_nothing() -> None:
    _judge(NEWEST, steps=40, seed=5, stride=5)  # each policy and set of components, and both page sizes


def test_both_cores_show_the_same() -> None:
    _compare(NEWEST, steps=40, seed=5, stride=5)  # each policy and set of components, and both page sizes


@pytest.mark.slow
@pytest.mark.parametrize("version", WITH_RUST)
def test_long_legal_workloads_violate_nothing(version: str) -> None:
    _judge(version, steps=220, seed=6)


@pytest.mark.slow
@pytest.mark.parametrize("version", WITH_RUST)
def test_both_cores_show_the_same_for_long(version: str) -> None:
    _compare(version, steps=250, seed=11)


@pytest.mark.parametrize("version", ["0.5.19", "0.5.20", NEWEST])
def test_observing_changes_nothing(version: str) -> None:
    told = _run(version, "asked_twice", steps=100, seed=3)
    assert told == {"same": True, "steps": 100}


def test_the_core_is_asked_for_its_own_opinion() -> None:
    told = _run(NEWEST, "core_says")
    assert told["sound"] == []
    assert any("lock" in line for line in told["unlocked"])
    assert "transfer_node_is_locked" in told["ours"]
    assert len(told["dead"]) == 3
    assert all("restart the engine" in line for line in told["dead"])
