"""What is proved of a model: its rules, what induction needs besides, and that its numbers stay in range."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from sanitree.checker.explore.ground import Ground, bits
from sanitree.checker.explore.transitions import Transitions
from sanitree.checker.symbolic import FALSE, E, const, disj, neg
from sanitree.models.protocol.system import System

RANGE = "numbers_stay_in_range"
"""The claim that no number of the model grows beyond its largest or falls below 0."""

BELOW = "numbers_are_not_below_0"
"""The half of it that is said of trees of any size too."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that holds of every state that can be reached. wrong: the condition under which it does not.

    auxiliary: said of the model alone, because the induction needs it.
    """

    name: str
    wrong: E
    auxiliary: bool = False


def claims(t: Transitions, ground: Ground | None = None) -> tuple[Claim, ...]:
    """The rules of a model, and then its invariants. That numbers are in range is judged of cells, not of states."""
    ground = ground or Ground(t.system)
    found = [Claim(r.rule, r.wrong) for r in t.rules]
    for i in t.system.invariants:
        wrong = [neg(ground.condition(i.term, n)) for n in range(1, t.system.nodes + 1)]
        if (broken := reduce(disj, wrong, FALSE)) is not FALSE:
            found.append(Claim(i.name, broken, auxiliary=True))
    return tuple(found)


def out_of_range(system: System) -> E:
    """That some number is larger than it may be: the search refuses such a move, and a proof must exclude it."""
    over = FALSE
    for i, v in enumerate(system.variables):
        if v.top > 1:
            for n in range(1, system.nodes + 1):
                over = disj(over, E("<", (const(v.top), bits(i, n))))
    return over
