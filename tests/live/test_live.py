"""Real engines, judged live and on snapshots: legal workloads, corrupted trees, and what they do wrong."""

from __future__ import annotations

from typing import Any

import pytest

from sanitree.models.engines.process import run_in_engine
from tests.engines_here import needs
from tests.live.judge import Case
from tests.live.matrix import ROOT, cases, judge, problems

pytestmark = pytest.mark.engine

SLICE = [("0.5.12", "python"), ("0.5.13.post1", "python"), ("0.5.23", "python"), ("0.5.23", "rust")]
STEPS = 60


@pytest.mark.parametrize(("version", "core"), SLICE)
@pytest.mark.parametrize("policy", ["write_through", "write_through_selective", "write_back"])
def test_a_legal_workload_is_clean(version: str, core: str, policy: str) -> None:
    """Every operation of a seeded workload, judged: nothing but what is known and written down."""
    needs(version)
    cells = [c for c in cases(version) if c.core == core and c.policy == policy]
    for case, answer in zip(cells, judge(cells, STEPS, seed=5), strict=True):
        assert not problems(case, answer), case.name
        assert answer["instances"] > 1000
        assert core == "rust" or not answer["unchecked"]


def test_a_split_forgets_the_pending_write() -> None:
    """The finding of that name: 0.5.12 leaves the upper part out of what the acknowledgement publishes."""
    needs("0.5.12")
    needs("0.5.13.post1")
    wrong = in_engine("scenes:split_while_writing", version="0.5.12")
    assert wrong == ["write_source_stays_with_its_node", "write_target_stays_with_its_node"]
    assert in_engine("scenes:split_while_writing", version="0.5.13.post1") == []


@pytest.mark.slow
@pytest.mark.parametrize(("version", "dies"), [("0.5.18", True), ("0.5.19", False)])
def test_load_backs_that_share_a_window(version: str, dies: bool) -> None:
    """The finding of that name, from the seed that met it; the next version takes the same work."""
    needs(version)
    case = Case(version, "write_back", ("full", "swa"), 4, "python")
    (answer,) = judge([case], 100, seed=4)
    assert ("pinned by load-back" in answer["crash"]) is dies
    assert not problems(case, answer)


@pytest.mark.parametrize("components", [["full"], ["full", "swa"], ["full", "mamba"]], ids="+".join)
def test_backends_agree_on_corrupted_live_trees(components: list[str]) -> None:
    """Faults in a real engine's own objects: the generated pass and the columns say the same."""
    needs("0.5.13.post1")
    answer = in_engine("corrupt:run", components=components, policy="write_through", rounds=150, seed=11)
    assert answer["wrong"] == []
    assert len(answer["found"]) >= 12, answer["found"]
    assert answer["clean"] < 40


def in_engine(function: str, version: str = "0.5.13.post1", **arguments: Any) -> Any:
    return run_in_engine(version, f"tests.live.{function}", {"version": version, **arguments}, search=[ROOT])
