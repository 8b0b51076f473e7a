"""A model as expressions: each action of each node with its guard and what it assigns, and what violates each rule.

What every way to search or to export a model starts from: nothing here knows how states are packed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from sanitree.checker.explore.ground import Ground, UnsaidError, bits
from sanitree.checker.symbolic import FALSE, E, choose, conj, disj, neg
from sanitree.invariants.rules import checks
from sanitree.models.protocol.system import Action, System
from sanitree.models.snapshot import Key

Cell = tuple[int, int]
"""A variable's number and the row of its node. `E("bits", cell)` is the number that it has in a state."""


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """An action of one node. guard: a condition; assigned: what each cell becomes, all at once; others keep theirs."""

    action: Action
    node: int
    guard: E
    assigned: Mapping[Cell, E]


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A rule by the name of its check, and the condition under which a state violates it."""

    rule: str
    wrong: E


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """A model's moves, in order: the number of one is its place. unsaid: rules that it has no variables for, or not
    for every element, and those that no state of it could violate.

    Expressions are made of "const" and "bits"; "and", "or", "not", "differ" (of truth values); "<", "<=", "=" and
    "+", "-" (of numbers); and "if" (a condition, and two numbers).
    """

    system: System
    moves: tuple[Move, ...]
    rules: tuple[Forbidden, ...]
    unsaid: tuple[str, ...]


def transitions(system: System, ground: Ground | None = None) -> Transitions:
    """A model as expressions. ground: its meanings, where somebody has them already. Raises ValueError for an action
    that it has no variables for."""
    ground = ground or Ground(system)
    moves = tuple(m for a in system.actions for m in moves_of(ground, a))
    rules, unsaid = _rules(ground)
    return Transitions(system, moves, rules, unsaid)


def moves_of(ground: Ground, a: Action) -> list[Move]:
    """An action of each node that may allow it. Raises ValueError where the model has no variables for it."""
    found: list[Move] = []
    try:
        for node in range(1, ground.system.nodes + 1):
            guard = ground.condition(a.guard, node)
            if guard is not FALSE:
                found.append(Move(a, node, guard, assigned(ground, a, node)))
    except UnsaidError as error:
        name = ground.system.name
        raise ValueError(f"{a.name} speaks of what the model {name} has no variable for: {error}") from None
    return found


def assigned(ground: Ground, a: Action, node: int) -> dict[Cell, E]:
    """What an action of a node assigns. Raises ValueError where the model has no variable for it."""
    system = ground.system
    number_of = {v.key: i for i, v in enumerate(system.variables)}
    found: dict[Cell, E] = {}
    for x in a.assigns:
        key = Key.of(x.target.field.name, x.target.component, x.target.tier)  # type: ignore[arg-type]
        if key not in number_of:
            raise ValueError(f"{a.name} assigns {key}, of which the model {system.name} has no variable")
        for row in system.reached(x.over, node):
            cell = number_of[key], row
            where = ground.condition(x.where, node, x.each, row)
            if where is FALSE:
                continue
            before = found.get(cell, bits(*cell))
            new = choose(where, ground.value(x.value, node, x.each, row), before)
            if new is not bits(*cell):
                found[cell] = new
            else:
                found.pop(cell, None)
    return found


def _rules(ground: Ground) -> tuple[tuple[Forbidden, ...], tuple[str, ...]]:
    found: list[Forbidden] = []
    unsaid: list[str] = []
    for c in checks(ground.system.rules, ground.system.settings):
        try:
            wrong = reduce(disj, (conj(there, neg(holds)) for there, holds in ground.judged(c)), FALSE)
        except UnsaidError:
            wrong = FALSE
        if wrong is FALSE:
            unsaid.append(c.name)
            continue
        found.append(Forbidden(c.name, wrong))
    return tuple(found), tuple(unsaid)
