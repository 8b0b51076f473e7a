"""The search for the smallest repairs: a tree of sets of cells that change, by their number.

Where a set does not do, some instances of checks forbid it, and every repair with these cells changes another cell
that the instances read: so these are the ways to go on. Instances that read no cell in common need one change each,
which tells how many are missing at least. So no set is left out that could be a repair, and the first number of
changes that any set will do with is the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sanitree.checker.explore.confirm import MismatchError
from sanitree.checker.repair import parts
from sanitree.checker.repair.algebra import Symbols
from sanitree.checker.repair.cells import Cell, Cells
from sanitree.checker.repair.clock import Clock
from sanitree.checker.repair.how import Forbidden, How, Instance, OutOfTimeError, is_counted, names
from sanitree.checker.repair.observable import OBSERVABLE
from sanitree.checker.repair.results import Change, Ending, Outcome, Repair
from sanitree.checker.report import Report, check
from sanitree.checker.symbolic import E
from sanitree.invariants.rules import Rule, checks
from sanitree.invariants.vocabulary import FIELDS
from sanitree.models.snapshot import Snapshot

SECONDS = 60.0
"""For a whole search, unless somebody says otherwise."""
LIMIT = 5
"""Repairs that are looked for, unless somebody says otherwise."""
_SPARE = 16
"""Slots of a pool that nobody names and that a repair may use, to begin with: as many as there are changes will do,
because they are all alike."""

Told = Callable[[str], None]
Sites = frozenset[Cell]


def repair(
    snapshot: Snapshot, rules: Iterable[Rule] | None = None, seconds: float = SECONDS, limit: int | None = LIMIT,
    told: Told = lambda _: None,
) -> Outcome:  # fmt: skip
    """The smallest repairs of a snapshot, at most `limit`; all where None. Raises MismatchError where columns do not
    agree with what was found, which is a bug.
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
        self._begin(_SPARE)

    def _begin(self, spare: int) -> None:
        self.cells = Cells(self.before.snapshot, spare)
        self.how = How(self.cells, self.violated, self.clock)
        self._known: dict[Sites, tuple[Change, ...] | Forbidden] = {}
        self._read: dict[tuple[Instance, Sites], Sites] = {}

    def run(self) -> Outcome:
        try:
            missing = self._missing(frozenset(), self._sets(frozenset()))
            while True:
                if missing is None:
                    by = (i for by, ways in self._sets(frozenset()) if not ways for i in by)
                    return self._end(Ending.NONE, conflict=names(by))
                self.size = max(self.size, missing)
                if self.size > self.cells.spare:
                    self._begin(4 * self.size)
                self.told(f"asking whether {self._changes()} can do")
                ending = self._of_size()
                if ending is not None:
                    return self._end(ending)
                self.size += 1
        except OutOfTimeError:
            return self._end(Ending.TIME, f"whether {self._changes()} can do")

    def _changes(self) -> str:
        return f"{self.size:,} change" + ("" if self.size == 1 else "s")

    def _of_size(self) -> Ending | None:
        """Looks for repairs with just so many changes; None where there are none, and may be larger ones."""
        stack: list[tuple[Sites, Instance | None]] = [(frozenset(), None)]
        seen = {frozenset[Cell]()}
        more = False
        while stack:
            if self.clock.over:
                raise OutOfTimeError
            sites, mended = stack.pop()
            if len(sites) == self.size:
                changes = self._values(sites, mended)
                if changes is None:
                    more = True
                elif self.limit is not None and len(self.found) == self.limit:
                    return Ending.LIMIT
                else:
                    self.found.append(self._confirmed(changes))
                continue
            sets = self._sets(sites)
            missing = self._missing(sites, sets)
            if missing is None:
                continue
            if len(sites) + missing > self.size:
                more = True
                continue
            forbidding, ways = min(sets, key=lambda s: len(s[1]))
            alone = forbidding[0] if len(forbidding) == 1 else None
            for way in self._in_order(ways):
                larger = sites | {way}
                if larger not in seen:
                    seen.add(larger)
                    stack.append((larger, alone))
        if self.found:
            return Ending.ALL
        return None if more else Ending.NONE

    def _values(self, sites: Sites, mended: Instance | None) -> tuple[Change, ...] | None:
        """What the cells become; None where nothing does. mended: an instance that the last of them is there for."""
        o = self.how.opened(sites)
        if mended is not None and not self.how.mends(o, mended):
            return None
        found = self.how.values(o)
        return None if isinstance(found, Forbidden) else found

    # What forbids a set of changes, and which cells may mend that.

    def _forbidden(self, sites: Sites) -> tuple[tuple[Instance, ...], ...]:
        if sites not in self._known:
            self._known[sites] = self.how.values(self.how.opened(sites))
        found = self._known[sites]
        return found.by if isinstance(found, Forbidden) else ()

    def _sets(self, sites: Sites) -> list[tuple[tuple[Instance, ...], Sites]]:
        """Instances that forbid the changes, with the cells of which one must change too."""
        return [(by, frozenset().union(*(self._reads(i, sites) for i in by)) - sites) for by in self._forbidden(sites)]

    def _missing(self, sites: Sites, sets: list[tuple[tuple[Instance, ...], Sites]]) -> int | None:
        """How many more changes there must be at least; None where none will do."""
        taken: set[Cell] = set()
        count = 0
        for _, ways in sorted(sets, key=lambda s: len(s[1])):
            if not ways:
                return None
            if taken.isdisjoint(ways):
                taken |= ways
                count += 1
        return count

    def _reads(self, instance: Instance, sites: Sites) -> Sites:
        """The cells that decide an instance where these are open and all others are as they are."""
        loose = frozenset(c for site in sites for c in self.cells.parts(site))
        at = instance, frozenset(c for c in loose if self.cells.leads(c))
        if at not in self._read:
            one, row = instance
            symbols = Symbols(self.cells, None, loose=at[1])
            (e,) = symbols.violated(one, [row])
            ends = parts.leaves([e]) if isinstance(e, E) else ()
            self._read[at] = frozenset(e.args[0].site for e in ends if e.op == "cell")
        return self._read[at]

    def _in_order(self, ways: Sites) -> list[Cell]:
        """The last is tried first: what is one of its kind before what is one of many."""
        return sorted(ways, key=lambda c: c.order, reverse=True)

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
    """The smallest change of values first, then what is one of its kind."""
    far = sum(abs(c.new - c.old) for c in r.changes if is_counted(c.cell))
    where = [(*c.cell.order[:3], _FIELDS.get((c.cell.place[0], c.cell.key.name), 0)) for c in r.changes]
    return far, where


_FIELDS = {at: i for i, at in enumerate(FIELDS)}
