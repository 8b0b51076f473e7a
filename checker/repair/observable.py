"""What is so in every observation, whatever is wrong with a cache: facts of the vocabulary that no rule need say.

A repair that broke one would name a state that nobody can see.
"""

from __future__ import annotations

from typing import Any

from sanitree.invariants.language import Expr, implies
from sanitree.invariants.rules import Family, rule
from sanitree.invariants.vocabulary import DEVICE, HOST, Kind, Sort


@rule(Family.SHAPE, Sort.NODE, per=Kind.ANY, tiers=(DEVICE, HOST))
def no_copy_has_no_slots(n: Any, c: Any, tier: Any) -> Expr:
    """A copy that is not there occupies no slots."""
    return implies(~n[c, tier].present, n[c, tier].tokens == 0)


OBSERVABLE = (no_copy_has_no_slots,)
