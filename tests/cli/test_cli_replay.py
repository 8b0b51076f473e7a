"""`sanitree replay`: a trace done again on the reference cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from sanitree.checker.hook.dump import Dumps
from sanitree.invariants.vocabulary import Policy
from sanitree.models.driving import trace as traces
from sanitree.models.driving.operations import Copy, Evict, Finish, Operation, Release, Start
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import Found, Trace
from tests.cli.caches import observe, small

Run = Callable[..., Result]

RACE: tuple[Operation, ...] = (Start((1, 2)), Finish(0), Release(0), Evict("full", 2))
FAULTY = Setup(policy=Policy.WRITE_BACK, fault="evict_does_not_wait")
TRACE = Trace.of(FAULTY, RACE, on="reference", found=Found("rule", ("write_back_is_finished",)))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Trace], str]:
    def make(trace: Trace) -> str:
        traces.write(trace, tmp_path / "trace.json")
        return str(tmp_path / "trace.json")

    return make


Write = Callable[[Trace], str]


def test_what_goes_wrong_again_exits_1(run: Run, write: Write) -> None:
    result = run("replay", write(TRACE))
    assert result.exit_code == 1
    assert "REPRODUCED on the reference cache: the rule write_back_is_finished goes wrong again" in result.output
    assert "  ! 3: evict(full, 2)" in result.output
    assert "write_back_is_finished at node" in result.output


def test_what_is_gone_exits_0_and_says_where_results_part(run: Run, write: Write) -> None:
    first = replace(TRACE.operations[0], result="something else")
    fixed = replace(TRACE, setup=replace(FAULTY, fault=None), operations=(first, *TRACE.operations[1:]))
    result = run("replay", write(fixed), "--on", "reference")
    assert result.exit_code == 0
    assert "GONE on the reference cache" in result.output
    assert "Results part at operation 0, start([1, 2], load=True): recorded 'something else'" in result.output


def test_what_cannot_run_exits_3(run: Run, write: Write) -> None:
    result = run("replay", write(Trace.of(Setup(), [Copy(0)], on="reference")), "--json")
    assert result.exit_code == 3
    told = json.loads(result.output)
    assert (told["exit"], told["answer"]) == (3, "CANNOT RUN")
    assert told["reason"] == "operation 0, copy(0), cannot be done here"


def test_a_test_is_written(run: Run, write: Write) -> None:
    result = run("replay", write(TRACE), "--pytest")
    assert result.exit_code == 0
    compile(result.output, "test_it.py", "exec")
    assert "    cache.do(Evict('full', 2))" in result.output


@pytest.mark.parametrize(
    ("trace", "options", "words"),
    [
        (replace(TRACE, on=None), (), "nobody wrote down where it was recorded"),
        (TRACE, ("--on", "latest"), "latest"),
    ],
)
def test_a_place_that_is_none_exits_2(
    run: Run, write: Write, trace: Trace, options: tuple[str, ...], words: str
) -> None:
    result = run("replay", write(trace), *options)
    assert result.exit_code == 2
    assert words in result.output


def test_what_is_no_trace_exits_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"format": "sanitree-snapshot"}')
    result = run("replay", str(tmp_path / "bad.json"))
    assert result.exit_code == 2
    assert "not a sanitree trace" in result.output
    assert run("replay", str(tmp_path / "none.json")).exit_code == 2


def test_a_dump_of_a_server_cannot_be_done_again(run: Run, tmp_path: Path) -> None:
    """It has neither prompts nor slots: what it can be asked is said, and there it opens."""
    report = {"operations": [{"number": 1, "stack": []}], "violations": []}
    folder = str(Dumps(tmp_path).write(observe(small()), report, ["a violation"], "asked"))
    result = run("replay", folder)
    assert result.exit_code == 3
    assert result.output.startswith(f"CANNOT RUN  {folder}\n")
    assert f"sanitree check {folder}" in result.output
    told = json.loads(run("replay", "--json", folder).stdout)
    assert (told["exit"], told["answer"]) == (3, "CANNOT RUN") and "prompts and slots are not kept" in told["reason"]
    assert run("check", folder).exit_code == 0
    assert run("show", folder).exit_code == 0
