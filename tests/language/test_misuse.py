"""What cannot be said is an error at the line that says it."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from sanitree.invariants.language import (
    SayError,
    all_of,
    children,
    count,
    distinct,
    every,
    every_component,
    implies,
    ite,
    nodes,
    path_sum,
    slots,
    some,
    sum_over,
    trait,
    transfers,
)
from sanitree.invariants.rules import Family, rule
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
