"""The hook on real engines: found by their own loader, clean on legal work, and quick to say what is wrong."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sanitree.models.engines import store
from sanitree.models.engines.build import EngineConfig
from sanitree.models.engines.findings import applying
from sanitree.models.engines.process import run_in_engine
from tests.engines_here import needs
from tests.hook.matrix import problems, watched
from tests.live.matrix import cases

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]
SLICE = [("0.5.12", None), ("0.5.13.post1", None), ("0.5.23", "python"), ("0.5.23", "rust")]
ALL = [
    *((v, None) for v in ("0.5.12", "0.5.13.post1", "0.5.14", "0.5.15", "0.5.16", "0.5.17", "0.5.18")),
    *((v, core) for v in ("0.5.19", "0.5.20", "0.5.21", "0.5.22", "0.5.23") for core in ("python", "rust")),
]

EVERY = [(v, core) for v in store.KNOWN_VERSIONS for core in ("python", "rust")[: 1 + store.at_least(v, "0.5.19")]]


def in_engine(version: str, function: str, **arguments: Any) -> Any:
    needs(version)
    return run_in_engine(version, f"tests.hook.{function}", {"version": version, **arguments}, search=[ROOT])


def test_the_plugin_imports_nothing_large_and_does_nothing_unasked() -> None:
    """In most of an engine's processes there is no cache, and in most servers nobody asked."""
    code = (
        "import sys, sanitree.checker.hook.plugin as p; p.register();"
        "print([m for m in ('torch', 'z3', 'numpy', 'networkx', 'sglang') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.strip() == "[]"


def works(version: str, core: str | None, steps: int, seed: int, policy: str = "write_through") -> list[dict[str, Any]]:
    """What a seeded workload through the plug-in came to, in every kind of cache."""
    kinds = [
        {"policy": policy, "components": components, "core": core}
        for components in (["full"], ["full", "swa"], ["full", "mamba"])
    ]
    answers: list[dict[str, Any]] = in_engine(version, "served:works", configs=kinds, steps=steps, seed=seed)
    for kind, answer in zip(kinds, answers, strict=True):
        assert answer["off"] == ""
        assert problems(version, EngineConfig.from_json(kind), answer) == []
    return answers


@pytest.mark.parametrize(("version", "core"), SLICE)
def test_found_by_the_engines_loader_and_clean(version: str, core: str | None) -> None:
    """A seeded workload through the plug-in, at rest through the scheduler's own idle check: nothing is reported."""
    for answer in works(version, core, steps=400, seed=3):
        assert answer["heard"] > 800
        if core == "rust":
            assert answer["walks"] == 0
        else:
            assert answer["walks"] >= 2 and answer["checks"] > 30
        assert answer["counters"]["operations"] == answer["heard"]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["write_through", "write_through_selective", "write_back"])
@pytest.mark.parametrize(("version", "core"), SLICE)
def test_thousands_of_operations_are_clean(version: str, core: str | None, policy: str) -> None:
    """The same for longer: no false alarm of any tier, and nothing but what is known to be wrong in that engine."""
    for answer in works(version, core, steps=3000, seed=4, policy=policy):
        assert core == "rust" or answer["crash"] or answer["judged"] > 3000


@pytest.mark.parametrize(("version", "core"), [("0.5.13.post1", None), ("0.5.23", "rust")])
def test_another_thread_takes_and_frees_host_slots(version: str, core: str | None) -> None:
    """As transfer threads do while the scheduler works: none is lost, none is a fault."""
    answer = in_engine(version, "served:with_a_thread", core=core, steps=150, seed=5)
    assert answer["lines"] == [] and answer["faults"] == [] and answer["off"] == ""
    assert answer["steps"] == 150 and answer["rounds"] > 100


def test_each_process_dumps_for_itself(tmp_path: Path) -> None:
    """Two servers, at once, into one folder."""
    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(in_engine, "0.5.12", "served:write_back_race", mode="dump", folder=str(tmp_path))
            for _ in range(2)
        ]
        assert all("slot_in_flight_is_not_freed" in x.result()["lines"][0] for x in both)
    folders = [p.name for p in tmp_path.iterdir()]
    assert len({re.search(r"pid(\d+)", name)[1] for name in folders}) == 2, folders  # type: ignore[index]
    assert all((tmp_path / name / "snapshot.json.gz").is_file() for name in folders)


def cells(core: str | None) -> list[dict[str, Any]]:
    return [
        {"policy": policy, "components": components, "page_size": page, "core": core}
        for components in (["full"], ["full", "swa"], ["full", "mamba"])
        for policy in ("write_through", "write_through_selective", "write_back")
        for page in (1, 4)
    ]


def clean(version: str, core: str | None, steps: int, seed: int, **how: Any) -> None:
    """Legal work is clean, but where what is known of this version is met."""
    wanted = [{**cell, **how} for cell in cells(core)]
    for cell, answer in zip(
        cells(core), in_engine(version, "slots:legal", cells=wanted, steps=steps, seed=seed), strict=True
    ):
        known = applying(version, EngineConfig.from_json(cell))
        rules = set(answer["rules"])
        if rules:
            assert rules <= frozenset().union(*(f.slots for f in known)), answer
        elif answer["crash"]:
            assert any(f.crash and f.crash in answer["crash"] for f in known) or "write-back-ack" in str(known), answer
        else:
            assert answer["steps"] == steps
        assert answer["untracked"] == [] and answer["apart"] == []


@pytest.mark.parametrize(("version", "core"), SLICE)
def test_legal_work_is_clean(version: str, core: str | None) -> None:
    clean(version, core, steps=60, seed=5)


def test_legal_work_is_clean_without_reading_back() -> None:
    """The same with the tables that a GPU would have."""
    clean("0.5.23", "python", steps=60, seed=5, on_device=True)


@pytest.mark.slow
@pytest.mark.parametrize(("version", "core"), ALL)
@pytest.mark.parametrize("seed", [6, 7])
def test_legal_work_is_clean_on_every_version(version: str, core: str | None, seed: int) -> None:
    clean(version, core, steps=300, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize(("version", "core"), EVERY)
def test_whole_watchers_are_silent_on_every_version(version: str, core: str) -> None:
    """Through the plug-in, all tiers: every policy, component set and page size; `tests.hook.matrix` is the same."""
    if version not in {i.version for i in store.installed()}:
        pytest.skip(f"sglang {version} is not here: sanitree engine fetch {version}")
    cells = [c for c in cases(version) if c.core == core]
    for cell, answer in zip(cells, watched(cells, steps=150, seed=8), strict=True):
        assert problems(version, cell.config, answer) == [], cell.name


PLANTED = {
    "freed_twice": ["slot_is_freed_once"],
    "tree_slot_freed": ["tree_slot_is_freed_by_the_tree"],
    "freed_while_read": ["tree_slot_is_freed_by_the_tree", "slot_in_flight_is_not_freed"],
    "reused_while_read": ["slot_is_handed_out_once", "slot_in_flight_is_not_handed_out"],
    "dropped_by_the_tree": ["tree_holds_what_it_counts"],
    "dropped_by_a_request": ["idle_slots_have_owners"],
}
"""What is told when the one call that is at fault returns; of a request's dropped slot, at the next rest."""


@pytest.mark.parametrize(("version", "core"), SLICE)
def test_planted_faults_are_found_at_the_operation(version: str, core: str | None) -> None:
    """On both cores; the engine's own check says nothing of any, and its count of a reused slot stays even."""
    answer = in_engine(version, "planted:run", core=core)
    for plant, rules in PLANTED.items():
        assert answer[plant]["at the operation"] == rules, plant
        assert all(answer[plant]["stacks"]), plant
        assert answer[plant]["engine's check"] == [], plant
        silent = plant == "reused_while_read"
        assert (answer[plant]["engine's count"] == "") == silent, "what its scheduler's idle check says"
        assert (answer[plant]["engine, busy"] == "") == silent, plant


def test_planted_faults_are_found_without_reading_back() -> None:
    """The same faults, told some operations later, but for what takes the tree's count: that would wait."""
    answer = in_engine("0.5.23", "planted:run", core="rust", on_device=True)
    for plant, rules in PLANTED.items():
        if plant != "dropped_by_the_tree":
            assert answer[plant]["rules"] == rules, plant


def test_the_seeds_bug_is_told_at_the_eviction(tmp_path: Path) -> None:
    """0.5.12 under write_back: `evict` frees what its own write reads, and no byte is wrong yet."""
    answer = in_engine("0.5.12", "served:write_back_race", mode="dump", folder=str(tmp_path))
    assert answer["before"] == 0 and answer["copied"] == 0
    assert answer["lost"] == 0, "the engine's count of the pool is even"
    text = answer["lines"][0]
    assert "slot_in_flight_is_not_freed" in text and "full device slots [3, 4], in the tree before" in text
    assert "in UnifiedRadixCache.evict" in text and "write to the host, nodes [6]" in text
    (folder,) = tmp_path.iterdir()
    assert "rank0" in folder.name and not folder.name.startswith(".")
    report = json.loads((folder / "report.json").read_text())
    assert report["engine"]["version"] == "0.5.12" and report["engine"]["policy"] == "write_back"
    assert report["violations"][0]["rule"] == "slot_in_flight_is_not_freed"
    assert report["operations"][-1]["number"] >= report["violations"][0]["operation"]["number"]
    snapshot = json.loads(gzip.decompress((folder / "snapshot.json.gz").read_bytes()))
    assert snapshot["tokens"] == "hashed"
    told = {
        command: subprocess.run(
            [sys.executable, "-m", "sanitree.checker", command, "--json", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        for command in ("check", "replay")
    }
    assert told["check"].returncode == 1, told["check"].stderr
    assert "source_is_not_free" in told["check"].stdout
    assert told["replay"].returncode == 3 and json.loads(told["replay"].stdout)["answer"] == "CANNOT RUN"
    fixed = in_engine("0.5.13.post1", "served:write_back_race", mode="raise")
    assert fixed["raised"] == "" and fixed["lines"] == []


def test_raise_stops_the_free_before_it_is_done() -> None:
    answer = in_engine("0.5.13.post1", "planted:raised")
    assert answer == {"rule": "slot_is_freed_once", "untouched": True}


def test_a_fault_inside_sanitree_ends_the_watching_and_nothing_else() -> None:
    answer = in_engine("0.5.13.post1", "planted:broken_watcher")
    assert answer["off"].startswith("TypeError") and answer["served"] == 4 and answer["hooks"] == []


@pytest.mark.parametrize("hang", [False, True], ids=["working", "hanging"])
def test_a_dump_when_a_file_appears(tmp_path: Path, hang: bool) -> None:
    """Between two operations of a server that works, and of one that does not come to the next where it stands."""
    (name,) = in_engine("0.5.13.post1", "served:asked", folder=str(tmp_path), hang=hang)
    assert name.endswith("-hanging" if hang else "-asked")
    assert (tmp_path / name / "snapshot.json.gz").is_file()


@pytest.mark.parametrize(("version", "core"), SLICE)
def test_a_streaming_session_is_no_leak(version: str, core: str | None) -> None:
    """The engine's own: between turns it holds slots and a lock by design; what it does not give back has leaked."""
    answer, forgotten = in_engine(version, "sessions:held", core=core)
    assert answer["held"] == [5, 8, 0], "slots of the session after each turn, and at its end"
    assert answer["told"] == [[], [], []] and answer["off"] == ""
    assert answer["walks"] >= 2 or core == "rust"
    assert answer["free"] + answer["evictable"] == answer["size"] and answer["protected"] == 0
    assert forgotten["told"][:2] == [[], []]
    assert forgotten["rules"] == ["idle_slots_have_owners"]
