"""How many changes a count needs at least: where too few elements count, each change makes up for so many of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sanitree.checker.repair import expressions
from sanitree.checker.repair.cells import Cell
from sanitree.checker.symbolic import E, const


@dataclass(frozen=True, slots=True)
class Count:
    """That so many of some elements count. short: how many too few do now. now: which do. told_by: for each cell the
    elements to which it matters. most: to how many one cell matters.
    """

    short: int
    now: tuple[bool, ...]
    told_by: dict[Cell, tuple[int, ...]]
    most: int

    def needed(self, sites: Collection[Cell]) -> int:
        """Changes that are missing at least where these cells change already."""
        touched = {i for site in sites for i in self.told_by.get(site, ())}
        count = sum(self.now[i] for i in touched)
        fewer, more = self.short - (len(touched) - count), self.short + count
        return -(-max(fewer, -more, 0) // self.most)


def count_of(wrong: E | None, value: Callable[[Cell], int]) -> Count | None:
    """The count that an instance demands, which is violated where `wrong` is true; None where it demands another thing,
    or where that many is itself a cell.
    """
    if wrong is None or wrong.op != "not" or wrong.args[0].op != "=":
        return None
    a, b = wrong.args[0].args
    whole, wanted = (a, b) if a.op == "sum" else (b, a)
    if whole.op != "sum" or wanted.op != "const":
        return None
    conditions = [x.args[0] for x in whole.args if x.op == "if" and x.args[1:] == _ONE]
    fixed = [x.args[0] for x in whole.args if x.op == "const"]
    if len(conditions) + len(fixed) < len(whole.args):
        return None
    told_by: dict[Cell, list[int]] = {}
    cells: dict[Cell, int] = {}
    for i, c in enumerate(conditions):
        own = list(expressions.cells(c))
        cells |= {cell: value(cell) for cell in own}
        for site in {cell.site for cell in own}:
            told_by.setdefault(site, []).append(i)
    known = expressions.values_of(whole, cells)
    now = tuple(bool(known[c]) for c in conditions)
    most = max(map(len, told_by.values()), default=1)
    short = wanted.args[0] - sum(fixed) - sum(now)
    return Count(short, now, {site: tuple(at) for site, at in told_by.items()}, most)


_ONE = (const(1), const(0))
