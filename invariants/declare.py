"""What rules and ghosts share: a function that is called once, with symbols, and what it said."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sanitree.invariants.language import Element, Expr, fail, naming
from sanitree.invariants.terms import Term, Var, free_variables, make
from sanitree.invariants.vocabulary import ComponentVar, Kind, Sort, Tier, TierVar

SCOPE_NAME = {Sort.NODE: "n", Sort.TREE: "t", Sort.TRANSFER: "x", Sort.REQUEST: "r", Sort.SLOT: "s"}
"""What an element of each scope is called in a term."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A function's name, words, place and term, and the symbols that it was called with."""

    name: str
    prose: str
    note: str
    said_at: str
    var: Var
    component: ComponentVar | None
    tier: TierVar | None
    term: Term


def declared(
    function: Callable[..., Any],
    scope: Sort,
    sort: Sort,
    per: Kind | None = None,
    tiers: Iterable[Tier] = (),
    given: Iterable[Var] = (),
) -> Declared:
    """Calls a declaration's function: with an element, then a component if `per`, then a tier if `tiers`.

    It must return a `sort`, and mention no other element but those `given`. Raises SayError.
    """
    name, tiers = function.__name__, tuple(tiers)
    if scope not in SCOPE_NAME:
        fail(f"a rule is about a node, tree, transfer, request or slot, not a {scope.value}")
    prose, _, note = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
    if not prose:
        fail(f"{name} says nothing in words: give it a docstring")
    if scope is Sort.SLOT and not (per and tiers):
        fail("a slot belongs to the pool of a component on a tier: say per= and tiers=")
    var = make(Var, SCOPE_NAME[scope], scope)
    names = list(inspect.signature(function).parameters)
    if len(names) != 1 + bool(per) + bool(tiers):
        fail(f"{name} takes the {scope.value}, then a component if per=, then a tier if tiers=")
    component = ComponentVar(names[1]) if per else None
    tier = TierVar(names[-1]) if tiers else None
    with naming(var.name, *names[1:]):
        said = function(*(x for x in (Element(var), component, tier) if x is not None))
    if not isinstance(said, Expr) or said.term.sort is not sort:
        fail(f"{name} must return a {sort.value}, not {said!r}")
    if loose := free_variables(said.term) - {var, *given}:
        fail(f"{name} mentions {', '.join(v.name for v in loose)} outside its fold")
    code = function.__code__
    file = "/".join(code.co_filename.split("/")[-3:])
    place = f"{file}:{code.co_firstlineno}"
    return Declared(name, " ".join(prose.split()), " ".join(note.split()), place, var, component, tier, said.term)
