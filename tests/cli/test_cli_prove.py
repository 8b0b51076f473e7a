"""`sanitree prove`: what is kept is proved, what is not comes back as a tree, and what is typed wrongly is said."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

Run = Callable[..., Result]


@pytest.mark.parametrize("policy", ["write_through", "write_back"])
def test_every_pair_is_proved(run: Run, policy: str) -> None:
    result = run("prove", "--policy", policy, "--size", "2", "--json")
    assert result.exit_code == 0
    told = json.loads(result.output)
    assert told["verdict"] == "holds"
    assert not told["unprovable"]
    assert {p["verdict"] for p in told["pairs"]} == {"proved"}
    assert {p["action"] for p in told["pairs"]} >= {"split", "insert", "submit_load", "ack_load"}


def test_a_fault_is_not_inductive_and_shown_as_a_tree(run: Run) -> None:
    result = run("prove", "--policy", "write_back", "--fault", "evict_does_not_wait", "--size", "2")
    assert result.exit_code == 1
    text = " ".join(result.output.split())
    assert "write_back breaks pending_write_keeps_its_source" in text
    assert "full device copy gone" in text


def test_only_some_rules(run: Run) -> None:
    told = json.loads(run("prove", "--rule", "backup_is_prefix_closed", "--size", "2", "--json").output)
    assert {p["rule"] for p in told["pairs"]} == {"backup_is_prefix_closed"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--size", "many"), "no size"),
        (("--size", "0"), "no size"),
        (("--fault", "evict_does_not_wiat", "--policy", "write_back"), "did you mean evict_does_not_wait"),
        (("--rule", "backup_is_prefix_close"), "backup_is_prefix_closed"),
        (("--fault", "evict_does_not_wait"), "alone"),
    ],
)
def test_what_cannot_be_is_said(run: Run, words: tuple[str, ...], said: str) -> None:
    result = run("prove", *words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
