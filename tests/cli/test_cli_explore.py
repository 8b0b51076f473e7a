"""`sanitree explore`: what it says of a model, what it exits with, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from sanitree.checker.cli import explore as _  # noqa: F401  its attribute is the command, by that name
from sanitree.checker.explore import configured
from sanitree.checker.explore import search as searching
from sanitree.checker.explore.results import Searched, Trace
from sanitree.invariants.vocabulary import Policy
from sanitree.models.protocol import heap
from sanitree.models.protocol.system import System
from sanitree.models.protocol.system import becomes as becomes_

pytest.importorskip("numba", reason="the explorer is the extra [explore]")

Run = Callable[..., Result]

STRICT = ("explore", "--preset", "heap", "--policy", "write_back", "--judge-as", "write_through")
"""That host copies form a prefix is wrong under write_back, where a legal run violates it."""


def test_the_whole_of_the_heap_preset(run: Run) -> None:
    result = run("explore", "--preset", "heap", "--policy", "write_back", "--pages", "6")
    assert result.exit_code == 0
    assert "✓ heap, write_back, full, 6 pages: holds in every state within these bounds" in result.output
    assert "77,344 states, 552,729 transitions, depth 25, no state without a move" in result.output
    assert "bounds: 6 pages, any number of states, any time, " in result.output
    assert "2 rules held: path_lock_covers_children, pending_write_keeps_its_source" in result.output


def test_json_has_it_all(run: Run) -> None:
    result = run("explore", "--preset", "heap", "--policy", "write_through", "--pages", "6", "--json", "--memory", "1G")
    told = json.loads(result.output)
    assert result.exit_code == told["exit"] == 0
    assert (told["verdict"], told["states"], told["transitions"]) == ("holds", 7_720, 54_499)
    assert told["bounds"] == {"states": None, "seconds": None, "bytes": 2**30}
    assert sum(told["actions"].values()) == 54_499
    assert sum(told["levels"]) == 7_720
    assert len(told["levels"]) == told["depth"] + 1
    assert told["compile_seconds"] > 0
    assert told["search_seconds"] > 0
    assert told["peak_bytes"] > 0
    assert (told["unfired"], told["dead"], told["violation"], told["file"]) == ([], 0, None, None)
    assert told["rules"] == {
        "held": ["path_lock_covers_children", "backup_is_prefix_closed", "pending_write_keeps_its_source"],
        "not_violated_so_far": [],
        "never_exercised": [],
        "unsaid": [],
    }


def test_one_core_and_symmetry(run: Run) -> None:
    words = ("explore", "--preset", "heap", "--policy", "write_back", "--pages", "5", "--json")
    whole, one, folded = (
        json.loads(run(*words, *more).output) for more in ((), ("--cores", "1"), ("--symmetry", "on"))
    )
    assert (one["states"], one["where"]) == (whole["states"], "1 core")
    assert folded["symmetry"] is True
    assert folded["states"] < whole["states"]


def test_a_violation_is_shown_as_the_shortest_run_and_kept(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "trace.json")
    result = run(*STRICT, "--pages", "5", "--save", file)
    assert result.exit_code == 1
    lines = [line.strip() for line in result.output.splitlines()]
    words = " ".join(result.output.split())  # lines break where the terminal ends
    assert "backup_is_prefix_closed is violated after 4 moves, and after no fewer" in words
    assert "1. insert of node 1 A node is computed below one that is on the device." in words
    assert "+ node 1 below the root: on full device" in lines
    assert any(re.fullmatch(r"~ node [23]: full host copy made; write finished", line) for line in lines)
    assert any(re.fullmatch(r"✗ backup_is_prefix_closed at node [23]", line) for line in lines)
    assert "n.parent[full, host].present: false" in lines
    assert "judged by the rules of write_through; the model runs write_back" in lines
    assert f"sanitree replay {file}" in words
    again = run("replay", file)
    assert again.exit_code == 1
    assert "REPRODUCED on the model heap, write_back, full, 5 pages: backup_is_prefix_closed is violated again" in (
        again.output
    )
    assert "✗ backup_is_prefix_closed at node" in again.output


def test_a_violation_as_json(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "trace.json")
    told = json.loads(run(*STRICT, "--pages", "3", "--json", "--save", file).output)
    assert (told["verdict"], told["exit"], told["file"]) == ("violated", 1, file)
    found = told["violation"]
    assert (found["rule"], found["moves"]) == ("backup_is_prefix_closed", 4)
    assert [s["action"] for s in found["trace"]] == ["insert", "insert", "start_write_back", "ack"]
    assert found["trace"][3]["difference"]["changed"][0]["changes"][0]["field"] == "present"
    assert found["instances"][0]["path"] in ([1, 2], [1, 3])
    assert "backup_is_prefix_closed" not in told["rules"]["held"]
    again = json.loads(run("replay", file, "--json").output)
    assert (again["answer"], again["done"], again["exit"]) == ("REPRODUCED", 4, 1)


@pytest.mark.parametrize(("more", "why"), [(("--states", "100"), "100 states"), (("--memory", "1K"), "1,024 bytes")])
def test_a_bound_ends_it_without_an_answer(run: Run, more: tuple[str, ...], why: str) -> None:
    result = run("explore", "--preset", "heap", "--policy", "write_back", "--pages", "6", *more)
    assert result.exit_code == 3
    assert f"inconclusive: stopped at {why}, with " in result.output
    assert "2 rules not violated so far: path_lock_covers_children" in result.output
    assert "held" not in result.output


def test_a_rule_is_chosen(run: Run) -> None:
    told = json.loads(
        run("explore", "--preset", "heap", "--pages", "3", "--rule", "backup_is_prefix_closed", "--json").output
    )
    assert told["rules"]["held"] == ["backup_is_prefix_closed"]


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        (("--preset", "hep"), "no preset is called 'hep'", "there are pages, heap"),
        (("--policy", "write_bac"), "'write_bac' is not one of", "--help"),
        (("--policy", "write_through_selective"), "the heap preset has no write_through_selective", "write_back"),
        (("--components", "ful"), "no component is called 'ful'; did you mean full?", ""),
        (("--components", "full,swa"), "the heap preset keeps full attention alone", "leave --components out"),
        (("--fault", "evict_does_not_wait"), "the heap preset has no fault", "leave --fault out"),
        (("--tree", "0,1"), "the heap preset has no tree", "leave --tree out"),
        (("--tree", "0,1,4"), "page 3 hangs below 4: a parent comes before its children", ""),
        (("--tree", "wide"), "'wide' is no tree", ""),
        (("--device-capacity", "4"), "the heap preset has no device capacity", "leave --device-capacity out"),
        (("--pages", "0"), "0 is not in the range", ""),
        (("--pages", "2", "--tree", "0,1"), "--pages and --tree both say how many pages there are", ""),
        (("--pages", "65"), "65 pages are more than anybody could explore", "take at most 64"),
        (("--memory", "lots"), "'lots' is no size: write 500M or 8G", ""),
        (("--seconds", "0"), "0.0 is not in the range", ""),
        (
            ("--preset", "pages", "--fault", "evict_doesnt_wait"),
            "no fault of the page model is called",
            "did you mean evict_does_not_wait",
        ),
        (("--preset", "pages", "--fault", "evict_does_not_wait"), "evict_does_not_wait shows itself in", "write_back"),
        (("--rule", "backup_is_prefix"), "no rule is called 'backup_is_prefix'", "backup_is_prefix_closed"),
        (
            ("--policy", "write_back", "--rule", "backup_is_prefix_closed"),
            "backup_is_prefix_closed does not apply under write_back with full",
            "--judge-as write_through",
        ),
        (("--rule", "key_is_whole_pages"), "the model heap has no fields for key_is_whole_pages", "leave"),
        (("--rule", "eviction_frees_what_was_asked"), "is about calls of", "leave it out"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, words: tuple[str, ...], what: str, hint: str) -> None:
    preset = () if "--preset" in words else ("--preset", "heap")
    result = run("explore", *preset, *words)
    assert result.exit_code == 2, result.output
    assert what in result.output
    assert hint in result.output
    assert "Traceback" not in result.output


def test_what_cannot_be_written(run: Run, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none" / "file")
    for words in (
        ("explore", "--preset", "heap", "--pages", "2", "--promela", nowhere),
        (*STRICT, "--pages", "3", "--save", nowhere),
    ):
        result = run(*words)
        assert result.exit_code == 4
        assert f"{nowhere}: cannot be written: No such file or directory" in result.output


def test_promela_is_written_and_nothing_searched(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "heap.pml"
    result = run("explore", "--preset", "heap", "--pages", "3", "--promela", str(file))
    assert result.exit_code == 0
    assert f"{file}: 24 moves and 3 rules of heap" in result.output
    assert "states" not in result.output
    assert file.read_text().startswith("/*\n * The model heap of sanitree: write_through, full, at most 3 nodes.")


def test_without_numba_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['numba'] = sys.modules['llvmlite'] = None\n"
        "from sanitree.checker.cli import cli; cli.main(['explore', '--preset', 'heap', '--pages', '2'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 4
    assert "pip install 'sanitree[explore]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def preset(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[System], System]], None]:
    """Changes the heap preset."""

    def change(to: Callable[[System], System]) -> None:
        monkeypatch.setattr(configured, "PRESETS", {"heap": lambda c: to(heap.heap(c.policy, c.pages or 6))})

    return change


def test_what_never_happened_and_was_never_tested_is_said(run: Run, preset: Any) -> None:
    preset(lambda s: replace(s, actions=tuple(a for a in s.actions if a.name != "start_backup")))
    result = run("explore", "--preset", "heap", "--pages", "3")
    assert result.exit_code == 0
    assert "never happened: ack, evict_host, load_back" in result.output
    tested = "2 rules never put to the test, so that nothing is known of them: backup_is_prefix_closed, pending_write"
    assert tested in " ".join(result.output.split())
    assert json.loads(run("explore", "--preset", "heap", "--pages", "3", "--json").output)["rules"] == {
        "held": ["path_lock_covers_children"],
        "not_violated_so_far": [],
        "never_exercised": ["backup_is_prefix_closed", "pending_write_keeps_its_source"],
        "unsaid": [],
    }


def test_a_state_without_a_move_is_shown(run: Run, preset: Any) -> None:
    preset(lambda s: replace(s, actions=(heap.insert,)))
    result = run("explore", "--preset", "heap", "--pages", "2")
    assert "1 state without a move" in result.output
    assert "a state that allows no move: insert 1, insert 2" in result.output


def test_without_a_rule_it_is_inconclusive(run: Run, preset: Any) -> None:
    preset(lambda s: replace(s, rules=()))
    result = run("explore", "--preset", "heap", "--pages", "2")
    assert result.exit_code == 3
    assert "inconclusive: every state was seen, and no rule judged" in " ".join(result.output.split())


def test_a_number_that_grows_too_far_is_the_models_mistake(run: Run, preset: Any) -> None:
    @heap.action
    def lock(n):
        """A lock without a limit."""
        return heap.on_device(n), (becomes_(n[heap.FULL].lock, n[heap.FULL].lock + 1),)

    preset(lambda s: replace(s, actions=(heap.insert, lock), rules=()))
    result = run("explore", "--preset", "heap", "--pages", "2")
    assert result.exit_code == 4
    assert "the model is wrong: lock of node 1 takes" in result.output


@pytest.mark.parametrize("how", ["a move left out", "another state", "another rule"])
def test_what_cannot_be_confirmed_is_our_mistake(run: Run, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    own = searching.search

    def wrong(*args: Any, **kwargs: Any) -> Searched:
        found = own(*args, **kwargs)
        assert found.violation is not None
        moves, states = found.violation.trace.moves, found.violation.trace.states
        violation = {
            "a move left out": replace(
                found.violation, trace=Trace((*moves[:1], *moves[2:]), (*states[:1], *states[2:]))
            ),
            "another state": replace(found.violation, trace=Trace(moves, (*states[:-1], {**states[-1], (0, 1): 0}))),
            "another rule": replace(found.violation, rule="path_lock_covers_children"),
        }[how]
        return replace(found, violation=violation)

    monkeypatch.setattr(searching, "search", wrong)
    result = run(*STRICT, "--pages", "3")
    assert result.exit_code == 4
    assert "what the search found could not be confirmed" in result.output
    assert "this is a bug in sanitree" in result.output


def test_an_interrupted_search_says_what_it_saw(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    own = searching.search

    def interrupted(*args: Any, **kwargs: Any) -> Searched:
        own(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(searching, "search", interrupted)
    result = run("explore", "--preset", "heap", "--pages", "3")
    assert result.exit_code == 130
    assert "sanitree: interrupted" in result.output


def test_policies_of_the_preset_are_the_known() -> None:
    assert {Policy.WRITE_BACK, Policy.WRITE_THROUGH} == set(heap.BACKUPS)


def test_a_narrow_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    result = run(*STRICT, "--pages", "3")
    assert max(map(len, result.output.splitlines())) <= 40


def test_a_fault_of_the_page_model_is_found_and_shown_as_nodes(run: Run, tmp_path: Path) -> None:
    """The second of the seed's bugs: an eviction that does not wait for its own write."""
    file = str(tmp_path / "race.json")
    result = run("explore", "--policy", "write_back", "--pages", "3", "--fault", "evict_does_not_wait", "--save", file)
    assert result.exit_code == 1
    assert "is violated after 2 moves, and after no fewer" in result.output
    assert "1. insert of node 1" in result.output
    assert "2. write_back of node 1" in result.output
    assert "still in flight" in result.output
    assert "REPRODUCED on the model pages with evict_does_not_wait" in run("replay", file).output
    repaired = json.loads(Path(file).read_text())
    repaired["model"]["fault"] = None
    Path(file).write_text(json.dumps(repaired))
    again = run("replay", file)
    assert again.exit_code == 0, "without the fault nothing is wrong after the same moves, or they cannot be made"
    assert again.output.startswith("GONE")


@pytest.mark.parametrize("components", ["full", "full,swa", "full,mamba"])
def test_the_page_model_holds(run: Run, components: str) -> None:
    told = json.loads(run("explore", "--pages", "3", "--components", components, "--json").output)
    assert (told["verdict"], told["dead"]) == ("holds", 0)
    assert not told["unfired"]
    assert "no_slot_leaks[full, device]" in told["rules"]["held"]
