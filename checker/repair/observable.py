"""What is so in every observation, whatever is wrong with a cache: facts of the vocabulary that no rule need say.

A repair that broke one would name a state that nobody can see.
"""

from __future__ import annotations

from sanitree.invariants.language import Element, Expr, implies
from sanitree.invariants.rules import Family, rule
from sanitree.invariants.vocabulary import DEVICE, HOST, Kind, Sort


@rule(Family.SHAPE, Sort.NODE, per=Kind.ANY, tiers=(DEVICE, HOST))
def no_copy_has_no_slots(n: Element, c: Element, tier: Element) -> Expr:
    """A copy that is not there occupies no slots."""
    return implies(~n[c, tier].present, n[c, tier].tokens == 0)


OBSERVABLE = (no_copy_has_no_slots,)
