"""`sanitree hunt --ranks` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sanitree.checker.cli import cli
from sanitree.models.snapshot import read


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, args, env={"COLUMNS": "200"})


def test_a_finding_has_a_trace_and_each_ranks_snapshot(tmp_path: Path) -> None:
    fault = ("--on", "reference", "--ranks", "2", "--fault", "rank_has_no_room_on_the_host")
    result = run("hunt", *fault, "--budget", "4", "--jobs", "1", "--save", str(tmp_path), "--json")
    assert result.exit_code == 1, result.output
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["kind"] == "agreement" and finding["names"] == ["same_decisions", "same_tree"]
    assert finding["confirmed"] and finding["trace"]["setup"]["ranks"] == 2
    assert len(list(tmp_path.iterdir())) == 3
    assert [Path(f).name[-11:] for f in finding["rank_files"]] == ["-rank0.json", "-rank1.json"]
    assert len({len(read(f).nodes) for f in finding["rank_files"]}) == 1
    assert run("diff", *finding["rank_files"]).exit_code == 0
    again = run("replay", finding["file"], "--on", "reference")
    assert again.exit_code == 1 and "REPRODUCED" in again.output
    test = run("replay", "--pytest", finding["file"], "--on", "reference")
    assert "ranks=2" in test.output


def test_people_are_told(tmp_path: Path) -> None:
    fault = ("--on", "reference", "--ranks", "3", "--fault", "rank_forgets_what_is_used")
    result = run("hunt", *fault, "--budget", "3", "--jobs", "1")
    assert result.exit_code == 1, result.output
    for words in (
        "the reference cache with rank_forgets_what_is_used, 3 ranks", "the ranks do not agree: same_tree", "2 ranks",
        "same_tree: rank 0 order of use", "rank 1",
    ):  # fmt: skip
        assert words in result.output


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--on", "0.5.23", "--core", "both", "--ranks", "2"), "both cores, or several ranks"),
        (("--on", "reference", "--fault", "rank_takes_its_own_acks"), "add --ranks 2"),
        (("--on", "reference", "--ranks", "2", "--fault", "no_such"), "rank_takes_its_own_acks"),
        (("--on", "0.5.23", "--ranks", "2", "--fault", "rank_takes_its_own_acks"), "is of the reference cache"),
        (("--on", "reference", "--ranks", "9"), "9 is not in the range"),
    ],
)
def test_what_cannot_be_is_refused(args: tuple[str, ...], words: str) -> None:
    result = run("hunt", *args, "--budget", "1")
    assert result.exit_code == 2 and words in result.output


def test_the_page_model_goes_along_with_rank_0() -> None:
    said = run("hunt", "--on", "reference", "--ranks", "2", "--lockstep", "--budget", "4", "--jobs", "1", "--json")
    told = json.loads(said.stdout)
    assert said.exit_code == 0 and told["findings"] == []
    assert sum(told["lockstep"]["calls"].values()) > 100
