"""Which cells may mend an instance that is violated, where some cells change and all others are as they are."""

from __future__ import annotations

from collections.abc import Iterable

from sanitree.checker.columns import Place
from sanitree.checker.repair import parts
from sanitree.checker.repair.algebra import Symbols, is_of_sums
from sanitree.checker.repair.cells import Cell, Cells
from sanitree.checker.repair.how import How, Instance
from sanitree.checker.repair.pools import NAMED
from sanitree.checker.repair.reads import reads
from sanitree.checker.symbolic import E
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import Key

Sites = frozenset[Cell]
_MANY = 64
"""Ways from which on it pays to look which of them are alike."""


class Ways:
    """Remembers what instances read."""

    def __init__(self, cells: Cells, how: How) -> None:
        self.cells, self.how = cells, how
        self._whole: dict[tuple[Instance, frozenset[Cell]], tuple[E | None, Sites]] = {}
        self._bad = {(check.component, check.tier, row) for check, row in how.now if check.rule.scope is Sort.SLOT}

    def any(self, instance: Instance, sites: Sites) -> Sites:
        """Cells outside `sites` that decide an instance, and perhaps others."""
        return self._read(instance, sites)[1] - sites

    def of(self, by: Iterable[Instance], sites: Sites, last: bool) -> list[Cell]:
        """Cells of which one must change too where some instances forbid the changes so far; the last is to be tried
        first. Of those that are alike, one. last: whether there may be one more change only.
        """
        found: set[Cell] = set()
        barring = list(by)
        for i in barring:
            found |= self._grounds(i, sites)
        ways = sorted(found - sites, key=lambda c: c.order, reverse=True)
        if len(ways) > _MANY:
            ways = self._different(ways, sites)
            if last and len(barring) == 1 and is_of_sums(barring[0][0]):
                ways = self._mending(ways, sites, barring[0])
        return ways

    def _read(self, instance: Instance, sites: Sites) -> tuple[E | None, Sites]:
        """When an instance is violated, as an expression over all cells that it comes to, and these."""
        loose = frozenset(c for site in sites for c in self.cells.parts(site) if self.cells.leads(c))
        at = instance, loose
        if at not in self._whole:
            check, row = instance
            (e,) = Symbols(self.cells, None, loose=loose).violated(check, [row])
            ends = parts.leaves([e]) if isinstance(e, E) else ()
            cells = frozenset(x.args[0].site for x in ends if x.op == "cell")
            self._whole[at] = (e if isinstance(e, E) else None), cells
        return self._whole[at]

    def _grounds(self, instance: Instance, sites: Sites) -> Sites:
        e, _ = self._read(instance, sites)
        if e is None:
            return frozenset()
        o = self.how.opened(sites)
        ends = [x.args[0] for x in parts.leaves([e]) if x.op == "cell"]
        values: dict[Cell, int | None] = {c: self.cells.value(c) for c in ends}
        values |= dict.fromkeys(o.numbers) | dict(o.flags)
        return frozenset(c.site for c in parts.grounds(e, values))

    def _different(self, ways: list[Cell], sites: Sites) -> list[Cell]:
        """One cell of those of slots that are alike in everything but their number: what one can do, all can."""
        changed = {(c.place, c.row) for c in sites}
        seen = set()
        found = []
        for c in ways:
            if c.place[0] is Sort.SLOT and (c.place, c.row) not in changed:
                pool = self.cells.pool(c.place)
                if c.row < pool.named:
                    like = tuple(column[c.row] for column in pool.columns.values())
                    at = c.place, c.key, like, (*c.place[1:], c.row) in self._bad
                    if at in seen:
                        continue
                    seen.add(at)
            found.append(c)
        return found

    def _mending(self, ways: list[Cell], sites: Sites, instance: Instance) -> list[Cell]:
        """Those that mend an instance about sums. Cells of elements of which it reads the same matter to it alike."""
        keys: dict[Place, set[Key]] = {}
        for r in reads(instance[0]):
            keys.setdefault(r.place, set()).update([Key(n) for n in NAMED] if r.key is None else [r.key])
        changed = {(c.place, c.row) for c in sites}
        known: dict[object, bool] = {}
        found = []
        for c in ways:
            columns = (self.cells.column(c.place, key) for key in keys.get(c.place, ()))
            values = tuple(x.values[c.row] for x in columns if x is not None)
            like = c.place, c.key, values, c.row if (c.place, c.row) in changed else None
            if like not in known:
                known[like] = self.how.mends(self.how.opened(sites | {c}), instance)
            if known[like]:
                found.append(c)
        return found
