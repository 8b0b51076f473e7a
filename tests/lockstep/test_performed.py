"""Runs of the model, done by live caches: what the explorer shows, a cache is asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sanitree.checker.cli import cli
from sanitree.checker.perform.explained import REASONS
from sanitree.checker.perform.perform import perform
from sanitree.checker.perform.scheduled import DECIDED
from sanitree.invariants.vocabulary import FULL, Component, Policy
from sanitree.models.driving.open import open_driver
from sanitree.models.protocol.pages import FAULTS
from tests.engines_here import needs
from tests.hunt.campaign import SETS
from tests.lockstep.performed import Cell, one, runs, unexplained


def sanitree(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), env={"COLUMNS": "300"})


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("components", SETS, ids=lambda cs: "+".join(c.name for c in cs))
def test_the_reference_cache_does_what_the_model_does(policy: Policy, components: tuple[Component, ...]) -> None:
    done = one(Cell("reference", policy, components), walks=3, length=8, faults=())
    assert unexplained(done) == []
    assert sum(r["whole"] for r in done) > 0.7 * len(done)


@pytest.mark.slow
@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("components", SETS, ids=lambda cs: "+".join(c.name for c in cs))
def test_the_reference_cache_has_no_fault(policy: Policy, components: tuple[Component, ...]) -> None:
    done = one(Cell("reference", policy, components), walks=0, length=0)
    broken = [r for r in done if r["kind"] == "fault"]
    assert len(broken) > 10
    assert not [r["fault"] for r in broken if r["whole"]]


THEIRS = {
    Policy.WRITE_THROUGH: ["split_forgets_the_pending_write", "backup_takes_no_lock", "child_is_backed_up_first",
                           "removed_node_keeps_host_slots", "insert_frees_the_prefix"],
    Policy.WRITE_BACK: ["split_forgets_the_lock", "load_takes_no_lock", "host_reclaims_the_source_of_a_load"],
}  # fmt: skip


@pytest.mark.parametrize(("policy", "fault"), [(p, f) for p, names in THEIRS.items() for f in names])
def test_a_cache_does_what_breaks_a_rule_only_if_it_has_the_fault(policy: Policy, fault: str) -> None:
    cell = Cell("reference", policy, (FULL,))
    (run,) = (x.run for x in runs(cell, 0, 0, [FAULTS[fault]]) if x.run.fault == fault)
    with_it = perform(open_driver("reference", replace(cell.setup, fault=fault)), run)
    without = perform(open_driver("reference", cell.setup), run)
    assert with_it.moves == len(run.moves)
    assert without.moves < len(run.moves)
    assert without.differences


def test_what_is_decided_has_names_and_reasons() -> None:
    for said in (DECIDED, REASONS):
        assert len({x.id for x in said}) == len(said)
        assert all(x.why.endswith(".") for x in said)


@pytest.fixture
def explored(tmp_path: Path) -> Path:
    """The trace of the seed's bug, as the explorer finds it in the model."""
    file = tmp_path / "trace.json"
    told = sanitree("explore", "--policy", "write_back", "--fault", "evict_does_not_wait", "--save", str(file))
    assert told.exit_code == 1, told.output
    return file


def test_a_model_trace_parts_from_a_cache_without_its_fault(explored: Path) -> None:
    told = sanitree("replay", str(explored), "--on", "reference")
    assert told.exit_code == 0
    assert told.output.startswith("GONE on the reference cache: it does not come to move 2, write_back")
    assert "asked for by start(" in told.output
    plain = json.loads(sanitree("replay", str(explored), "--on", "reference", "--json").output)
    assert (plain["answer"], plain["done"], plain["exit"]) == ("GONE", 1, 0)
    assert any("write_pending" in line for line in plain["differences"])


def test_what_is_no_run_of_a_cache_cannot_run(tmp_path: Path, explored: Path) -> None:
    heap = tmp_path / "heap.json"
    assert sanitree("explore", "--preset", "heap", "--judge-as", "write_through", "--policy", "write_back",
                    "--save", str(heap)).exit_code == 1  # fmt: skip
    told = sanitree("replay", str(heap), "--on", "reference")
    assert told.exit_code == 3
    assert "only the page model is" in told.output
    document = json.loads(explored.read_text())
    document["moves"] = document["moves"][::-1]
    explored.write_text(json.dumps(document))
    told = sanitree("replay", str(explored), "--on", "reference")
    assert told.exit_code == 3
    assert "the model cannot do it either" in told.output
    told = sanitree("replay", str(explored), "--on", "reference", "--core", "rust")
    assert told.exit_code == 2
    assert "whose nodes can be seen" in told.output


@pytest.mark.engine
@pytest.mark.parametrize(("version", "answer"), [("0.5.12", "REPRODUCED"), ("0.5.13.post1", "GONE")])
def test_the_model_says_what_is_wrong_with_an_engine(explored: Path, version: str, answer: str) -> None:
    needs(version)
    told = sanitree("replay", str(explored), "--on", version)
    assert told.output.startswith(f"{answer} on sglang {version}"), told.output
    assert told.exit_code == (1 if answer == "REPRODUCED" else 0)
