"""Runs of the model to be performed: from what the explorer found, at random, and as data for another process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

from sanitree.checker.explore.concrete import first, run
from sanitree.checker.explore.evaluate import after, evaluate, successors
from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import Move, Transitions
from sanitree.checker.perform.perform import Run
from sanitree.checker.symbolic import FALSE
from sanitree.models.snapshot import Key


def run_of(t: Transitions, moves: Iterable[Move], fault: str | None = None) -> Run:
    """The run of these moves. Raises NotARunError."""
    chosen = tuple(moves)
    keys = [v.key for v in t.system.variables]
    states = tuple({(keys[i], node): n for (i, node), n in state.items()} for state in run(t, chosen))
    return Run(t.system.parents, tuple((m.action.name, m.node) for m in chosen), states, fault)


def with_backups(t: Transitions, moves: Iterable[Move]) -> tuple[Move, ...]:
    """Moves, and then every backup that can be made. Raises NotARunError."""
    chosen = [*moves]
    state = run(t, chosen)[-1]
    backups = [m for m in t.moves if m.action.name == "submit_write"]
    while (due := next(((m, new) for m in backups if (new := after(m, state)) is not None), None)) is not None:
        chosen.append(due[0])
        state = due[1]
    return tuple(chosen)


def to_what_is_wrong(t: Transitions, moves: Iterable[Move], rule: str) -> tuple[Move, ...]:
    """Moves that lead to where a rule is violated, by its name, with the backups that a cache makes in the same call if
    it is violated after them too. Raises NotARunError."""
    chosen = tuple(moves)
    longer = with_backups(t, chosen)
    wrong = next((r.wrong for r in t.rules if r.rule == rule), FALSE)
    return longer if evaluate(wrong, run(t, longer)[-1]) else chosen


def walk(t: Transitions, rng: Random, length: int) -> Run:
    """A run of so many moves, each any that can be made, and the backups that are due then; shorter where none can."""
    state: Values = first(t)
    chosen: list[Move] = []
    while len(chosen) < length and (able := list(successors(t, state))):
        name = rng.choice(sorted({m.action.name for m, _ in able}))  # else there would be little but what many pages do
        move, state = rng.choice([x for x in able if x[0].action.name == name])
        chosen.append(move)
    return run_of(t, with_backups(t, chosen))


def plain(r: Run) -> dict[str, Any]:
    """As JSON has it."""
    states = [[[list(key), node, n] for (key, node), n in state.items() if n] for state in r.states]
    return {"parents": r.parents, "moves": r.moves, "states": states, "fault": r.fault}


def of_plain(told: Mapping[str, Any]) -> Run:
    """The run that `plain` has told of."""
    states = tuple({(Key(*key), node): n for key, node, n in state} for state in told["states"])
    return Run(tuple(told["parents"]), tuple((a, n) for a, n in told["moves"]), states, told["fault"])
