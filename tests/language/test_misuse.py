"""What cannot be said is an error at the line that says it."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from sanitree.invariants.calls import GHOST_FIELDS, Operation
from sanitree.invariants.catalogue import GHOSTS
from sanitree.invariants.language import (
    SayError,
    all_of,
    children,
    count,
    distinct,
    every,
    every_component,
    iff,
    implies,
    ite,
    nodes,
    path_sum,
    requests,
    slots,
    some,
    sum_over,
    trait,
    transfers,
)
from sanitree.invariants.rules import Family, rule, step
from sanitree.invariants.steps import after, before, call, ghost
from sanitree.invariants.terms import TRUE
from sanitree.invariants.vocabulary import DEVICE, FULL, SWA, Kind, Sort

Say = Callable[..., object]
ESCAPED: list[object] = []

# Each is one line, so that the line of the error is the line of the lambda.
# fmt: off
ON_NODES: list[tuple[str, Say]] = [
    ("branch on a value", lambda n: n.key_len if n.is_root else n.hits),
    ("branch on a value", lambda n: not n.is_root),
    ("branch on a value", lambda n: n.is_root and n.has_parent_link),
    ("branch on a value", lambda n: 0 <= n.key_len <= 3),
    ("branch on an element", lambda n: n.parent or n),
    ("needs parentheses", lambda n: n.key_len == 0 | n.is_root),
    ("needs parentheses", lambda n: n.key_len == 1 & n.is_root),
    ("no field 'key_length'", lambda n: n.key_length == 0),
    ("no field 'tokens' by component", lambda n: n[FULL].tokens == 0),
    ("no field 'key_len' by component", lambda n: n[FULL].key_len == 0),
    ("no field 'present' by -", lambda n: n.present),
    ("is no component", lambda n: n["full"].lock == 0),
    ("is no component", lambda n: n[FULL][SWA].lock == 0),
    ("say iff", lambda n: n.is_root == n.has_parent_link),
    ("say iff", lambda n: n.is_root == True),  # noqa: E712
    ("not node and number", lambda n: n.parent == n.key_len),
    ("takes numbers, not a truth value", lambda n: n.is_root + 1 == 2),
    ("takes numbers, not a node", lambda n: n.parent < 3),
    ("and takes truth values, not a number", lambda n: n.is_root & n.key_len),
    ("or takes truth values, not a number", lambda n: n.is_root | 1),
    ("and takes truth values, not a node", lambda n: all_of(n.is_root, n.parent)),
    ("not takes truth values", lambda n: ~n.key_len),
    ("implies takes truth values", lambda n: implies(n.parent, n.is_root)),
    ("component take a truth value", lambda n: every_component(lambda c: n[c].lock) == 0),
    ("ite takes a condition", lambda n: ite(n.key_len, 1, 2) == 1),
    ("component take a truth value", lambda n: every_component(lambda c: n[c].lock) == 0),
    ("ite takes a condition", lambda n: ite(n.is_root, 1, n.parent) == 1),
    ("ite chooses between numbers", lambda n: ite(n.is_root, n.has_parent_link, n.readable)),
    ("mod divides", lambda n: n.key_len % n.hits == 0),
    ("cannot stand in a rule", lambda n: n.key_len == "one"),
    ("cannot stand in a rule", lambda n: n.key_len == None),  # noqa: E711
    ("cannot stand in a rule", lambda n: n.key_len < 1.5),
    ("already stands for another", lambda n: every(nodes, lambda n: n.is_root)),
    ("already stands for another", lambda n: path_sum(n, lambda n: n.key_len) == 0),
    ("only in one equation", lambda n: some(transfers, lambda x: x.ack <= n.write_ack)),
    ("only in one equation", lambda n: some(transfers, lambda x: (x.ack == n.write_ack) | x.is_load)),
    ("only in one equation", lambda n: some(nodes, lambda m: (m.hits == n.hits) & (m.key_len == n.key_len))),
    ("only in one equation", lambda n: every(transfers, lambda x: x.ack == n.write_ack)),
    ("only in one equation", lambda n: sum_over(transfers, lambda x: x.ack + n.hits) == 0),
    ("only in one equation", lambda n: distinct(nodes, lambda m: m.hits + n.hits)),
    ("path_sum adds up what m alone", lambda n: path_sum(n, lambda m: m.key_len + n.key_len) == 0),
    ("path_sum adds up a number", lambda n: path_sum(n, lambda m: m.is_root) == 0),
    ("path_sum adds up a number", lambda n: path_sum(n.key_len, lambda m: m.hits) == 0),
    ("children(n) takes", lambda n: some(children(n.parent), lambda m: m.is_root)),
    ("children(n) takes", lambda n: some(children(7), lambda m: m.is_root)),
    ("is no range", lambda n: every(n, lambda m: m.is_root)),
    ("some gathers a truth value", lambda n: some(nodes, lambda m: m.key_len)),
    ("sum gathers a number", lambda n: sum_over(nodes, lambda m: m.is_root) == 0),
    ("count gathers", lambda n: count(nodes, lambda m: m.key_len) == 0),
    ("no trait is called", lambda n: trait("tierd")),
]
# fmt: on


@pytest.mark.parametrize(("message", "say"), ON_NODES, ids=lambda x: x if isinstance(x, str) else "")
def test_a_slip_is_an_error_at_its_line(message: str, say: Say) -> None:
    function = named(say)
    with pytest.raises(SayError) as caught:
        rule(Family.SHAPE, Sort.NODE)(function)
    text = str(caught.value)
    assert message in text
    assert f"said at {__file__}:{say.__code__.co_firstlineno}" in text  # type: ignore[attr-defined]
    # Nothing of it stays: the next rule may use the same names.
    assert rule(Family.SHAPE, Sort.NODE)(named(lambda n: every(nodes, lambda m: m.is_root) & n.is_root))


def named(say: Say, doc: str = "Something.") -> Say:
    function = type(say)(say.__code__, say.__globals__, "small", say.__defaults__, say.__closure__)  # type: ignore[attr-defined]
    function.__doc__ = doc
    return function  # type: ignore[no-any-return]


def declare(say: Say, scope: Sort = Sort.NODE, **more: object) -> tuple[SayError, int]:
    """The error that a declaration here raises, and the line of the declaration."""
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.raises(SayError) as caught:
        rule(Family.SHAPE, scope, **more)(say)  # type: ignore[arg-type]
    return caught.value, line


@pytest.mark.parametrize(
    ("message", "say", "scope", "more"),
    [
        ("must return a truth value", named(lambda n: n.key_len), Sort.NODE, {}),
        ("must return a truth value", named(lambda n: None), Sort.NODE, {}),
        ("says nothing in words", named(lambda n: n.is_root, ""), Sort.NODE, {}),
        ("outside its fold", named(lambda n: every(nodes, lambda m: escape(m)) & ESCAPED[-1]), Sort.NODE, {}),
        ("a slot belongs to the pool", named(lambda s: s.free == 1), Sort.SLOT, {}),
        ("a slot belongs to the pool", named(lambda s, c: s.free == 1), Sort.SLOT, {"per": Kind.ANY}),
        ("a rule is about", named(lambda x: TRUE), Sort.INT, {}),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_wrong_declaration_is_an_error_at_its_line(message: str, say: Say, scope: Sort, more: dict) -> None:
    error, line = declare(say, scope, **more)
    assert message in str(error)
    assert f"said at {__file__}:{line}" in str(error)


def escape(element: object) -> object:
    ESCAPED.append(element.is_root)  # type: ignore[attr-defined]
    return ESCAPED[-1]


def test_when_speaks_of_settings_alone() -> None:
    found: list[object] = []

    def outer(n):
        """Outer."""
        found.append(n.is_root)
        return n.is_root

    rule(Family.SHAPE, Sort.NODE)(outer)
    error, _ = declare(named(lambda n: n.is_root), when=found[0])
    assert "when= speaks of settings" in str(error)


def test_expressions_leak_into_no_collection() -> None:
    found: list[object] = []

    def say(n):
        """Keeps what it was given."""
        found.extend([n, n.is_root, n.key_len])
        return n.is_root

    rule(Family.SHAPE, Sort.NODE)(say)
    n, root, length = found
    for x in found:
        with pytest.raises(TypeError, match="unhashable"):
            hash(x)
    with pytest.raises(SayError):
        assert root in [length < 3]
    with pytest.raises(SayError):
        [n].index(n.parent)  # type: ignore[attr-defined]
    with pytest.raises(SayError):
        bool(root.term)  # type: ignore[attr-defined]
    assert slots(FULL, DEVICE).pool == (FULL, DEVICE)


# Steps and ghosts.

# fmt: off
OF_A_STATE: list[tuple[str, Say]] = [
    ("small speaks of before()", lambda n: before(n).is_root),
    ("small speaks of after()", lambda n: after(n.parent).is_root),
    ("small speaks of asked, call", lambda n: call[FULL, DEVICE].asked == 0),
    ("small speaks of exists", lambda n: n.exists),
    ("small speaks of acked", lambda n: some(transfers, lambda x: x.acked == n.hits)),
    ("small speaks of owed", lambda n: some(transfers, lambda x: x.owed == n.hits)),
    ("small speaks of called", lambda n: some(requests, lambda r: r.called)),
]
OF_A_STEP: list[tuple[str, Say]] = [
    ("a step has two trees", lambda n: some(children(n), lambda m: before(m).exists)),
    ("a step has two trees", lambda n: path_sum(n, lambda m: m.key_len) == before(n).key_len),
    ("a step has two trees", lambda n: path_sum(before(n), lambda m: m.key_len) == 0),
    ("a step has two trees", lambda n: every(nodes, lambda m: m.exists & some(children(m), lambda k: k.is_root))),
    ("children(n) takes", lambda n: some(children(before(n)), lambda m: m.is_root)),
    ("small speaks of one state", lambda n: n.is_root),
    ("small speaks of one state", lambda n: some(transfers, lambda x: x.ack == n.write_ack)),
    ("before() takes an element", lambda n: before(5).exists),
    ("before() takes an element", lambda n: before(n[FULL]).lock == 0),
    ("before() takes an element", lambda n: before(n.key_len) == n.key_len),
    ("before() takes an element", lambda n: before(n.is_root)),
    ("after() takes an element", lambda n: after(before(n)[FULL]).lock == 0),
    ("a call has no moment", lambda n: before(call)[FULL, DEVICE].asked == 0),
    ("a call has no field 'asked' by -", lambda n: call.asked == 0),
    ("a call has no field 'freed' by component, tier", lambda n: call[FULL, DEVICE].freed == 0),
    ("a node has no field 'called' by -; it has", lambda n: n.called),
    ("a node has no field 'age'", lambda n: before(n).age == 0),
    ("a transfer has no field 'promised'", lambda n: some(transfers, lambda x: before(x).promised == n.hits)),
    ("a request has no field 'locked' by -", lambda n: some(requests, lambda r: r.locked == before(n).hits)),
    ("branch on a value", lambda n: before(n).key_len if n.exists else n.key_len),
    ("branch on an element", lambda n: before(n) or n),
    ("say iff", lambda n: n.exists == before(n).exists),
    ("not node and number", lambda n: before(n) == n.key_len),
    ("only in one equation", lambda n: some(transfers, lambda x: before(x).ack <= n.write_ack)),
    ("only in one equation", lambda n: some(transfers, lambda x: x.acked + call.refused > 0)),
    ("must return a truth value", lambda n: before(n).key_len),
]
# fmt: on


@pytest.mark.parametrize(("message", "say"), OF_A_STATE, ids=lambda x: x if isinstance(x, str) else "")
def test_what_only_a_step_has_is_an_error_in_a_rule_about_a_state(message: str, say: Say) -> None:
    error, line = declare(named(say))
    assert message in str(error)
    assert f"said at {__file__}:{line}" in str(error)
    assert "@step" in str(error)


@pytest.mark.parametrize(("message", "say"), OF_A_STEP, ids=lambda x: x if isinstance(x, str) else "")
def test_what_cannot_be_said_of_a_step_is_an_error_at_its_line(message: str, say: Say) -> None:
    said, line = say.__code__.co_firstlineno, inspect.currentframe().f_lineno + 2  # type: ignore[attr-defined, union-attr]
    with pytest.raises(SayError) as caught:
        step(Family.SHAPE, Sort.NODE, on=[Operation.EVICT])(named(say))
    assert message in str(caught.value)
    assert any(f"said at {__file__}:{at}" in str(caught.value) for at in (said, line))
    assert step(Family.SHAPE, Sort.NODE, on=[Operation.EVICT])(named(lambda n: before(n).exists))


def test_a_step_is_about_some_operation() -> None:
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.raises(SayError) as caught:
        step(Family.SHAPE, Sort.NODE, on=[])(named(lambda n: before(n).exists))
    assert "small is about no operation: name them in on=" in str(caught.value)
    assert f"said at {__file__}:{line}" in str(caught.value)


def test_a_step_is_said_of_any_element_and_any_call() -> None:
    for scope in (Sort.NODE, Sort.TRANSFER, Sort.REQUEST):
        assert step(Family.SHAPE, scope, on=Operation)(named(lambda e: iff(e.exists, before(e).exists))).on == tuple(
            Operation
        )
    assert step(Family.SHAPE, Sort.TREE, on=[Operation.EVICT])(named(lambda t: call.refused == 0))


@pytest.mark.parametrize(
    ("message", "say", "more"),
    [
        ("says nothing in words", named(lambda x: before(x).small + 1, ""), {}),
        ("small must return a number", named(lambda x: x.exists), {}),
        ("small must return a number", named(lambda x: before(x).small == 0), {}),
        ("small must return a number", named(lambda x: x.node), {}),
        ("a step has two trees", named(lambda x: sum_over(nodes, lambda n: count(children(n)))), {}),
        ("outside its fold", named(lambda x: count(nodes, lambda m: escape(m)) + ite(ESCAPED[-1], 1, 0)), {}),
        ("no field 'large'", named(lambda x: before(x).large + 1), {}),
        ("no field 'small' by -", named(lambda x, c: before(x).small + 1), {"per": Kind.ANY}),
        ("then a component if per=", named(lambda x, c: before(x)[c].small + 1), {}),
        ("small starts as a number", named(lambda x: before(x).small), {"initial": lambda x: x.exists}),
        ("small starts as a number", named(lambda x: before(x).small), {"initial": lambda x: x}),
        ("small starts as a number", named(lambda x: before(x).small), {"initial": True}),
        ("small starts as a number", named(lambda x: before(x).small), {"initial": "0"}),
        ("small starts before the call", named(lambda x: before(x).small), {"initial": lambda x: call.refused}),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)  # fmt: skip
def test_a_ghost_that_is_no_number_of_its_own_is_an_error_at_its_line(message: str, say: Say, more: dict) -> None:
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.raises(SayError) as caught:
        ghost(Sort.TRANSFER, "times", **more)(say)
    assert message in str(caught.value)
    places = (say.__code__.co_firstlineno, line)  # type: ignore[attr-defined]
    assert any(f"said at {__file__}:{at}" in str(caught.value) for at in places)
    assert (Sort.TRANSFER, "small") not in GHOST_FIELDS, "the name is free for what can be said"


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (Sort.TRANSFER, "published"),  # of a state
        (Sort.TRANSFER, "acked"),  # of a call
        (Sort.NODE, "exists"),
        (Sort.TRANSFER, "owed"),  # of another ghost
    ],
)
def test_a_ghost_has_a_name_of_its_own(scope: Sort, name: str) -> None:
    say = named(lambda x: x.hits, "Another meaning.")
    say.__name__ = name  # type: ignore[attr-defined]
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.raises(SayError) as caught:
        ghost(scope, "times")(say)
    assert f"a {scope.value} has a field {name} already" in str(caught.value)
    assert f"said at {__file__}:{line}" in str(caught.value)
    kept = GHOST_FIELDS.get((scope, name))
    assert kept is None or kept.meaning != "Another meaning."


def test_a_slot_and_a_number_have_no_ghost() -> None:
    for scope, message in ((Sort.SLOT, "a slot belongs to the pool"), (Sort.INT, "is about a node")):
        with pytest.raises(SayError) as caught:
            ghost(scope, "times")(named(lambda s: 1))
        assert message in str(caught.value)
    assert set(GHOST_FIELDS.values()) == {g.field for g in GHOSTS}
