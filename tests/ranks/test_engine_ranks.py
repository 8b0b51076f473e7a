"""Ranks of real engines: they agree, a rank out of step is found, and gloo carries the same."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sanitree.models.driving.trace import decode
from tests.driving.engines import in_engine
from tests.ranks import rank_cases

CORES = [("0.5.13.post1", None), ("0.5.23", "python"), ("0.5.23", "rust")]
engine = pytest.mark.engine


def on_engine(version: str, function: str, **arguments: Any) -> Any:
    return in_engine(version, function, rank_cases.__name__, on=version, **arguments)


@engine
@pytest.mark.parametrize(("version", "core"), CORES)
@pytest.mark.parametrize("how", ["takes its own", "asks nobody"])
def test_a_rank_out_of_step_is_found(version: str, core: str | None, how: str) -> None:
    names = on_engine(version, "out_of_step", how=how, core=core)
    assert names == (["same_collectives"] if how == "asks nobody" else ["same_acks", "same_decisions", "same_tree"])


ASKS = {
    "0.5.12": ["min of 1"],
    "0.5.13.post1": ["min of 1, min of 1"],
    "0.5.18": ["min of 4"],
    "0.5.23": ["min of 4"],
}


@engine
@pytest.mark.parametrize(("version", "core"), [("0.5.12", None), ("0.5.18", None), *CORES])
def test_a_poll_alone_asks_other_ranks(version: str, core: str | None) -> None:
    told = on_engine(version, "asked", core=core)
    assert told.pop("poll") == ASKS[version]
    assert len(told) >= 10 and all(calls == [""] for calls in told.values())


@engine
@pytest.mark.parametrize(("version", "core"), CORES)
def test_ranks_number_their_nodes_alike(version: str, core: str | None) -> None:
    told = on_engine(version, "names_of_nodes", core=core)
    assert all(ours == theirs for ours, theirs in told) and len(told[-1][0]) == 4


def same_results(told: dict[str, Any], ranks: list[list[str]]) -> None:
    """Whether each rank said over gloo what it said in one process."""
    assert told["wrong"] == ""
    for rank, said in enumerate(ranks):
        for done, line in zip(decode(told["trace"]).operations, said, strict=True):
            assert line in ("", done.result) or (rank and done.operation.__class__.__name__.startswith("Copy"))


def test_over_gloo_the_reference_cache_does_the_same(tmp_path: Path) -> None:
    told = rank_cases.together("reference", 5, 60, policy="write_back", components=["full", "swa"], core=None)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        work = [("reference", told["trace"], rank, str(tmp_path / "meet")) for rank in range(2)]
        same_results(told, pool.starmap(rank_cases.apart, work))


@engine
@pytest.mark.slow
@pytest.mark.parametrize(("version", "core"), CORES)
@pytest.mark.parametrize("policy", ["write_through", "write_back"])
def test_over_gloo_an_engine_does_the_same(version: str, core: str | None, policy: str, tmp_path: Path) -> None:
    told = on_engine(version, "together", seed=3, count=120, policy=policy, components=["full"], core=core)

    def rank(number: int) -> Any:
        return on_engine(version, "apart", trace=told["trace"], rank=number, meet=str(tmp_path / "meet"))

    with ThreadPoolExecutor(2) as both:
        same_results(told, list(both.map(rank, range(2))))
