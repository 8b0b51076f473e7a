"""Work for generated functions: judging checks, and computing a number for each element."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sanitree.checker.columns import Place
from sanitree.checker.rowwise.program import Program, Programs, Seen
from sanitree.checker.rowwise.writer import Writer, text
from sanitree.checker.symbolic import FALSE, conj, disj
from sanitree.invariants.rules import Check
from sanitree.invariants.terms import Apply, Moment, Op, Term, Var


def judging(checks: Sequence[Check]) -> Programs:
    """Which of the checks is violated: the result is the place of the first that was found, or None."""

    def write(seen: Seen) -> Program:
        w = Writer(seen)
        for place in dict.fromkeys(_place_of(c) for c in checks):
            if not w.has_table(Moment.AFTER, place):
                continue
            lines = []
            for number, c in enumerate(checks):
                if _place_of(c) == place:
                    wrong = w.meaning.truth(c.term, w.env(c.rule.var, place)).no
                    if wrong != FALSE:
                        lines.append(f"        if {text(wrong)}: return {number}")
            if lines:
                w.body += [f"    for i in range({w.length(Moment.AFTER, place)}):", *lines]
        w.body.append("    return None")
        return w.program()

    return Programs(write)


def tallying(checks: Sequence[Check]) -> Programs:
    """For each check how many elements it was judged of where its condition holds: a list of counts."""

    def write(seen: Seen) -> Program:
        w = Writer(seen)
        w.body.append(f"    found = [0] * {len(checks)}")
        for place in dict.fromkeys(_place_of(c) for c in checks):
            if not w.has_table(Moment.AFTER, place):
                continue
            lines = []
            for number, c in enumerate(checks):
                if _place_of(c) == place:
                    env = w.env(c.rule.var, place)
                    holds = w.meaning.truth(c.term, env)
                    tested = disj(holds.yes, holds.no)
                    for condition in _conditions(c.term):
                        tested = conj(w.meaning.truth(condition, env).yes, tested)
                    if tested != FALSE:
                        lines.append(f"        if {text(tested)}: found[{number}] += 1")
            if lines:
                w.body += [f"    for i in range({w.length(Moment.AFTER, place)}):", *lines]
        w.body.append("    return found")
        return w.program()

    return Programs(write)


def _conditions(term: Term) -> Iterator[Term]:
    """What must be true of an element before a rule says anything of it."""
    while isinstance(term, Apply) and term.op is Op.IMPLIES:
        yield term.args[0]
        term = term.args[1]


def computing(term: Term, var: Var, moment: Moment) -> Programs:
    """A number for every element that a variable may stand for: two lists, of values and of whether they are known."""

    def write(seen: Seen) -> Program:
        w = Writer(seen)
        place: Place = (var.of, None, None)
        found = w.meaning.value(term, w.env(var, place, moment))
        length = w.length(Moment.AFTER, place)
        w.body.append(f"    n = {length}")
        it, known = text(w.number(found.it)), text(found.known)
        w.body.append(f"    return [{it} for i in range(n)], [{known} for i in range(n)]")
        return w.program()

    return Programs(write)


def _place_of(c: Check) -> Place:
    return (c.rule.scope, c.component, c.tier)
