"""Dumps: how many, whole or not at all, and when somebody asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sanitree.checker.hook.counters import Counters
from sanitree.checker.hook.dump import Dumps, Limits
from sanitree.checker.hook.plugin import options
from sanitree.checker.hook.telling import MOST_A_MINUTE, Once


def test_a_process_leaves_only_so_many(tmp_path: Path) -> None:
    dumps = Dumps(tmp_path, Limits(dumps=2, seconds=0))
    written = [dumps.write(None, {"why": "test"}, ["text"], "rule") for _ in range(2) if dumps.room()]
    assert len({p.name for p in written}) == 2
    assert not dumps.room()
    assert sorted(p.name for p in written[0].iterdir()) == ["report.json", "report.txt"]
    assert json.loads((written[0] / "report.json").read_text()) == {"why": "test"}


def test_their_size_and_their_rate_are_bounded(tmp_path: Path) -> None:
    dumps = Dumps(tmp_path, Limits(bytes=10, seconds=0))
    dumps.write(None, {}, ["more than ten bytes"], "rule")
    assert not dumps.room()
    dumps = Dumps(tmp_path, Limits(seconds=60))
    assert dumps.room()
    dumps.write(None, {}, [""], "rule")
    assert not dumps.room()


def test_a_dump_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        Dumps(tmp_path).write(None, {"not json": object()}, [], "rule")
    assert list(tmp_path.iterdir()) == []


def test_one_line_for_a_rule_and_place_and_few_a_minute() -> None:
    now = [0.0]
    once = Once(lambda: now[0])
    assert [once.lets("a"), once.lets("a"), once.lets("b")] == [True, False, True]
    assert sum(once.lets(i) for i in range(100)) == MOST_A_MINUTE - 2
    now[0] = 61.0
    assert once.lets("later") and not once.lets("a")
    assert once.held_back == 1 + 100 - (MOST_A_MINUTE - 2) + 1


def test_options_come_from_the_environment() -> None:
    given = {"SANITREE": "dump", "SANITREE_DUMPS": "there", "SANITREE_TOKENS": "raw", "SANITREE_BUDGET_MS": "2.5"}
    assert options(given) == {"folder": Path("there"), "tokens": "raw", "budget": 0.0025}
    with pytest.raises(ValueError, match="neither raw nor hashed"):
        options({"SANITREE_TOKENS": "plain"})


def test_counters_are_kept_where_nothing_scrapes() -> None:
    counters = Counters()
    counters.violation("slot_is_freed_once")
    counters.count("operations", 7)
    counters.spent("idle", 0.5)
    assert counters.values() == {"violations slot_is_freed_once": 1, "operations": 7, "seconds idle": 0.5}
