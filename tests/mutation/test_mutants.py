"""That the mutants are what they should be, and that few live: all of them are run by `python -m tests.mutation`."""

from __future__ import annotations

import pytest

from sanitree.invariants.catalogue import BY_ID, CATALOGUE
from sanitree.invariants.language import implies
from sanitree.invariants.rules import Family, rule
from sanitree.invariants.terms import Get
from sanitree.invariants.vocabulary import FULL, Sort
from tests.mutation.__main__ import main
from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutants import mutants


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


@pytest.mark.parametrize("r", CATALOGUE, ids=lambda r: r.id)
def test_every_rule_has_mutants_and_is_none_of_them(r) -> None:
    found = list(mutants(r))
    assert len(found) >= (1 if isinstance(r.term, Get) else 3)  # a bare field can only be negated
    assert all((m.changed.term, m.changed.when) != (r.term, r.when) for m in found)


def test_every_equivalent_is_a_mutant() -> None:
    made = {(m.rule.id, m.what) for rule_id, _ in EQUIVALENT for m in mutants(BY_ID[rule_id])}
    assert set(EQUIVALENT) <= made


def test_a_few_rules_mutants_are_killed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pending_write_is_locked", "root_is_locked_once", "loads_have_their_own_acks"]) == 0
    assert "100.0% of" in capsys.readouterr().out
    assert main(["no_such_rule"]) == 2


@pytest.mark.slow
def test_few_mutants_live() -> None:
    assert main([]) == 0
