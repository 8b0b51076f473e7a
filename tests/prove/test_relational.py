"""What is said of trees of any size is true of small ones: formulas, guards, assignments and lemmas, done by hand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanitree.checker.explore.concrete import first
from sanitree.checker.explore.configured import Configuration, Model, model
from sanitree.checker.explore.evaluate import after, evaluate
from sanitree.checker.explore.results import Values
from sanitree.checker.prove import lemmas
from sanitree.checker.prove.after import After
from sanitree.checker.prove.claims import claims
from sanitree.checker.prove.lemmas import N, X
from sanitree.checker.prove.order import named, subs
from sanitree.checker.prove.supposed import as_before
from sanitree.checker.prove.unbounded import Unbounded
from sanitree.checker.symbolic import E
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.snapshot import Key

TREES = ((0, 1, 1, 2), (0, 1, 2, 3), (0, 0, 1, 2))
SETS = ((FULL,), (FULL, MAMBA), (FULL, SWA))
Pages = Mapping[E, int]


@cache
def small(policy: Policy, components: tuple[Component, ...], tree: int) -> Model:
    return model(Configuration(
        preset="pages", policy=policy, components=components, tree=TREES[tree], requests=1, device_capacity=3,
    ))  # fmt: skip


@cache
def proving(policy: Policy, components: tuple[Component, ...]) -> Unbounded:
    m = small(policy, components, 0)
    return Unbounded(m.system, [r.rule for r in m.transitions.rules], 60)


class By:
    """Expressions over pages, evaluated on one tree: by trying every page. None is what nobody can tell."""

    def __init__(self, m: Model, before: Values, then: Values | None = None) -> None:
        self.m, self.states = m, (before, then)
        self.number_of = {v.key: i for i, v in enumerate(m.system.variables)}
        self.all = range(m.system.nodes + 1)

    def up(self, p: int) -> int:
        return self.m.system.parents[p - 1] if p else 0

    def path(self, p: int) -> list[int]:
        return self.m.system.path(p)

    def kept(self, key: Key, p: int, when: tuple[object, ...]) -> int:
        state = self.states[bool(when)]
        assert state is not None
        return state[self.number_of[key], p] if p else self.m.system.root[key]

    def there(self, p: int, when: tuple[object, ...]) -> bool:
        return any(self.kept(k, p, when) for k in self.m.system.exists)

    def page(self, e: E, at: Pages) -> int:
        match e.op:
            case "up":
                return self.up(self.page(e.args[0], at))
            case "top":
                y, such, p = e.args
                return next((x for x in self.path(self.page(p, at)) if self(such, {**at, y: x})), 0)
        return 0 if e.args == ("root",) else at[e]

    def __call__(self, e: E, at: Pages) -> bool | int | None:
        a = e.args
        match e.op:
            case "const":
                return a[0]  # type: ignore[no-any-return]
            case "opaque" | "unknown":
                return None
            case "is" | "count of":
                found = self.kept(a[0], self.page(a[1], at), a[2:])
                return bool(found) if e.op == "is" else found
            case "children's":
                p = self.page(a[1], at)
                below = [c for c in self.all if c and self.up(c) == p and self.there(c, a[2:])]
                return sum(self.kept(a[0], c, a[2:]) for c in below)
            case "same":
                return self.page(a[0], at) == self.page(a[1], at)
            case "above":
                return self.page(a[0], at) in (0, *self.path(self.page(a[1], at)))
            case "number":
                return self.page(a[0], at)
            case "all":
                return self.m.system.nodes
            case "some":
                return _any(self(a[1], {**at, a[0]: p}) for p in self.all)
            case "path":
                return _sum(self(a[1], {**at, a[0]: p}) for p in self.path(self.page(a[2], at)))
            case "those":
                return _sum(self(a[1], {**at, a[0]: p}) for p in self.all)
            case "as many":
                one, two = (_sum(self(such, {**at, a[0]: p}) for p in self.all) for such in a[1:])
                return None if one is None or two is None else one == two
        return _applied(e.op, [self(x, at) for x in a])


def _any(found: object) -> bool | None:
    told = list(found)  # type: ignore[call-overload]
    return True if True in told else None if None in told else False


def _sum(found: object) -> int | None:
    told = list(found)  # type: ignore[call-overload]
    return None if None in told else sum(told)


def _applied(op: str, a: list[bool | int | None]) -> bool | int | None:
    match op:
        case "and":
            return False if False in a else None if None in a else True
        case "or":
            return _any(a)
        case "not":
            return None if a[0] is None else not a[0]
        case "if":
            return None if a[0] is None else a[1] if a[0] else a[2]
    if None in a:
        return None
    x, y = a
    assert x is not None
    assert y is not None
    return {
        "differ": lambda: x != y, "=": lambda: x == y, "<": lambda: x < y, "<=": lambda: x <= y,
        "+": lambda: x + y, "-": lambda: x - y,
    }[op]()  # fmt: skip


Drawn = tuple[Model, Unbounded, Values]

EVERY = pytest.mark.parametrize(("policy", "components"), [
    pytest.param(p, c, marks=() if (p, c) == (Policy.WRITE_THROUGH, (FULL,)) else pytest.mark.slow)
    for p in Policy for c in SETS
])  # fmt: skip
SLOWLY = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def walked(data: st.DataObject, policy: Policy, components: tuple[Component, ...]) -> Drawn:
    """A model, and a state that some moves lead to: so that every claim is true of it."""
    m = small(policy, components, data.draw(st.integers(0, len(TREES) - 1)))
    state = first(m.transitions)
    for _ in range(data.draw(st.integers(0, 10))):
        possible = [x for x in m.transitions.moves if evaluate(x.guard, state)]
        then = after(data.draw(st.sampled_from(possible)), state)
        assert then is not None
        state = then
    return m, proving(policy, components), state


def anything(data: st.DataObject, policy: Policy, components: tuple[Component, ...]) -> Drawn:
    """A model and any state near those that can be reached, legal or not."""
    m, u, state = walked(data, policy, components)
    cells = data.draw(st.lists(st.sampled_from(sorted(state)), max_size=4))
    tops = {i: v.top for i, v in enumerate(m.system.variables)}
    return m, u, {**state, **{c: data.draw(st.integers(0, tops[c[0]])) for c in cells}}


@EVERY
@SLOWLY
@given(data=st.data())
def test_a_formula_is_true_where_its_claim_is(
    data: st.DataObject, policy: Policy, components: tuple[Component, ...]
) -> None:
    m, u, state = anything(data, policy, components)
    wrong = {c.name: bool(evaluate(c.wrong, state)) for c in claims(m.transitions)}
    by = By(m, state)
    for f in u.s.formulas:
        if f.name in wrong and not (f.tied and wrong[f.name]):  # what a claim leaves to others may be what is wrong
            assert by(f.holds, {}) == (not wrong[f.name]), f.name


@EVERY
@SLOWLY
@given(data=st.data())
def test_an_action_does_what_is_said_of_it(
    data: st.DataObject, policy: Policy, components: tuple[Component, ...]
) -> None:
    m, u, state = anything(data, policy, components)
    possible = [x for x in m.transitions.moves if evaluate(x.guard, state)]
    if not possible:
        return
    move = data.draw(st.sampled_from(possible))
    by, at = By(m, state), {N: move.node}
    assert by(u.s.r.possible(move.action.guard, N), at) is not False, "a guard may be left open, and not be closed"
    then = {c: int(evaluate(move.assigned[c], state)) if c in move.assigned else n for c, n in state.items()}
    said = After(u.s.r, move.action)
    for key, e in said.assigned.items():
        for p in range(1, m.system.nodes + 1):
            told = by(e, {**at, named("_x"): p})
            assert told is None or int(told) == then[by.number_of[key], p], f"{key} of page {p}"


@EVERY
@SLOWLY
@given(data=st.data())
def test_lemmas_are_true_of_states_that_can_be_reached(
    data: st.DataObject, policy: Policy, components: tuple[Component, ...]
) -> None:
    m, u, state = walked(data, policy, components)
    by = By(m, state)
    general = [lemmas.never_negative(k) for k in u.s.numbers]
    general += [e for c in u.s.counters for e in lemmas.counted(c, as_before)]
    general += [lemmas.of_a_line(u.s.r.conditioned(t)) for t in u.system.lines]
    general += [e for e, _ in u.s.found]
    for p in by.all:
        for e in general:
            assert by(e, {N: p}) is True, e
        for e in lemmas.going_down_ends(u.s.r, as_before):
            assert by(e, {X: p}) is True, e


def test_what_compares_counts_it_cannot_say_is_left_open() -> None:
    """A guard that asks for room is open: no proof may lean on it."""
    u = proving(Policy.WRITE_THROUGH, (FULL,))
    insert = next(a for a in u.system.actions if a.name == "insert")
    assert any(x.op == "opaque" for x in subs(u.s.r.possible(insert.guard, N)))
