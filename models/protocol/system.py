"""What a model is: nodes that there may be, variables of each, and actions that change them.

A state gives every variable of every node a number. An action of a node may happen where
its guard is true, and then assigns all its targets at once. Guards, values and rules are
terms over the vocabulary, so that a rule of the catalogue means here what it means on a
live tree.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sanitree.invariants.language import Element, Expr, fail, naming
from sanitree.invariants.rules import Rule
from sanitree.invariants.terms import Const, Get, Term, Var, make
from sanitree.invariants.vocabulary import Settings, Sort
from sanitree.models.snapshot import Key


@dataclass(frozen=True, slots=True)
class Variable:
    """A field that every node has a number of, from 0 to `top`; a truth value up to 1."""

    key: Key
    top: int = 1

    @property
    def bits(self) -> int:
        return self.top.bit_length()


@dataclass(frozen=True, slots=True)
class Assign:
    """A field of the node takes a value; with `on_path`, of each node on the path to it, the root left out."""

    target: Get
    value: Term
    on_path: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """What can happen to a node `var`: where `guard` is true, all `assigns` happen at once."""

    name: str
    prose: str
    var: Var
    guard: Term
    assigns: tuple[Assign, ...]


@dataclass(frozen=True, slots=True)
class System:
    """A model. parents: of the nodes 1, 2, …, each before its children; 0 is the root, of which `root` says all.

    A node is there while any of `exists` is more than 0. In the first state every variable is 0.
    """

    name: str
    settings: Settings
    parents: tuple[int, ...]
    variables: tuple[Variable, ...]
    exists: tuple[Key, ...]
    root: Mapping[Key, int]
    actions: tuple[Action, ...]
    rules: tuple[Rule, ...]

    @property
    def nodes(self) -> int:
        """How many nodes there may be, the root not counted."""
        return len(self.parents)


Said = Callable[[Element], tuple[Expr, tuple[Assign, ...]]]


def action(said: Said) -> Action:
    """A function of a node that returns a guard and what happens, as an action with its name and words."""
    prose = inspect.cleandoc(said.__doc__ or "")
    if not prose:
        fail(f"{said.__name__} says nothing in words: give it a docstring")
    var = make(Var, "n", Sort.NODE)
    with naming("n"):
        guard, assigns = said(Element(var))
    return Action(said.__name__, prose, var, guard.term, assigns)


def becomes(field: Expr, value: Expr | bool | int) -> Assign:
    """A field of the action's node takes a value."""
    return _assign(field, value, on_path=False)


def on_path(field: Expr, value: Expr | bool | int) -> Assign:
    """The same on the whole path: `field` and `value` are said of each node on it."""
    return _assign(field, value, on_path=True)


def _assign(field: Expr, value: Expr | bool | int, on_path: bool) -> Assign:
    if not isinstance(field.term, Get) or not isinstance(field.term.of, Var):
        fail("what is assigned is a field of the action's own node")
    said = value.term if isinstance(value, Expr) else make(Const, value)
    return Assign(field.term, said, on_path)
