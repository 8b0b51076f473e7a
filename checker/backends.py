"""Which backend can take which rule.

A backend that cannot say a part of a rule cannot take the rule at all: half a rule
is another rule.
"""

from __future__ import annotations

from sanitree.invariants.rules import Cost, Rule
from sanitree.invariants.terms import Gather, Get, PathSum, Range, walk
from sanitree.invariants.vocabulary import Sort

FUSED, COLUMNS = "fused", "columns"
BACKENDS: tuple[str, ...] = (FUSED, COLUMNS)


def needs_slots(rule: Rule) -> bool:
    """Whether the rule speaks of slots, for which only columns have a table."""
    return rule.scope is Sort.SLOT or any(isinstance(t, Gather) and t.over is Range.SLOTS for t in walk(rule.term))


def in_one_pass(rule: Rule) -> bool:
    """Whether one walk can judge the rule: what it gathers is complete before it is asked for.

    A fold over all nodes is complete after the walk, one over transfers or requests
    before it, one over children after the loop over them. An edge is known only where
    its child is met.
    """
    folds = [t for t in walk(rule.term) if isinstance(t, Gather)]
    if rule.scope is Sort.NODE and any(f.over is Range.NODES for f in folds):
        return False
    for outer in folds:
        inside = [t for part in (outer.where, outer.body) for t in walk(part) if isinstance(t, Gather | PathSum)]
        if outer.over is Range.CHILDREN and any(isinstance(t, Gather) for t in inside):
            return False
        if outer.over in (Range.TRANSFERS, Range.REQUESTS) and inside:
            return False
        if outer.over is Range.NODES and any(isinstance(t, PathSum) or t.over is not Range.CHILDREN for t in inside):
            return False
    edges = [t for t in walk(rule.term) if isinstance(t, Get) and t.field.name == "edge"]
    return not edges or (not folds and all(e.of is rule.var for e in edges))


def backends_of(rule: Rule) -> frozenset[str]:
    """The backends that can judge `rule`."""
    fused = not (rule.on or rule.cost is Cost.BYTES or needs_slots(rule)) and in_one_pass(rule)
    return frozenset(BACKENDS) if fused else frozenset({COLUMNS})
