"""What a step rule says besides: the two states on either side of a call, and the call.

    @step(PROGRESS, Sort.TREE, on=[EVICT], per=Kind.ANY)
    def eviction_frees_what_was_asked(t, c):
        \"\"\"An eviction frees what it was asked for, or all that was evictable.\"\"\"
        freed = t[c, DEVICE].available - before(t)[c, DEVICE].available
        return (freed >= call[c, DEVICE].asked) | (freed >= before(t)[c].evictable_size)

A plain element is seen after the call, `before(n)` is the same element before it. A
range holds the elements of both states: `n.exists` and `before(n).exists` say which.
What is not there is unknown, so a rule asks for existence first.

A ghost is a field that no state shows: the checker keeps it, and its declaration says
how each call changes it. Rules over ghosts speak of the whole history.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sanitree.invariants.calls import CALL_FIELDS, GHOST_FIELDS, is_of_a_state
from sanitree.invariants.declare import declared
from sanitree.invariants.language import Element, Expr, fail, naming
from sanitree.invariants.terms import (
    At,
    Const,
    Gather,
    Get,
    Moment,
    PathSum,
    Range,
    SayError,
    Term,
    Var,
    free_variables,
    make,
    walk,
)
from sanitree.invariants.vocabulary import ComponentVar, Field, Index, Kind, Lowering, Sort

CALL = make(Var, "call", Sort.CALL)
call = Element(CALL)
"""The call between the two states."""


def before(x: Element) -> Element:
    """The element as it was before the call."""
    return _at(Moment.BEFORE, x)


def after(x: Element) -> Element:
    """The element as it is after the call: for one that was reached through the state before."""
    return _at(Moment.AFTER, x)


def _at(moment: Moment, x: Element) -> Element:
    if not isinstance(x, Element) or x._index is not None:
        fail(f"{moment.value}() takes an element, as in {moment.value}(n)[c].lock")
    try:
        return Element(make(At, moment, x._term))
    except SayError as e:
        fail(str(e))


# Ghosts.


@dataclass(frozen=True, slots=True, eq=False)
class Ghost:
    """A field kept by the checker.

    initial: its value where an element is first met, said of the state before that call;
    None where nobody can tell it of what was there already.
    term: its value after a call. per: the kind of component it is repeated for.
    """

    field: Field
    per: Kind | None
    component: ComponentVar | None
    var: Var
    initial: Term | None
    term: Term


def ghost(
    scope: Sort, unit: str, *, per: Kind | None = None, initial: Callable[[Any], Expr] | int | None = 0
) -> Callable[[Callable[..., Any]], Ghost]:
    """Declare a ghost, a number. The function says its value after a call; its docstring is the meaning."""

    def declare(function: Callable[..., Any]) -> Ghost:
        index = Index.COMPONENT if per else Index.NONE
        meaning = inspect.cleandoc(function.__doc__ or "").partition("\n\n")[0]
        field = Field(scope, function.__name__, Sort.INT, unit, index, Lowering.NONE, meaning)
        name = scope, field.name
        if is_of_a_state(field) or name in CALL_FIELDS or GHOST_FIELDS.get(name, field) != field:
            fail(f"a {scope.value} has a field {field.name} already")
        new = name not in GHOST_FIELDS
        # Its own value before the call is what it changes: the name is taken first, and given back if nothing comes.
        GHOST_FIELDS[name] = field
        try:
            said = declared(function, scope, Sort.INT, per, (), [CALL])
            check_step(said.name, said.term)
            first = None if initial is None else _initial(said.name, initial, said.var)
        except BaseException:
            if new:
                del GHOST_FIELDS[name]
            raise
        return Ghost(field, per, said.component, said.var, first, said.term)

    return declare


def _initial(name: str, said: Callable[[Any], Expr] | int, var: Var) -> Term:
    given: object = said
    if callable(said):
        with naming(var.name):
            given = said(Element(var))
    term = given.term if isinstance(given, Expr) else make(Const, given) if isinstance(given, int) else None
    if term is None or term.sort is not Sort.INT:
        fail(f"{name} starts as a number, not as {given!r}")
    if free_variables(term) - {var}:
        fail(f"{name} starts before the call: initial= speaks of the {var.sort.value} alone")
    check_step(name, term)
    return term


def of_steps_alone(term: Term) -> Iterator[str]:
    """What in a term has no meaning in a single state."""
    for t in walk(term):
        if isinstance(t, At):
            yield f"{t.moment.value}()"
        elif t is CALL:
            yield "call"
        elif isinstance(t, Get) and not is_of_a_state(t.field):
            yield t.field.name


def check_step(name: str, term: Term) -> None:
    """SayError for what cannot be said of a step: two states share their elements, not their shape."""
    for t in walk(term):
        if isinstance(t, PathSum) or (isinstance(t, Gather) and t.over is Range.CHILDREN):
            fail(f"{name}: a step has two trees; say it of nodes, or of slots, and not of children or paths")
