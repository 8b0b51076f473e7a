"""`sanitree rules`: the list, its filters, its matrix, and one rule in full."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from sanitree.checker.backends import BACKENDS
from sanitree.invariants.catalogue import RULES

Run = Callable[..., Result]


def ids(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return [r["id"] for r in json.loads(result.stdout)["rules"]]


def test_every_rule_is_listed_with_every_backend(run: Run) -> None:
    text = run("rules").stdout
    for r in RULES:
        assert r.id in text
    assert all(b in text for b in BACKENDS)
    assert ids(run("rules", "--json")) == [r.id for r in RULES]


def test_no_line_of_the_list_is_wider_than_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, run("rules").stdout.splitlines())) <= 80


def test_settings_leave_out_what_cannot_apply(run: Run) -> None:
    write_back = ids(run("rules", "--json", "--policy", "write_back"))
    assert "write_back_is_finished" in write_back
    assert "backup_is_prefix_closed" not in write_back
    full = ids(run("rules", "--json", "--components", "full"))
    assert "device_lru_is_exact" not in full
    assert "freed_once" in full
    untiered = ids(run("rules", "--json", "--traits=-tiered"))
    assert "no_host_without_a_host_tier" in untiered
    assert "no_host_without_a_host_tier" not in ids(run("rules", "--json", "--traits=tiered"))
    old, new = (ids(run("rules", "--json", "--engine-version", v)) for v in ("0.5.12", "0.5.20"))
    assert "pending_load_has_both_copies" in set(new) - set(old)


def test_a_family(run: Run) -> None:
    families = {r["family"] for r in json.loads(run("rules", "--json", "--family", "leaf-sets").stdout)["rules"]}
    assert families == {"leaf sets"}


def test_one_rule_in_full(run: Run) -> None:
    text = run("rules", "backup_is_prefix_closed").stdout
    for told in ("must be true", "applies", "policy is write_through", "backup.py:", "fused, columns", "n.parent"):
        assert told in text
    data = json.loads(run("rules", "--json", "backup_is_prefix_closed").stdout)
    live = "live: judged on columns of slots gathered from the live tree"
    assert live not in text
    assert live in run("rules", "source_is_not_free").stdout
    assert {"is_root", "present", "parent"} == {f["name"] for f in data["fields"]}


def test_every_rule_can_be_told_in_full(run: Run) -> None:
    for r in RULES:
        assert run("rules", r.id).exit_code == 0


def test_filters_that_would_be_ignored_are_refused(run: Run) -> None:
    for words in (("source_is_not_free", "--family", "locks"), ("source_is_not_free", "--policy", "write_back")):
        result = run("rules", *words)
        assert result.exit_code == 2
        assert "or one RULE to explain" in result.stderr


def test_a_cache_without_a_backbone_is_refused(run: Run) -> None:
    result = run("rules", "--components", "swa")
    assert result.exit_code == 2
    assert "names no backbone" in result.stderr
    assert "device_lru_is_exact" in ids(run("rules", "--json", "--components", "swa,full"))


def test_an_unknown_rule(run: Run) -> None:
    result = run("rules", "freed_twice")
    assert result.exit_code == 2
    assert "freed_once" in result.stderr
