"""A model as expressions: each action of each node with its guard and what it assigns, and what violates each rule.

What every way to search or to export a model starts from: nothing here knows how states are packed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from sanitree.checker.explore.ground import Ground
from sanitree.checker.symbolic import FALSE, E, conj, disj
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
    """A model's moves, in order: the number of one is its place. unsaid: rules that it has no variables for.

    Expressions are made of "const" and "bits"; "and", "or", "not", "differ" (of truth values); "<", "<=", "=" and
    "+", "-" (of numbers); and "if" (a condition, and two numbers).
    """

    system: System
    moves: tuple[Move, ...]
    rules: tuple[Forbidden, ...]
    unsaid: tuple[str, ...]


def transitions(system: System) -> Transitions:
    """A model as expressions. Raises ValueError for an action that it has no variables for."""
    ground = Ground(system)
    moves: list[Move] = []
    for a in system.actions:
        guards, sure = ground.truth(a.guard, a.var)
        values = [ground.value(x.value, x.target.of) for x in a.assigns]  # type: ignore[arg-type]
        for node in range(1, system.nodes + 1):
            if guards[node] == FALSE:
                if sure[node] == FALSE:
                    raise ValueError(f"the model {system.name} has no variable for a part of the guard of {a.name}")
                continue
            moves.append(Move(a, node, guards[node], _assigned(system, a, node, values)))
    rules, unsaid = _rules(system, ground)
    return Transitions(system, tuple(moves), rules, unsaid)


def _assigned(system: System, a: Action, node: int, values: list[tuple[E, ...]]) -> dict[Cell, E]:
    number_of = {v.key: i for i, v in enumerate(system.variables)}
    path = [node]
    while system.parents[path[-1] - 1]:
        path.append(system.parents[path[-1] - 1])
    found: dict[Cell, E] = {}
    for x, value in zip(a.assigns, values, strict=True):
        t = x.target
        key = Key.of(t.field.name, t.component, t.tier)  # type: ignore[arg-type]
        if key not in number_of:
            raise ValueError(f"{a.name} assigns {key}, of which the model {system.name} has no variable")
        for row in path if x.on_path else (node,):
            found[number_of[key], row] = value[row]
    return found


def _rules(system: System, ground: Ground) -> tuple[tuple[Forbidden, ...], tuple[str, ...]]:
    found: list[Forbidden] = []
    unsaid: list[str] = []
    there = ground.exists()
    for c in checks(system.rules, system.settings):
        yes, no = ground.truth(c.term, c.rule.var)
        if all(y == FALSE for y in yes) and all(n == FALSE for n in no):
            unsaid.append(c.name)
            continue
        wrong = reduce(disj, (conj(here, n) for here, n in zip(there, no, strict=True)), FALSE)
        found.append(Forbidden(c.name, wrong))
    return tuple(found), tuple(unsaid)
