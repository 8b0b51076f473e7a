"""Induction on trees of a few pages: what is proved, what is not, and that z3 means what everybody else means."""

from __future__ import annotations

from functools import cache

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from sanitree.checker.explore.configured import Configuration, Model, model
from sanitree.checker.explore.evaluate import after, evaluate
from sanitree.checker.prove.bounded import Induction, confirmed
from sanitree.checker.prove.claims import RANGE, claims
from sanitree.checker.prove.results import Answer
from sanitree.checker.prove.run import of_size
from sanitree.checker.prove.words import Words
from sanitree.checker.report import Verdict
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy

SECONDS = 60.0


@cache
def small(policy: Policy, components: tuple[Component, ...] = (FULL,), fault: str | None = None) -> Model:
    return model(Configuration(
        preset="pages", policy=policy, components=components, tree=(0, 1), requests=1, device_capacity=2,
        fault=fault,
    ))  # fmt: skip


@pytest.mark.parametrize("policy", Policy)
def test_every_pair_is_proved(policy: Policy) -> None:
    found = of_size(small(policy).configuration, SECONDS, (), lambda _: None)
    assert found.verdict is Verdict.HOLDS
    assert not found.idle
    assert {p.action for p in found.pairs} > {a.name for a in small(policy).system.actions}


@pytest.mark.slow
@pytest.mark.parametrize("components", [(FULL, SWA), (FULL, MAMBA)])
@pytest.mark.parametrize("policy", Policy)
def test_every_pair_is_proved_with_a_second_component(policy: Policy, components: tuple[Component, ...]) -> None:
    found = of_size(small(policy, components).configuration, SECONDS, (), lambda _: None)
    assert found.verdict is Verdict.HOLDS


def test_an_action_that_can_never_happen_is_said() -> None:
    """With room for everything nothing is dropped under write_back: then nothing is known of a drop."""
    c = Configuration(preset="pages", policy=Policy.WRITE_BACK, tree=(0, 1), device_capacity=2, host_capacity=2)
    found = of_size(c, SECONDS, ("device_is_prefix_closed",), lambda _: None)
    assert found.idle == ("drop",)
    assert found.verdict is Verdict.INCONCLUSIVE


FAULTS = {
    "split_forgets_the_lock": (Policy.WRITE_THROUGH, "split", "lock_has_its_holders"),
    "split_forgets_the_pending_write": (
        Policy.WRITE_THROUGH, "split", "write_source_stays_with_its_node[full, device]",
    ),
    "evict_does_not_wait": (Policy.WRITE_BACK, "write_back", "source_is_not_free[full, device]"),
    "child_is_backed_up_first": (Policy.WRITE_THROUGH, "submit_write", "backup_is_prefix_closed"),
    "insert_frees_the_prefix": (Policy.WRITE_THROUGH, "insert", "free_slot_is_not_in_the_tree[full, device]"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_comes_back_as_a_counterexample_that_columns_confirm(fault: str) -> None:
    policy, action, rule = FAULTS[fault]
    i = Induction(small(policy, fault=fault), SECONDS)
    (pair,) = i.kept(action, [rule])
    assert pair.answer is Answer.BROKEN
    c = pair.counterexample
    assert c is not None
    assert c.move is not None
    assert not any(evaluate(x.wrong, c.before) for x in i.claims)
    assert after(c.move, c.before) == c.after
    assert {v.check.name for v in c.violations} == {rule}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_same_pair_is_proved_without_the_fault(fault: str) -> None:
    policy, action, rule = FAULTS[fault]
    (pair,) = Induction(small(policy), SECONDS).kept(action, [rule])
    assert pair.answer is Answer.PROVED


def test_a_solver_that_has_no_time_knows_nothing() -> None:
    i = Induction(small(Policy.WRITE_THROUGH), SECONDS)
    i.solver.set("timeout", 1)
    i.solver.set("max_conflicts", 0)
    answers = {p.answer for p in i.kept("submit_load", i.names)}
    assert Answer.BROKEN not in answers


def test_a_state_that_is_none_is_not_shown() -> None:
    """Where the solver were wrong, what it says would not be believed."""
    from sanitree.checker.explore.concrete import first
    from sanitree.checker.explore.confirm import MismatchError

    i = Induction(small(Policy.WRITE_THROUGH), SECONDS)
    release = next(x for x in i.t.moves if x.action.name == "release")
    with pytest.raises(MismatchError, match="cannot happen"):
        confirmed(i, RANGE, first(i.t), release)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_z3_means_what_the_interpreter_means(data: st.DataObject) -> None:
    """Every guard, claim and assigned value, in random states: legal ones or not."""
    m = small(data.draw(st.sampled_from(list(Policy))))
    s, t = m.system, m.transitions
    state = {(i, n): data.draw(st.integers(0, v.top)) for i, v in enumerate(s.variables) for n in range(1, s.nodes + 1)}
    words = Words(s, {
        (i, n): z3.BoolVal(bool(x)) if s.variables[i].top == 1 else z3.BitVecVal(x, Words(s).width)
        for (i, n), x in state.items()
    })  # fmt: skip
    move = data.draw(st.sampled_from(t.moves))
    claim = data.draw(st.sampled_from(claims(t)))
    for e in (move.guard, claim.wrong):
        assert z3.is_true(z3.simplify(words(e))) == bool(evaluate(e, state))
    for e in move.assigned.values():
        assert z3.simplify(words(e)).as_signed_long() == evaluate(e, state)
