"""Induction on trees of any size: what it proves is true of small ones too, and a fault is never proved away."""

from __future__ import annotations

from functools import cache

import pytest

from sanitree.checker.explore.configured import Configuration, model
from sanitree.checker.prove.results import Answer, Pair
from sanitree.checker.prove.unbounded import Unbounded
from sanitree.invariants.vocabulary import Policy

pytestmark = pytest.mark.slow
SECONDS = 60.0


@cache
def kept(policy: Policy, action: str, fault: str | None = None) -> dict[str, Pair]:
    m = model(Configuration(preset="pages", policy=policy, tree=(0, 1), requests=1, fault=fault))
    u = Unbounded(m.system, [r.rule for r in m.transitions.rules], SECONDS)
    return {p.claim: p for p in u.kept(next(a for a in m.system.actions if a.name == action))}


def test_a_split_keeps_everything_with_a_write_pending_too() -> None:
    assert {p.answer for p in kept(Policy.WRITE_THROUGH, "split").values()} == {Answer.PROVED}


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("split_forgets_the_pending_write", "write_source_stays_with_its_node[full, device]"),
        ("split_forgets_the_lock", "counters_count"),
        ("split_forgets_the_host_lock", "counters_count"),
    ],
)
def test_a_fault_is_not_proved_away(fault: str, rule: str) -> None:
    assert kept(Policy.WRITE_THROUGH, "split", fault)[rule].answer is Answer.UNKNOWN
