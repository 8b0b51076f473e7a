"""Which cells may mend an instance that is violated, where some cells change and all others are as they are."""

from __future__ import annotations

from collections.abc import Sequence

from sanitree.checker.columns import Place
from sanitree.checker.repair import expressions
from sanitree.checker.repair.algebra import Symbols
from sanitree.checker.repair.cells import Cell, Cells
from sanitree.checker.repair.counting import Count, count_of
from sanitree.checker.repair.how import How, Instance, Open
from sanitree.checker.repair.pools import NAMED
from sanitree.checker.repair.reads import is_of_sums, place_of, reads
from sanitree.checker.symbolic import E
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import Key

Sites = frozenset[Cell]
_NUMBERS = (Key("number"), Key("pool_size"))
_MANY = 8
"""Ways from which on it pays to look which of them are alike."""


class Ways:
    """Remembers what instances read."""

    def __init__(self, cells: Cells, how: How) -> None:
        self.cells, self.how = cells, how
        self._whole: dict[tuple[Instance, frozenset[Cell]], tuple[E | None, Sites]] = {}
        self._counts: dict[tuple[Instance, frozenset[Cell]], Count | None] = {}
        self._leading: dict[Instance, frozenset[Cell]] = {}
        self._bad = {(place_of(check), row) for check, row in how.now if check.rule.scope is Sort.SLOT}
        self._numbered = [c for c in how.violated if any(r.key in _NUMBERS for r in reads(c))]
        self._of_number: dict[tuple[Place, int], tuple[bool, ...]] = {}

    def any(self, instance: Instance, sites: Sites) -> Sites:
        """Cells outside `sites` that decide an instance, and perhaps others."""
        return self._read(instance, sites)[1] - sites

    def needed(self, instance: Instance, sites: Sites) -> int:
        """How many cells must change besides, at least, to mend an instance that these changes do not mend."""
        count = self._count(instance, sites)
        return 1 if count is None else max(1, count.needed(sites))

    def of(self, by: Sequence[Instance], sites: Sites, room: int) -> list[Cell]:
        """Cells of which one must change too where some instances forbid the changes so far; the last is to be tried
        first. Of those that are alike, one. room: how many more changes there may be.
        """
        found = frozenset[Cell]().union(*(self._grounds(i, sites) for i in by))
        ways = sorted(found - sites, key=lambda c: c.order, reverse=True)
        if len(ways) > _MANY:
            ways = self._different(ways, sites)
            if self.depends(by):
                ways = self._mending(ways, sites, by[0], room)
        return ways

    def depends(self, by: Sequence[Instance]) -> bool:
        """Whether the ways depend on how many more changes there may be."""
        return len(by) == 1 and is_of_sums(by[0][0])

    def _count(self, instance: Instance, sites: Sites) -> Count | None:
        at = self._at(instance, sites)
        if at not in self._counts:
            self._counts[at] = count_of(self._read(instance, sites)[0], self.cells.value)
        return self._counts[at]

    def _at(self, instance: Instance, sites: Sites) -> tuple[Instance, frozenset[Cell]]:
        """An instance, and cells that change by which it comes to other elements than now."""
        loose = frozenset(c for site in sites for c in self.cells.parts(site) if self.cells.leads(c))
        if loose and (e := self._read(instance, frozenset())[0]) is not None:
            if instance not in self._leading:
                self._leading[instance] = frozenset(expressions.references(e))
            if loose.isdisjoint(self._leading[instance]):
                return instance, frozenset()
        return instance, loose

    def _read(self, instance: Instance, sites: Sites) -> tuple[E | None, Sites]:
        """When an instance is violated, as an expression over all cells that it comes to, and these."""
        at = self._at(instance, sites)
        if at not in self._whole:
            check, row = instance
            (e,) = Symbols(self.cells, None, loose=at[1]).violated(check, [row])
            known = e if isinstance(e, E) else None
            self._whole[at] = known, frozenset(c.site for c in expressions.cells(*filter(None, [known])))
        return self._whole[at]

    def _grounds(self, instance: Instance, sites: Sites) -> Sites:
        e, _ = self._read(instance, sites)
        if e is None:
            return frozenset()
        o = self.how.opened(sites)
        values: dict[Cell, int | None] = {c: self.cells.value(c) for c in expressions.cells(e)}
        values |= dict.fromkeys(o.numbers) | dict(o.flags)
        return frozenset(c.site for c in expressions.grounds(e, values))

    def _different(self, ways: list[Cell], sites: Sites) -> list[Cell]:
        """One cell of those of slots that are alike in everything but their number: what one can do, all can."""
        changed = {(c.place, c.row) for c in sites}
        seen = set()
        found = []
        for c in ways[::-1]:
            if c.place[0] is Sort.SLOT and (c.place, c.row) not in changed:
                columns = self.cells.pool(c.place).columns.values()
                at = c.place, c.key, tuple(x[c.row] for x in columns), self._number(c.place, c.row)
                if at in seen:
                    continue
                seen.add(at)
            found.append(c)
        return found[::-1]

    def _number(self, place: Place, row: int) -> tuple[bool, ...]:
        """What rules about numbers say of a slot: of one that nobody names, if somebody did."""
        if row < self.cells.pool(place).named:
            return ((place, row) in self._bad,)
        if (place, row) not in self._of_number:
            named = Symbols(self.cells, values={Cell(place, row, Key("free")): 1})
            found = (check for check in self._numbered if place_of(check) == place)
            self._of_number[place, row] = tuple(bool(named.violated(check, [row])[0]) for check in found)
        return self._of_number[place, row]

    def _mending(self, ways: list[Cell], sites: Sites, instance: Instance, room: int) -> list[Cell]:
        """Those after which an instance about sums can be mended in the room that is left. Cells of elements of which
        it reads the same matter to it alike.
        """
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
                more = sites | {c}
                known[like] = self._can(instance, more, room - 1)
            if known[like]:
                found.append(c)
        return found

    def _can(self, instance: Instance, sites: Sites, room: int) -> bool:
        count = self._count(instance, sites)
        if count is not None and count.needed(sites) > room:
            return False
        return room > 0 or self.how.mends(self.how.opened(sites), instance)

    def mended(self, instance: Instance, o: Open) -> bool:
        """Whether an instance need not be violated any more."""
        count = self._count(instance, o.sites)
        return (count is None or not count.needed(o.sites)) and self.how.mends(o, instance)
