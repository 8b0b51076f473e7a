"""What a model is: nodes that there may be, variables of each, and actions that change them.

A state gives every variable of every node a number. An action of a node may happen where
its guard is true, and then assigns all its targets at once. Guards, values and rules are
terms over the vocabulary, so that a rule of the catalogue means here what it means on a
live tree: what a model does not keep as a variable it may define, as a term over what it
keeps, and so show the transfers, requests and slots that rules speak of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from sanitree.invariants.calls import MODEL_FIELDS
from sanitree.invariants.language import Element, Expr, always, fail, naming
from sanitree.invariants.rules import Rule
from sanitree.invariants.terms import TRUE, Const, Get, Term, Var, make
from sanitree.invariants.vocabulary import Component, Field, Index, Lowering, Settings, Sort, Tier
from sanitree.models.snapshot import Key

NODE = make(Var, "n", Sort.NODE)
"""The node that an action, a definition or an attached element is said of."""


def word(name: str, sort: Sort, unit: str, meaning: str, index: Index = Index.NONE) -> Key:
    """Gives nodes a field that only models have: what no live tree shows. Returns its key, where it has no index."""
    said = Field(Sort.NODE, name, sort, unit, index, Lowering.UNIFORM, meaning)
    if MODEL_FIELDS.setdefault((Sort.NODE, name), said) != said:
        fail(f"models have another field {name} already")
    return Key(name)


NUMBER = word("number", Sort.INT, "node", "the node's own number; 0 the root's")


@dataclass(frozen=True, slots=True)
class Variable:
    """A field that every node has a number of, from 0 to `top`; a truth value up to 1."""

    key: Key
    top: int = 1

    @property
    def bits(self) -> int:
        return self.top.bit_length()


class Definition(NamedTuple):
    """A field of a node that follows from others: a term over `NODE`, which may mention the same field of its parent.

    Of the root it is `root`.
    """

    key: Key
    term: Term
    root: int


@dataclass(frozen=True, slots=True)
class Attached:
    """Elements that nodes have: `times` of each node, a number, each with these fields, terms over `NODE`.

    sort: transfer, request or slot; pool: of slots. references: fields that name the node itself.
    """

    name: str
    sort: Sort
    times: Term
    fields: Mapping[Key, Term]
    references: frozenset[str] = frozenset()
    pool: tuple[Component, Tier] | None = None


class Invariant(NamedTuple):
    """What a proof by induction needs besides the rules: true of every node that there may be, also of one not there.

    Of what only the model keeps, so that no live tree could show it; why: what breaks without it.
    """

    name: str
    prose: str
    why: str
    term: Term


class Over(Enum):
    """Which nodes an assignment is about, seen from the action's own."""

    ITSELF = "itself"
    PATH = "the path to it, itself included and the root left out"
    CHILDREN = "its children"


@dataclass(frozen=True, slots=True)
class Assign:
    """`target`, a field of the nodes `over` that `where` is true of, takes a value.

    where, value: terms over the node that is assigned to, which is `each`, and the action's
    own. For ITSELF the two are one. Of two assignments to one field the later holds.
    """

    target: Get
    value: Term
    over: Over
    each: Var
    where: Term


@dataclass(frozen=True, slots=True)
class Action:
    """What can happen to a node: where `guard` is true, all `assigns` happen at once."""

    name: str
    prose: str
    guard: Term
    assigns: tuple[Assign, ...]


@dataclass(frozen=True, slots=True)
class Promise:
    """What can always still be done: from every state where `source` is true, some sequence of actions leads to one
    where `goal` is.

    source, goal: terms without variables. actions: that the sequence may use, by name; all where empty.
    """

    name: str
    prose: str
    source: Term
    goal: Term
    actions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class System:
    """A model. parents: of the nodes 1, 2, …, each before its children; 0 is the root, of which `root` says all.

    A node is there while any of `exists` is more than 0. first: what variables of nodes are in the first state, by key
    and node; 0 where it says nothing.
    definitions: in an order in which each needs earlier ones alone. tree: fields of the tree, as terms without
    variables. constants: what a field is of every node, the root included. lines: conditions of a node under which
    it is of one with its parent; what is so joined is alike in much, and forms a line.
    """

    name: str
    settings: Settings
    parents: tuple[int, ...]
    variables: tuple[Variable, ...]
    exists: tuple[Key, ...]
    root: Mapping[Key, int]
    actions: tuple[Action, ...]
    rules: tuple[Rule, ...]
    definitions: tuple[Definition, ...] = ()
    attached: tuple[Attached, ...] = ()
    tree: Mapping[Key, Term] = field(default_factory=dict)
    promises: tuple[Promise, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    first: Mapping[tuple[Key, int], int] = field(default_factory=dict)
    lines: tuple[Term, ...] = ()

    @property
    def nodes(self) -> int:
        """How many nodes there may be, the root not counted."""
        return len(self.parents)

    def path(self, node: int) -> list[int]:
        """A node and its ancestors, the root left out."""
        found = []
        while node:
            found.append(node)
            node = self.parents[node - 1]
        return found

    def reached(self, over: Over, node: int) -> list[int]:
        """The nodes that an assignment of a node's action may be about."""
        match over:
            case Over.ITSELF:
                return [node]
            case Over.PATH:
                return self.path(node)
            case Over.CHILDREN:
                return [child for child, parent in enumerate(self.parents, 1) if parent == node]


Said = Callable[[Element], tuple[Expr, tuple[Assign, ...]]]


def action(said: Said) -> Action:
    """A function of a node that returns a guard and what happens, as an action with its name and words."""
    prose = inspect.cleandoc(said.__doc__ or "")
    if not prose:
        fail(f"{said.__name__} says nothing in words: give it a docstring")
    with naming("n"):
        guard, assigns = said(Element(NODE))
    return Action(said.__name__, prose, guard.term, assigns)


def definition(key: Key, said: Callable[[Element], Expr], root: int) -> Definition:
    """A field of a node, in terms of others."""
    return Definition(key, defined(said), root)


def defined(said: Callable[[Element], Expr]) -> Term:
    """What a function says of a node, as a term over `NODE`."""
    with naming("n"):
        return said(Element(NODE)).term


def invariant(said: Callable[[Element], Expr]) -> Invariant:
    """A function of a node as an invariant under its name: the first sentence of its docstring, and why."""
    prose, _, why = inspect.cleandoc(said.__doc__ or "").partition("\n\n")
    if not prose:
        fail(f"{said.__name__} says nothing in words: give it a docstring")
    return Invariant(said.__name__, " ".join(prose.split()), " ".join(why.split()), defined(said))


def becomes(target: Expr, value: Expr | bool | int) -> Assign:
    """A field of the action's node takes a value; inside `on_path` and `on_children`, of each node there."""
    if not isinstance(target.term, Get) or not isinstance(target.term.of, Var):
        fail("what is assigned is a field of the action's own node")
    said = value.term if isinstance(value, Expr) else make(Const, value)
    return Assign(target.term, said, Over.ITSELF, NODE, TRUE)


Told = Callable[[Element], tuple[Assign, ...]]


def on_path(told: Told, where: Callable[[Element], Expr] | None = None) -> tuple[Assign, ...]:
    """What happens to each node on the path to the action's, that one included and the root left out."""
    return _each(Over.PATH, told, where)


def on_children(told: Told, where: Callable[[Element], Expr] | None = None) -> tuple[Assign, ...]:
    """What happens to each child of the action's node."""
    return _each(Over.CHILDREN, told, where)


def _each(over: Over, told: Told, where: Callable[[Element], Expr] | None) -> tuple[Assign, ...]:
    var = make(Var, "x", Sort.NODE)
    with naming("x"):
        such = (where(Element(var)) if where else always).term
        assigns = told(Element(var))
    return tuple(Assign(a.target, a.value, over, var, such) for a in assigns)
