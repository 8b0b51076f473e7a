"""What a model promises can always still be done, as the search takes it."""

from __future__ import annotations

from sanitree.checker.explore.ground import Ground
from sanitree.checker.explore.results import Progress
from sanitree.checker.explore.transitions import Transitions


def promised(t: Transitions) -> tuple[Progress, ...]:
    """The promises of a model. One that needs no more than actions which the model lacks can use none."""
    ground = Ground(t.system)
    return tuple(
        Progress(
            p.name,
            ground.condition(p.source, 0),
            ground.condition(p.goal, 0),
            frozenset(i for i, m in enumerate(t.moves) if m.action.name in p.actions) if p.actions else None,
        )
        for p in t.system.promises
    )
