"""For each rule, the states that put it to the test: a rule that holds because nothing ever does is worth nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from sanitree.checker.explore.ground import Ground
from sanitree.checker.explore.results import Goal
from sanitree.checker.explore.transitions import Transitions
from sanitree.checker.symbolic import FALSE, conj, disj
from sanitree.invariants.rules import Check, checks
from sanitree.invariants.terms import TRUE, Apply, Op, Term, make
from sanitree.invariants.vocabulary import Settings, Sort


def witnesses(t: Transitions, judged: Settings) -> tuple[Goal, ...]:
    """A goal of each rule's name: some element that it is about is there, and what it supposes is true of it.

    A rule about nodes that supposes nothing is put to the test by any node but the root.
    """
    ground = Ground(replace(t.system, settings=judged))
    said = {r.rule for r in t.rules}
    return tuple(_witness(ground, c) for c in checks(t.system.rules, judged) if c.name in said)


def _witness(ground: Ground, c: Check) -> Goal:
    supposed = _supposed(c.term)
    elements = ground.judged(replace(c, term=supposed))
    if supposed is TRUE and c.rule.scope is Sort.NODE:
        elements = elements[1:]
    return Goal(c.name, reduce(disj, (conj(there, met) for there, met in elements), FALSE))


def _supposed(term: Term) -> Term:
    if isinstance(term, Apply) and term.op is Op.IMPLIES:
        more = _supposed(term.args[1])
        return term.args[0] if more is TRUE else make(Apply, Op.AND, (term.args[0], more))
    return TRUE
