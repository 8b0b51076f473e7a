"""`sanitree check`: verdicts, evidence, coverage and exits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from sanitree.checker.cli.exits import Exit, worst
from sanitree.invariants.vocabulary import DEVICE, FULL, SWA
from sanitree.models.snapshot import Key, Snapshot
from tests.cli.caches import big, freed_while_read, observe, small

Run = Callable[..., Result]
Write = Callable[..., str]


def without(s: Snapshot, *fields: str) -> Snapshot:
    """The snapshot without some fields of nodes."""
    kept = {k: c for k, c in s.nodes.columns.items() if k.name not in fields}
    return replace(s, nodes=replace(s.nodes, columns=kept))


def broken() -> Snapshot:
    """A child with a host copy below a parent without one."""
    cache = small()
    cache.nodes[1].host = ()
    return observe(cache)


def found(result: Result) -> dict[str, Any]:
    """The one JSON object on stdout."""
    (line,) = result.stdout.splitlines()
    data = json.loads(line)
    assert isinstance(data, dict)
    return data


def test_a_legal_tree_holds(run: Run, write: Write) -> None:
    result = run("check", write(small()))
    assert result.exit_code == Exit.HOLDS, result.stdout
    assert "HOLDS" in result.stdout
    assert "not checked: nothing" in result.stdout


def test_a_violation_names_node_rule_and_values(run: Run, write: Write) -> None:
    result = run("check", write(broken()))
    assert result.exit_code == Exit.VIOLATED
    for text in (
        "✗ backup_is_prefix_closed",
        "node 5  tokens [1 2 3 4 500 501]",
        "path: 1 › 5",
        "n.parent[full, host].present = false",
    ):
        assert text in result.stdout


def test_a_slot_in_flight_names_the_transfer_and_its_node(run: Run, write: Write) -> None:
    result = run("check", write(freed_while_read()), "--rule", "source_is_not_free")
    assert result.exit_code == Exit.VIOLATED
    assert "slot 3 of the full device pool, read by write 2 of node 6" in result.stdout
    assert "2 violations of 1 rule" in result.stdout


def test_counters_say_expected_and_found(run: Run, write: Write) -> None:
    s = observe(small())
    for key in s.tree.columns:
        if key.name == "evictable_size":
            s.tree.columns[key].values.add_(3)
    result = run("check", write(s))
    assert "expected 2, found 5 (3 too many)" in result.stdout


def test_what_was_not_observed_is_inconclusive_and_said(run: Run, write: Write) -> None:
    path = write(without(observe(small()), "write_ack"))
    result = run("check", path)
    assert result.exit_code == Exit.INCONCLUSIVE
    assert "INCONCLUSIVE" in result.stdout
    assert "? node.write_ack" in result.stdout


def test_parts_of_a_file_that_were_left_out_are_said(run: Run, write: Write) -> None:
    path = Path(write(small()))
    document = json.loads(path.read_text())
    document["minor"] += 1  # as a newer version writes
    document["nodes"]["columns"] |= {f"colour{i}": [0] * len(document["nodes"]["ids"]) for i in range(8)}
    path.write_text(json.dumps(document))
    text = run("check", str(path)).stdout
    notes = found(run("check", "--json", str(path)))["files"][0]["notes"]
    assert len(notes) == 8
    assert text.count("  note: ") == 7
    assert f"  note: {notes[0]}\n" in text
    assert "note: … and 2 more (--json has all)" in text


def test_a_rule_is_not_checked_in_part_or_nowhere_but_never_both(run: Run, write: Write) -> None:
    s = observe(big(50, components=(FULL, SWA)))
    nodes = replace(s.nodes, columns={k: c for k, c in s.nodes.columns.items() if k != Key.of("lock", SWA, DEVICE)})
    path = write(replace(s, nodes=nodes, requests=None))
    text = " ".join(run("check", path).stdout.split())
    nowhere = found(run("check", "--json", path))["files"][0]["coverage"]["rules_not_checked"]
    assert nowhere
    listed = text.partition("not checked: ")[2]
    assert not [rule for rule in nowhere if f"{rule} (in part)" in listed]
    assert all(rule in listed for rule in nowhere)


def test_partial_accepts_it_and_still_says_it(run: Run, write: Write) -> None:
    path = write(without(observe(small()), "write_ack"))
    result = run("check", "--partial", path)
    assert result.exit_code == Exit.HOLDS
    assert "for what was observed" in result.stdout
    assert "? node.write_ack" in result.stdout


def test_partial_does_not_hide_a_violation(run: Run, write: Write) -> None:
    assert run("check", "--partial", write(without(broken(), "write_ack"))).exit_code == Exit.VIOLATED


def test_a_rule_that_was_nowhere_checked_does_not_hold(run: Run, write: Write) -> None:
    path = write(replace(observe(small()), requests=None))
    for more in ((), ("--partial",)):
        result = run("check", path, "--rule", "request_prefix_is_its_path", *more)
        assert result.exit_code == Exit.INCONCLUSIVE


def test_a_rule_that_does_not_apply_does_not_hold(run: Run, write: Write) -> None:
    result = run("check", write(small()), "--rule", "write_back_is_finished", "--partial")
    assert result.exit_code == Exit.INCONCLUSIVE
    assert "none of the rules that were asked for applies to this cache" in result.stdout
    assert "write_back_is_finished applies when policy is write_back" in result.stdout
    content = run("check", write(small()), "--family", "content").stdout
    assert "copies_agree applies when trait reads_bytes" in content
    auxiliary = run("check", write(small()), "--rule", "device_lru_is_exact").stdout
    assert "device_lru_is_exact applies to each node × auxiliary component" in auxiliary


def test_json_is_one_object_with_all_of_it(run: Run, write: Write) -> None:
    data = found(run("check", "--json", write(freed_while_read())))
    assert data["exit"] == Exit.VIOLATED
    (file,) = data["files"]
    assert file["verdict"] == "violated"
    assert file["settings"]["policy"] == "write_back"
    sources = [v for v in file["violations"] if v["rule"] == "source_is_not_free"]
    assert [v["element"]["id"] for v in sources] == [3, 4]
    assert sources[0]["tokens"] == [1, 2, 500, 501]
    assert sources[0]["path"] == [5, 6]
    assert {e["what"]: e["value"] for e in sources[0]["evidence"]} == {"s.read": 1, "s.free": 1}
    assert file["coverage"]["instances_checked"] > 100


def test_limit_counts_what_it_leaves_out(run: Run, write: Write) -> None:
    path = write(big(400, broken=60))
    result = run("check", path, "--limit", "1", "--rule", "backup_is_prefix_closed")
    assert result.stdout.count("  tokens ") == 1
    assert "--limit 0 shows all" in result.stdout
    every = run("check", path, "--limit", "0", "--rule", "backup_is_prefix_closed")
    total = len(found(run("check", path, "--json", "--rule", "backup_is_prefix_closed"))["files"][0]["violations"])
    assert every.stdout.count("  tokens ") == total > 5
    assert f"{total} violations of 1 rule" in result.stdout


def test_settings_can_be_overridden(run: Run, write: Write) -> None:
    path = write(broken())
    as_write_back = found(run("check", path, "--json", "--policy", "write_back"))["files"][0]
    assert as_write_back["settings"]["policy"] == "write_back"
    assert "backup_is_prefix_closed" not in {v["rule"] for v in as_write_back["violations"]}
    newer = found(run("check", path, "--json", "--engine-version", "0.5.20"))["files"][0]
    assert {"tiered", "locked_tombstones"} <= set(newer["settings"]["traits"])
    changed = found(run("check", path, "--json", "--traits=-tiered,+locked_tombstones"))["files"][0]
    assert changed["settings"]["traits"] == ["locked_tombstones"]


@pytest.mark.parametrize("command", ["check", "show"])
def test_what_is_overridden_is_said(run: Run, write: Write, command: str) -> None:
    path = write(observe(big(50, components=(FULL, SWA))))
    words = ("--policy", "write_back", "--components", "full", "--engine-version", "0.5.20", "--traits=tiered")
    text = " ".join(run(command, path, *words).stdout.split())
    for told in (
        "write_back (overridden; the file says write_through)", "full (overridden; the file says full + swa)",
        "sglang 0.5.20 (overridden; the file says 0.5.13)",
    ):  # fmt: skip
        assert told in text
    assert "traits tiered" not in text
    told = "none (overridden; the file says tiered)"
    assert told in " ".join(run(command, path, "--traits=-tiered").stdout.split())
    assert "(overridden" not in run(command, path, "--policy", "write_through", "--components", "swa,full").stdout
    data = found(run(command, path, "--json", *words))
    data = data["files"][0] if command == "check" else data
    assert data["overridden"] == {"engine_version": "0.5.13", "policy": "write_through", "components": ["full", "swa"]}
    assert data["settings"]["engine_version"] == "0.5.20"


@pytest.mark.parametrize("command", ["check", "show"])
def test_components_that_a_snapshot_does_not_keep_are_refused(run: Run, write: Write, command: str) -> None:
    path = write(small())
    for names, told in (("swa", "swa"), ("full,swa,mamba", "swa and mamba")):
        result = run(command, path, "--components", names)
        assert result.exit_code == Exit.USAGE
        assert result.stderr == f"sanitree: {path}: the snapshot keeps full only, not {told}\n"


def test_several_files_end_as_the_worst(run: Run, write: Write, tmp_path: Path) -> None:
    good, bad = write(small()), write(broken(), "bad.json")
    junk = tmp_path / "junk.json"
    junk.write_text("{")
    assert run("check", good, bad).exit_code == Exit.VIOLATED
    result = run("check", good, str(junk), bad)
    assert result.exit_code == Exit.VIOLATED
    assert "3 files: 1 holds, 1 violated, 1 not judged" in result.stdout
    assert "2 files: 2 hold\n" in run("check", good, good).stdout
    assert "junk.json" in result.stderr
    data = found(run("check", "--json", good, str(junk)))
    assert data["exit"] == Exit.USAGE
    assert "error" in data["files"][1]


def test_standard_input_is_read_once(run: Run, write: Write) -> None:
    for words in (("check", "-", write(small()), "-"), ("diff", "-", "-")):
        result = run(*words)
        assert result.exit_code == Exit.USAGE
        assert "`-` is given twice" in result.stderr


def test_the_order_of_exits() -> None:
    assert worst([Exit.HOLDS, Exit.INCONCLUSIVE]) is Exit.INCONCLUSIVE
    assert worst([Exit.INCONCLUSIVE, Exit.USAGE]) is Exit.USAGE
    assert worst([Exit.USAGE, Exit.FAILED]) is Exit.FAILED
    assert worst([Exit.FAILED, Exit.VIOLATED, Exit.USAGE]) is Exit.VIOLATED
    assert worst([]) is Exit.HOLDS


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "empty"), ("{", "JSON"), ("[1, 2]", "object"), ('{"sanitree": 1}', ""), ("\x00\x01\x1b[31m", "")],
)  # fmt: skip
def test_what_is_no_snapshot_gets_a_line(run: Run, tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    result = run("check", str(path))
    assert result.exit_code == Exit.USAGE
    assert not result.stdout
    assert "x.json" in result.stderr
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stderr
    assert len(result.stderr.splitlines()) <= 2
    as_json = found(run("check", "--json", str(path)))
    assert as_json["exit"] == Exit.USAGE
    assert as_json["error"]


def test_a_missing_file_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, told in (
        (tmp_path / "nowhere.json", "there is no such file"),
        (tmp_path / "file" / "x", "there is no such file"),
        (tmp_path, "is a directory, and no dump with a snapshot in it\n  name the snapshot files in it"),
    ):
        result = run("check", str(path))
        assert result.exit_code == Exit.USAGE
        assert result.stderr == f"sanitree: {path}: {told}\n"


def test_names_that_are_not_known_get_a_hint(run: Run, write: Write) -> None:
    path = write(small())
    for words, told in (
        (("--rule", "backup_is_prefix_close"), "backup_is_prefix_closed"),
        (("--components", "fulll"), "did you mean full"),
        (("--traits", "tierd"), "did you mean tiered"),
        (("--policy", "write_black"), "write_back"),
        (("--engine-version", "latest"), "latest"),
    ):
        result = run("check", path, *words)
        assert result.exit_code == Exit.USAGE, words
        assert told in result.stderr, words


def test_control_characters_never_reach_the_terminal(run: Run, write: Write, tmp_path: Path) -> None:
    text = Path(write(small())).read_text().replace("sglang", "\\u001b]0;title\\u0007")
    (tmp_path / "evil.json").write_text(text)
    (tmp_path / "\x1b[31m.json").write_text(text)
    for command in ("check", "show", "diff"):
        for name in ("evil.json", "\x1b[31m.json"):
            files = [str(tmp_path / name)] * (1 if command == "show" else 2)
            result = run(command, *files)
            assert result.exit_code == Exit.USAGE
            assert "\x1b" not in result.stdout + result.stderr
            assert "\x07" not in result.stdout + result.stderr


def test_two_components_are_told_apart(run: Run, write: Write) -> None:
    s = observe(big(50, components=(FULL, SWA)))
    for key in s.tree.columns:
        if key.name == "protected_size":
            s.tree.columns[key].values.add_(1)
    result = run("check", write(s))
    assert "protected_size" in result.stdout
    assert "[full]" in result.stdout
    assert "[swa]" in result.stdout
