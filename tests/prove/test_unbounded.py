"""Induction on trees of any size: what is proved, that no fault is proved away, and that no proof is empty."""

from __future__ import annotations

from functools import cache

import pytest
import z3

from sanitree.checker.explore.configured import Configuration, Model, model
from sanitree.checker.prove.bounded import Induction
from sanitree.checker.prove.claims import RANGE
from sanitree.checker.prove.results import Answer, Pair
from sanitree.checker.prove.run import SMALL, of_any_size
from sanitree.checker.prove.supposed import TIED
from sanitree.checker.prove.unbounded import Unbounded
from sanitree.checker.report import Verdict
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.protocol.pages import FAULTS, Pages

SECONDS = 60.0
SETS = ((FULL,), (FULL, MAMBA), (FULL, SWA))
PROGRESS = {"eviction_stalls_when_the_host_is_full", "writes_are_never_acknowledged", "loads_are_never_acknowledged"}
"""Faults that no state shows."""


@cache
def small(
    policy: Policy, components: tuple[Component, ...] = (FULL,), fault: str | None = None, tree: int = 0
) -> Model:
    return model(Configuration(
        preset="pages", policy=policy, components=components, tree=SMALL[tree], requests=2, fault=fault
    ))  # fmt: skip


@cache
def unbounded(policy: Policy, components: tuple[Component, ...] = (FULL,), fault: str | None = None) -> Unbounded:
    m = small(policy, components, fault)
    return Unbounded(m.system, [r.rule for r in m.transitions.rules], SECONDS)


@cache
def kept(u: Unbounded, action: str) -> dict[str, Pair]:
    return {p.claim: p for p in u.kept(next(a for a in u.system.actions if a.name == action))}


def configured(policy: Policy, components: tuple[Component, ...], fault: str | None = None) -> Configuration:
    return Configuration(preset="pages", policy=policy, components=components, fault=fault)


# What is proved.


def test_a_rule_is_proved_in_threads() -> None:
    found = of_any_size(configured(Policy.WRITE_BACK, (FULL,)), SECONDS, ("device_is_prefix_closed",), lambda _: None)
    assert found.verdict is Verdict.HOLDS
    assert {p.claim for p in found.pairs} == {"device_is_prefix_closed"}
    assert len(found.pairs) == len(small(Policy.WRITE_BACK).system.actions) + 1
    assert not found.idle


@pytest.mark.slow
@pytest.mark.parametrize("components", SETS[:2])
@pytest.mark.parametrize("policy", Policy)
def test_every_pair_is_proved(policy: Policy, components: tuple[Component, ...]) -> None:
    found = of_any_size(configured(policy, components), SECONDS, (), lambda _: None)
    assert found.verdict is Verdict.HOLDS
    assert {p.answer for p in found.pairs} == {Answer.PROVED}
    assert not found.idle


def test_a_split_keeps_everything_with_a_write_pending_too() -> None:
    assert {p.answer for p in kept(unbounded(Policy.WRITE_THROUGH), "split").values()} == {Answer.PROVED}


# That it is true.


def fits(fault: str) -> tuple[Policy, tuple[Component, ...]]:
    """A configuration that shows a fault: the first."""
    f = FAULTS[fault]
    return next(
        (p, c) for c in SETS for p in Policy if f.fits(Pages(policy=p, components=c))
    )  # fmt: skip


def broken(policy: Policy, components: tuple[Component, ...], fault: str) -> set[tuple[str, str]]:
    """The pairs of which trees of three pages have a counterexample."""
    found = set()
    for tree in range(len(SMALL)):
        i = Induction(small(policy, components, fault, tree), SECONDS)
        for a in i.system.actions:
            found |= {(a.name, p.claim) for p in i.kept(a.name, i.names) if p.answer is Answer.BROKEN}
    return found


def no_fault_is_proved_away(fault: str) -> None:
    policy, components = fits(fault)
    u = unbounded(policy, components, fault)
    wrong = broken(policy, components, fault)
    assert wrong or fault in PROGRESS
    for action in sorted({a for a, _ in wrong}):
        claims = {c for a, c in wrong if a == action}
        pairs = {p.claim: p for p in u.kept(next(a for a in u.system.actions if a.name == action), claims)}
        for claim in claims & pairs.keys():
            assert pairs[claim].answer is Answer.UNKNOWN, f"{action} × {claim}"
        assert any(p.answer is Answer.UNKNOWN for p in pairs.values()) or claims <= {RANGE, *u.s.unsaid}


def test_a_fault_is_not_proved_away() -> None:
    u, lost = unbounded(Policy.WRITE_THROUGH, (FULL,), "split_forgets_the_pending_write"), "writes_mark_their_pages"
    split = next(a for a in u.system.actions if a.name == "split")
    assert next(p for p in u.kept(split, [lost]) if p.claim == lost).answer is Answer.UNKNOWN


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_is_proved_away(fault: str) -> None:
    no_fault_is_proved_away(fault)


@pytest.mark.parametrize("policy", [Policy.WRITE_THROUGH, *(pytest.param(p, marks=pytest.mark.slow) for p in Policy)])
def test_what_is_supposed_of_a_state_contradicts_nothing(policy: Policy) -> None:
    """Else anything could be proved: z3 finds no contradiction in the axioms, the claims and the lemmas."""
    u = unbounded(policy)
    solver, _ = u.s.solver()
    assert solver.check(*u.s.marks.values()) != z3.unsat


@pytest.mark.slow
def test_a_lock_that_counts_wrongly_unties_its_counter() -> None:
    pairs = kept(unbounded(Policy.WRITE_THROUGH, (FULL,), "split_forgets_the_host_lock"), "split")
    assert pairs[f"{TIED}[full]"].answer is Answer.UNKNOWN
