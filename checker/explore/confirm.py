"""What a search found, done again without it before anybody sees it; and a trace from a file, done again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sanitree.checker.explore import concrete
from sanitree.checker.explore.concrete import NotARunError
from sanitree.checker.explore.configured import ConfigurationError, Model, model
from sanitree.checker.explore.evaluate import evaluate
from sanitree.checker.explore.ranks import RULES, Disagreement
from sanitree.checker.explore.results import Trace, Values
from sanitree.checker.explore.results import Violation as Found
from sanitree.checker.explore.tracefile import ModelTrace, Step
from sanitree.checker.explore.transitions import Move
from sanitree.checker.replay import Answer
from sanitree.checker.report import Violation


class MismatchError(Exception):
    """The search and the model as it reads disagree: a mistake of ours, and no finding."""


Wrong = tuple[Violation, ...] | tuple[Disagreement, ...]
"""How a state violates a rule: elements of one cache, or what ranks have of their own."""


def confirmed(m: Model, found: Found) -> Wrong:
    """How the last state of a run violates its rule, judged on columns; a rule about ranks, where each has its own.
    Raises MismatchError unless all of it is so."""
    rerun(m, found.trace)
    last = found.trace.states[-1]
    rule = next(r for r in m.transitions.rules if r.rule == found.rule)
    if not evaluate(rule.wrong, last):
        raise MismatchError(f"the search says that {found.rule} is violated, and its expression that it is not")
    wrong = wrong_in(m, found.rule, last)
    if not wrong:
        raise MismatchError(f"the search says that {found.rule} is violated, and what is seen that it is not")
    return wrong


def wrong_in(m: Model, rule: str, state: Values) -> Wrong:
    """How a state violates a rule, by the name of its check; nothing where it holds."""
    if m.ranks is None or rule not in RULES:
        return m.violations(rule, state)
    found = m.ranks.disagreement(rule, state)
    return () if found is None else (found,)


def rerun(m: Model, trace: Trace) -> None:
    """Raises MismatchError unless the moves lead through the very states of a trace."""
    try:
        states = concrete.run(m.transitions, trace.moves)
    except NotARunError as error:
        raise MismatchError(f"in the trace that was found, {error}") from None
    for step, (mine, its) in enumerate(zip(states, trace.states, strict=True)):
        if dict(mine) != dict(its):
            raise MismatchError(f"the state after move {step} of the trace that was found is another")


@dataclass(frozen=True, slots=True, eq=False)
class Again:
    """What came of a model trace. moves, states: as far as it could be done; violations: of the rule, at its end."""

    answer: Answer
    reason: str
    model: Model | None = None
    moves: tuple[Move, ...] = ()
    states: tuple[Values, ...] = ()
    violations: Wrong = ()


def replay(trace: ModelTrace) -> Again:
    """Does a trace on the model that it names."""
    try:
        m = model(trace.configuration)
    except ConfigurationError as error:
        return Again(Answer.CANNOT_RUN, f"{error}{'; ' + error.hint if error.hint else ''}")
    actions = {a.name for a in m.system.actions}
    strange = next((s.action for s in trace.moves if s.action not in actions), None)
    if strange is not None:
        return Again(Answer.CANNOT_RUN, f"the model {m.system.name} has no action {strange!r}", m)
    names = [(s.action, s.node) for s in trace.moves]
    moves, states, why = _as_far_as_it_goes(m, names)
    if why:
        return Again(Answer.GONE, why, m, moves, states)
    if trace.kind != "rule":
        why = f"every move can be made; that {trace.name} is out of reach from there takes a search: sanitree explore"
        return Again(Answer.CANNOT_RUN, why, m, moves, states)
    if trace.name not in {r.rule for r in m.transitions.rules}:
        return Again(Answer.CANNOT_RUN, f"the model {m.system.name} is not judged by {trace.name!r}", m)
    violations = wrong_in(m, trace.name, states[-1])
    if violations:
        return Again(Answer.REPRODUCED, f"{trace.name} is violated again", m, moves, states, violations)
    return Again(Answer.GONE, f"every move can be made, and {trace.name} holds at the end", m, moves, states)


def _as_far_as_it_goes(m: Model, names: Sequence[tuple[str, int]]) -> tuple[tuple[Move, ...], tuple[Values, ...], str]:
    """The moves that can be made, the states that they lead through, and why no more can."""
    left, why = names, ""
    while True:
        try:
            moves = concrete.named(m.transitions, left)
            return moves, concrete.run(m.transitions, moves), why
        except NotARunError as error:
            left, why = left[: error.step], str(error)


def said(step: Step | Move) -> str:
    """A move in a few words."""
    name = step.action if isinstance(step, Step) else step.action.name
    return f"{name} of node {step.node}"


def steps_of(moves: tuple[Move, ...]) -> tuple[Step, ...]:
    """Moves by their names, as a file has them."""
    return tuple(Step(m.action.name, m.node) for m in moves)


def plain_again(a: Again) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "answer": a.answer.value, "reason": a.reason, "on": "the model", "done": len(a.moves),
        "moves": [{"action": m.action.name, "node": m.node} for m in a.moves],
        "violations": [
            {"rule": v.rule.id, "check": v.rule.id, "element": None, "prose": v.rule.prose}
            if isinstance(v, Disagreement) else
            {"rule": v.rule.id, "check": v.check.name, "element": v.element, "prose": v.rule.prose}
            for v in a.violations
        ],
    }  # fmt: skip
