"""That the mutants are what they should be, and that few live: all of them are run by `python -m tests.mutation`."""

from __future__ import annotations

import pytest

from sanitree.invariants.calls import Operation
from sanitree.invariants.catalogue import BY_ID, GHOSTS, RULES
from sanitree.invariants.language import implies
from sanitree.invariants.rules import Family, rule, step
from sanitree.invariants.steps import before, call
from sanitree.invariants.terms import Get
from sanitree.invariants.vocabulary import DEVICE, FULL, Sort
from tests.mutation.__main__ import main
from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutants import ghost_mutants, mutants


def test_a_small_rule_has_the_mutants_that_it_should() -> None:
    @rule(Family.LOCKS, Sort.NODE)
    def small(n):
        """Small."""
        return implies(n.write_pending, n[FULL].lock > 0)

    said = [m.what for m in mutants(small)]
    for what in (
        "condition dropped: if n.write_pending then n[full, device].lock > 0 → n[full, device].lock > 0",
        "another field: n.write_pending → n.load_pending",
        "negated: n.write_pending → not n.write_pending",
        "≤ for <: n[full, device].lock > 0 → n[full, device].lock ≥ 0",
        "other tier: n[full, device].lock → n[full, host].lock",
        "one more: 0 → 1",
        "one less: 0 → -1",
    ):
        assert what in said
    assert len(said) == len(set(said))


def test_so_has_a_small_rule_about_steps() -> None:
    @step(Family.LOCKS, Sort.NODE, on=[Operation.EVICT, Operation.MATCH])
    def small(n):
        """Small."""
        return implies(before(n).exists & ~n.exists, call[FULL, DEVICE].evicted > 0)

    said = [m.what for m in mutants(small)]
    for what in (
        "before dropped: before(n) → n",
        "before the call: n.exists → before(n).exists",
        "another field: call[full, device].evicted → call[full, device].asked",
        "another field: call[full, device].evicted → call[full, device].dropped",
        "other tier: call[full, device].evicted → call[full, host].evicted",
        "not after evict",
        "not after match_prefix",
    ):
        assert what in said
    assert len(said) == len(set(said))
    assert not [what for what in said if "before(call)" in what]


def test_a_ghost_has_mutants_too() -> None:
    said = {g.field.name: [m.what for m in ghost_mutants(g)] for g in GHOSTS}
    assert "another field: x.submitted → x.acked" in said["owed"]
    assert "at first: one less: 1 → 0" in said["owed"]
    assert any(what.startswith("branches swapped") for what in said["locked"])


@pytest.mark.parametrize("r", RULES, ids=lambda r: r.id)
def test_every_rule_has_mutants_and_is_none_of_them(r) -> None:
    found = list(mutants(r))
    assert len(found) >= (1 if isinstance(r.term, Get) else 3)  # a bare field can only be negated
    assert all((m.changed.term, m.changed.when, m.changed.on) != (r.term, r.when, r.on) for m in found)


def test_every_equivalent_is_a_mutant() -> None:
    made = {(m.id, m.what) for name, _ in EQUIVALENT for m in (mutants(BY_ID[name]) if name in BY_ID else ())}
    made |= {(m.id, m.what) for g in GHOSTS for m in ghost_mutants(g)}
    assert set(EQUIVALENT) <= made


def test_a_few_rules_mutants_are_killed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pending_write_is_locked", "root_is_locked_once", "loads_have_their_own_acks"]) == 0
    assert "100.0% of" in capsys.readouterr().out
    assert main(["query_keeps_marks", "owed"]) == 0
    assert "100.0% of" in capsys.readouterr().out
    assert main(["no_such_rule"]) == 2


@pytest.mark.slow
def test_few_mutants_live() -> None:
    assert main([]) == 0
