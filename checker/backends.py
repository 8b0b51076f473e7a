"""Which backend can take which rule.

A backend that cannot say a part of a rule cannot take the rule at all: half a rule
is another rule.
"""

from __future__ import annotations

from sanitree.invariants.rules import Rule
from sanitree.invariants.terms import Gather, Range, walk
from sanitree.invariants.vocabulary import Sort

FUSED, COLUMNS = "fused", "columns"
BACKENDS: tuple[str, ...] = (FUSED, COLUMNS)


def needs_slots(rule: Rule) -> bool:
    """Whether the rule speaks of slots, for which only columns have a table."""
    return rule.scope is Sort.SLOT or any(isinstance(t, Gather) and t.over is Range.SLOTS for t in walk(rule.term))


def backends_of(rule: Rule) -> frozenset[str]:
    """The backends that can judge `rule`."""
    return frozenset({COLUMNS}) if needs_slots(rule) else frozenset(BACKENDS)
