"""The search for the smallest repairs: a tree of sets of cells that change, by their number.

Where a set does not do, some instances of checks forbid it, and every repair with these cells changes another cell
that the instances read: so these are the ways to go on. Instances that read no cell in common need one change each,
which tells how many are missing at least. So no set is left out that could be a repair, and the first number of
changes that any set will do with is the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from sanitree.checker.explore.confirm import MismatchError
from sanitree.checker.repair.cells import Cell, Cells
from sanitree.checker.repair.clock import Clock
from sanitree.checker.repair.how import Forbidden, How, Instance, OutOfTimeError, is_counted, names
from sanitree.checker.repair.observable import OBSERVABLE
from sanitree.checker.repair.results import Change, Ending, Outcome, Repair
from sanitree.checker.repair.ways import Sites, Ways
from sanitree.checker.report import Report, check
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


@dataclass(frozen=True, slots=True)
class _Bar:
    """Instances that, together, forbid a set of changes, and cells of which so many at least must change besides."""

    by: tuple[Instance, ...]
    ways: Sites
    needed: int = 1


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
        self.conflict: tuple[str, ...] = ()
        self._begin(_SPARE)

    def _begin(self, spare: int) -> None:
        self.cells = Cells(self.before.snapshot, spare)
        self.how = How(self.cells, self.violated, self.clock)
        self.ways = Ways(self.cells, self.how)

    def run(self) -> Outcome:
        try:
            bars = self._bars(frozenset())
            assert not isinstance(bars, tuple)
            self.size = _apart(bars)
            while True:
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
        stack: list[tuple[Sites, list[Instance]]] = [(frozenset(), [])]
        seen = {frozenset[Cell]()}
        stuck: list[Instance] = []
        cut = False
        while stack:
            if self.clock.over:
                raise OutOfTimeError
            sites, barred = stack.pop()
            bars = self._bars(sites, self.size - len(sites), barred)
            if isinstance(bars, tuple):  # nothing bars it
                if self.limit is not None and len(self.found) == self.limit:
                    return Ending.LIMIT
                self.found.append(self._confirmed(bars))
                continue
            if any(not b.ways for b in bars):
                stuck += [i for b in bars if not b.ways for i in b.by]
                continue
            if len(sites) + _apart(bars) > self.size:
                cut = True
                continue
            bar = min(bars, key=lambda b: len(b.ways))
            cut = cut or self.ways.depends(bar.by)
            barred = [b.by[0] for b in bars if len(b.by) == 1]
            for way in self.ways.of(bar.by, sites, self.size - len(sites)):
                larger = sites | {way}
                if larger not in seen:
                    seen.add(larger)
                    stack.append((larger, barred))
        if not self.found and not cut:
            self.conflict = names(stuck)
            return Ending.NONE
        return Ending.ALL if self.found else None

    def _bars(
        self, sites: Sites, room: int | None = None, before: Iterable[Instance] = ()
    ) -> list[_Bar] | tuple[Change, ...]:
        """What forbids a set of changes, or the changes. room: how many more there may be: of what needs more, no more
        is looked for. before: what forbade one change less, and so most often this. Raises OutOfTimeError.
        """
        o = self.how.opened(sites)
        found: dict[Instance, _Bar] = {}
        taken: set[Cell] = set()
        apart = 0
        for instance in chain((i for i in before if not self.ways.mended(i, o)), self.how.forbidding(o)):
            if instance in found:
                continue
            ways = self.ways.any(instance, sites)
            bar = found[instance] = _Bar((instance,), ways, self.ways.needed(instance, sites))
            if taken.isdisjoint(ways):
                taken |= ways
                apart += bar.needed
            if room is not None and apart > room:
                break
        if found:
            return list(found.values())
        values = self.how.values(o)
        if not isinstance(values, Forbidden):
            return values
        return [_Bar(values.by, frozenset[Cell]().union(*(self.ways.any(i, sites) for i in values.by)))]

    def _confirmed(self, changes: tuple[Change, ...]) -> Repair:
        after = self.cells.after({c.cell: c.new for c in changes})
        judged = check(after, self.rules)
        if wrong := [f.check.name for f in judged.findings if f.violated]:
            raise MismatchError(f"columns find {wrong[0]} violated after it")
        return Repair(changes, after)

    def _end(self, ending: Ending, unknown: str = "") -> Outcome:
        found = tuple(sorted(self.found, key=_rank))
        return Outcome(self.before, found, ending, self.size, self.clock.spent, unknown, self.conflict)


def _apart(bars: Iterable[_Bar]) -> int:
    """How many changes there must be at least: what bars need of which no two share a cell."""
    taken: set[Cell] = set()
    count = 0
    for bar in sorted(bars, key=lambda b: (-b.needed, len(b.ways))):
        if taken.isdisjoint(bar.ways):
            taken |= bar.ways
            count += bar.needed
    return count


def _rank(r: Repair) -> tuple[object, ...]:
    """The smallest change of values first, then what is one of its kind."""
    far = sum(abs(c.new - c.old) for c in r.changes if is_counted(c.cell))
    where = [(*c.cell.order[:3], _FIELDS.get((c.cell.place[0], c.cell.key.name), 0)) for c in r.changes]
    return far, where


_FIELDS = {at: i for i, at in enumerate(FIELDS)}
