"""A model run one step at a time, its expressions evaluated one by one: for walks that choose their way."""

from __future__ import annotations

import random
from collections.abc import Collection

from sanitree.checker.explore import concrete
from sanitree.checker.explore.evaluate import evaluate
from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import transitions
from sanitree.checker.symbolic import E
from sanitree.models.protocol.system import System

Step = tuple[str, int]
"""An action's name, and the page that it is of."""


class Walker:
    """A system's moves and rules."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.model = transitions(system)
        self.moves = {(m.action.name, m.node): m for m in self.model.moves}
        self.first = concrete.first(self.model)

    def enabled(self, state: Values) -> set[Step]:
        known: dict[E, int] = {}
        return {step for step, m in self.moves.items() if evaluate(m.guard, state, known)}

    def after(self, state: Values, step: Step) -> Values:
        known: dict[E, int] = {}
        return {**state, **{cell: evaluate(e, state, known) for cell, e in self.moves[step].assigned.items()}}

    def within(self, state: Values) -> bool:
        """Every number is one that the model has: with a fault planted it need not be."""
        return all(0 <= value <= self.system.variables[at].top for (at, _), value in state.items())

    def violated(self, state: Values) -> set[str]:
        known: dict[E, int] = {}
        return {r.rule for r in self.model.rules if evaluate(r.wrong, state, known)}


def chosen(rng: random.Random, steps: Collection[Step]) -> Step:
    """A step, each action as likely as any other that can happen."""
    name = rng.choice(sorted({name for name, _ in steps}))
    return rng.choice(sorted(s for s in steps if s[0] == name))
