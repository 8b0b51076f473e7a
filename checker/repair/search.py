"""The search for the smallest repairs.

Two questions in turn. *Where*: of a set of instances of checks that grows, z3 is asked for the fewest cells whose
change can satisfy them. They are a part of all instances, so no repair has fewer. *How*: with only these cells open,
every instance that depends on them is looked at; either there are values, which columns then judge, or the instances
that forbid any join the set. So the set stays small, and what is found is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sanitree.checker.explore.confirm import MismatchError
from sanitree.checker.repair.algebra import Symbols
from sanitree.checker.repair.cells import Cell, Cells
from sanitree.checker.repair.clock import Clock
from sanitree.checker.repair.how import Forbidden, How, is_counted
from sanitree.checker.repair.observable import OBSERVABLE
from sanitree.checker.repair.reads import place_of
from sanitree.checker.repair.results import Change, Ending, Outcome, Repair
from sanitree.checker.repair.where import Where
from sanitree.checker.report import Report, check
from sanitree.invariants.rules import Check, Rule, checks
from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.snapshot import Snapshot

SECONDS = 60.0
"""For a whole search, unless somebody says otherwise."""
LIMIT = 5
"""Repairs that are looked for, unless somebody says otherwise."""
_SPARE = 16
"""Slots of a pool that nobody names and that a repair may use, to begin with: as many as there are changes will do,
because they are all alike."""

Told = Callable[[str], None]


def repair(
    snapshot: Snapshot, rules: Iterable[Rule] | None = None, seconds: float = SECONDS, limit: int | None = LIMIT,
    told: Told = lambda _: None,
) -> Outcome:  # fmt: skip
    """The smallest repairs of a snapshot, at most `limit`; all where None. Raises MismatchError where columns do not
    agree with what the solver found, which is a bug.
    """
    chosen = None if rules is None else tuple(rules)
    clock = Clock(seconds)
    before = check(snapshot, chosen, told)
    if not any(f.violated for f in before.findings):
        return Outcome(before, (), Ending.NOTHING, 0, clock.spent)
    return _Search(before, chosen, clock, limit, told).run()


class _Search:
    def __init__(
        self, before: Report, rules: Sequence[Rule] | None, clock: Clock, limit: int | None, told: Told
    ) -> None:
        self.before, self.rules, self.clock, self.limit, self.told = before, rules, clock, limit, told
        self.violated = {f.check: f.violated for f in before.findings}
        judge = before.evaluator.judge
        for one in checks(OBSERVABLE, before.snapshot.settings):
            if not judge(one).violated:  # what was written by hand may be no observation
                self.violated[one] = ()
        self.found: list[Repair] = []
        self.size = 1
        self._open(_SPARE)
        for one, rows in self.violated.items():
            self.where.add(one, rows)

    def _open(self, spare: int) -> None:
        self.cells = Cells(self.before.snapshot, spare)
        self.where = Where(self.cells, self.clock)
        self.how = How(self.cells, self.violated, self.clock)

    def run(self) -> Outcome:
        self.told("counting what must change at least")
        self.size = max(1, self.where.disjoint() or 0)
        while True:
            self.told(f"asking what {self.size} changes can do, of {len(self.where.said)} instances")
            sites = self.where.fewest(self.size)
            if sites is None:
                return self._end(Ending.TIME, f"whether {self._changes()} can do")
            if not sites:
                if self.found:
                    return self._end(Ending.ALL)
                if (possible := self.where.possible()) is None:
                    return self._end(Ending.TIME, "whether any changes can do")
                if not possible:
                    names = tuple(c.name for c in self.where.conflict())
                    return self._end(Ending.NONE, conflict=names)
                self._larger()
                continue
            values = self.how.values(sites)
            if values is None:
                return self._end(Ending.TIME, f"how {self._changes()} can do")
            if isinstance(values, Forbidden):
                self._learn(sites, values)
                continue
            if self.limit is not None and len(self.found) == self.limit:
                return self._end(Ending.LIMIT)
            self.found.append(self._confirmed(values))
            self.where.without(sites)

    def _changes(self) -> str:
        return f"{self.size} change" + ("" if self.size == 1 else "s")

    def _larger(self) -> None:
        self.size += 1
        if self.size > self.cells.spare:
            said = self.where.said
            self._open(4 * self.cells.spare)
            for one, row in said:
                self.where.add(one, [row])

    def _learn(self, sites: Iterable[Cell], why: Forbidden) -> None:
        """Lets the instances hold that forbid a change, and those that forbid the same change of other elements."""
        # One that reads the whole tree is told of only where nothing smaller forbids the change.
        small = [i for i in why.alone if i[0].rule.scope is not Sort.TREE]
        for one, row in (*(small or why.alone), *why.together):
            self.where.add(one, [row, *self._alike(one, sites)])

    def _alike(self, one: Check, sites: Iterable[Cell]) -> list[int]:
        place = place_of(one)
        rows = {
            (place, c.key): self.where.rows.get((place, c.key), set())
            for site in sites if site.place == place for c in self.cells.parts(site)
        }  # fmt: skip
        wanted = sorted(set().union(*rows.values())) if rows else []
        if not wanted:
            return []
        wrong = Symbols(self.cells, rows).violated(one, wanted)
        return [row for row, e in zip(wanted, wrong, strict=True) if e is not False]

    def _confirmed(self, changes: tuple[Change, ...]) -> Repair:
        after = self.cells.after({c.cell: c.new for c in changes})
        judged = check(after, self.rules)
        if wrong := [f.check.name for f in judged.findings if f.violated]:
            raise MismatchError(f"columns find {wrong[0]} violated after it")
        return Repair(changes, after)

    def _end(self, ending: Ending, unknown: str = "", conflict: tuple[str, ...] = ()) -> Outcome:
        found = tuple(sorted(self.found, key=_rank))
        return Outcome(self.before, found, ending, self.size, self.clock.spent, unknown, conflict)


def _rank(r: Repair) -> tuple[object, ...]:
    """Repairs of a size in an order that does not depend on the solver: the smallest change of values first."""
    far = sum(abs(c.new - c.old) for c in r.changes if is_counted(c.cell))
    where = [(_SORTS.index(c.cell.place[0]), str(c.cell.place), c.cell.row, _FIELDS.get(_at(c), 0)) for c in r.changes]
    return far, where


def _at(c: Change) -> tuple[Sort, str]:
    return c.cell.place[0], c.cell.key.name


_SORTS = (Sort.TREE, Sort.NODE, Sort.TRANSFER, Sort.REQUEST, Sort.SLOT)
_FIELDS = {at: i for i, at in enumerate(FIELDS)}
