"""What a cache keeps although it follows from the rest (leaf sets, LRU lists, counters), and how it came to be wrong.

The tree itself is legal then. Either the books are kept by a wrong definition, one that does not ask for a
condition: then it gives just what was seen, everywhere. Or something happened, and they were not brought up
to date: then what was seen is right of the tree before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sanitree.checker.blame.causes import conjuncts
from sanitree.checker.explore.ground import UnsaidError
from sanitree.checker.findings import Finding
from sanitree.checker.report import Report
from sanitree.checker.symbolic import E, const
from sanitree.invariants.rules import Check
from sanitree.invariants.sentences import sentence
from sanitree.invariants.terms import TRUE, Apply, Gather, Get, Op, Term, make, walk
from sanitree.invariants.vocabulary import Sort
from sanitree.models.protocol.pages.abstraction import Abstraction
from sanitree.models.snapshot import Key, Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Misdefined:
    """Books that are as they should be, but for a condition that is not asked for. field, condition: in words.

    otherwise: places where, without the condition, what was seen would be wrong and is not: 0 explains it all.
    """

    check: Check
    field: str
    condition: str
    otherwise: int


def misdefined(report: Report) -> Iterator[Misdefined]:
    """Of each violated definition: a condition without which it gives what was seen, wherever it is violated."""
    for f in report.findings:
        if not f.violated:
            continue
        for field, condition, term in _variants(f.check.term):
            other = report.evaluator.judge(replace(f.check, term=term))
            if set(f.violated).isdisjoint(other.violated) and other.checked >= f.checked:
                yield Misdefined(f.check, sentence(field), condition, len(other.violated))


def _variants(term: Term) -> Iterator[tuple[Term, str, Term]]:
    """A field, a condition of its definition in words, and the rule without that condition."""
    if not isinstance(term, Apply) or term.op not in (Op.IFF, Op.EQ):
        return
    for field, definition in (term.args, term.args[::-1]):
        if not isinstance(field, Get):
            continue
        for condition, left in _without_one(definition):
            yield field, condition, make(Apply, term.op, (field, left))


def _without_one(definition: Term) -> Iterator[tuple[str, Term]]:
    if isinstance(definition, Gather):
        for condition, where in _fewer(definition.where):
            yield condition, replaced(definition, where)
    elif isinstance(definition, Apply) and definition.op is Op.AND:
        yield from _fewer(definition)


def _fewer(condition: Term) -> Iterator[tuple[str, Term]]:
    """Without one condition, or without those that ask for one field, of whichever component."""
    parts = [p for p in conjuncts(condition) if p is not TRUE]
    groups = {(p,): None for p in parts} | {tuple(p for p in parts if _asks(p) == _asks(q)): None for q in parts}
    for group in groups:
        left = tuple(p for p in parts if p not in group)
        said = " and ".join(map(sentence, group))
        yield said, TRUE if not left else left[0] if len(left) == 1 else make(Apply, Op.AND, left)


def _asks(condition: Term) -> frozenset[str]:
    return frozenset(t.field.name for t in walk(condition) if isinstance(t, Get))


def replaced(g: Gather, where: Term) -> Gather:
    """A fold over other elements."""
    return make(Gather, g.fold, g.over, g.var, where, g.body, g.parent, g.pool)


# Not brought up to date.


def of_pages(f: Finding, a: Abstraction, judged: Sequence[tuple[E, E]], s: Snapshot) -> list[E]:
    """That a check holds of each node where it is violated, with what the model does not keep as it was seen.

    judged: for each page, that it is there and that the check holds of it. Raises UnsaidError where something was
    not seen.
    """
    found = []
    for row in f.violated:
        if row in a.pages_of:
            found.append(_seen(judged[a.pages_of[row][-1]][1], a, s))
    if not found:
        raise UnsaidError("none of it is shown")
    return found


def _seen(e: E, a: Abstraction, s: Snapshot) -> E:
    """An expression with what was seen in the place of what the model has no words for."""
    if e.op == "unknown":
        group, key, page = e.args
        row = 0 if page == 0 else a.row_of.get(page)
        column = s.nodes.columns.get(key) if group is Sort.NODE else None
        if row is None or column is None or (column.mask is not None and not column.mask[row]):
            raise UnsaidError(f"{key} was not seen")
        value = column.listed[row]
        return const(bool(value)) if isinstance(value, bool) else const(int(value))
    if e.op in ("const", "bits"):
        return e
    return E(e.op, tuple(_seen(x, a, s) if isinstance(x, E) else x for x in e.args))


def fields_beside(check: Check, kept: Sequence[Key]) -> tuple[str, ...]:
    """The fields of nodes that a check mentions and a model does not keep, in words."""
    names = {k.name for k in kept}
    found = (t for t in walk(check.term) if isinstance(t, Get) and t.field.owner is Sort.NODE)
    return tuple(dict.fromkeys(sentence(t) for t in found if t.field.name not in names and t.field.name not in _KNOWN))


_KNOWN = ("is_root", "parent")
