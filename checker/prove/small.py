"""Small trees, on which is seen what does not follow from the claims: so that z3 is not asked in vain whether it does
on trees of any size. A question that it cannot answer takes ten times as long as one that it can."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import reduce

from sanitree.checker.explore.ground import Ground
from sanitree.checker.prove.bounded import Induction
from sanitree.checker.symbolic import FALSE, E, compared, conj, const, disj, neg
from sanitree.invariants.terms import Op, Term
from sanitree.models.snapshot import Key


class Small:
    """Some small trees of a model."""

    def __init__(self, trees: Sequence[Induction]) -> None:
        self.trees = trees
        self._grounds = [Ground(i.system) for i in trees]

    def steps(self, key: Key, value: int, line: Term) -> bool:
        """Whether somewhere a page that is there, joined by a line to the one above, has this number and that one has
        another, every claim being true."""
        return any(
            self._steps(i, ground, key, value, line) for i, ground in zip(self.trees, self._grounds, strict=True)
        )

    @staticmethod
    def _steps(i: Induction, ground: Ground, key: Key, value: int, line: Term) -> bool:
        place = {v.key: n for n, v in enumerate(i.system.variables)}
        for page, above in enumerate(i.system.parents, 1):
            if not above:
                continue
            there = reduce(disj, (neg(_is(place[k], page, 0)) for k in i.system.exists), FALSE)
            apart = conj(_is(place[key], page, value), neg(_is(place[key], above, value)))
            if i.open(conj(conj(there, ground.condition(line, page)), apart)):
                return True
        return False

    def without(self, rule: str, others: Collection[str]) -> bool:
        """Whether somewhere a rule is violated, every claim being true but some."""
        return any(i.open(c.wrong, others) for i in self.trees for c in i.claims if c.name == rule)


def _is(place: int, page: int, value: int) -> E:
    return compared(Op.EQ, E("bits", (place, page)), const(value))
