"""What a repair is made of, and what a search for repairs came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sanitree.checker.repair.cells import Cell
from sanitree.checker.report import Report
from sanitree.models.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Change:
    """A cell that holds `old` and should hold `new`.

    element: id of the node, transfer or request, or number of the slot; None for the tree. forced: no other value
    would do where the same cells change.
    """

    cell: Cell
    element: int | None
    old: int
    new: int
    forced: bool


@dataclass(frozen=True, slots=True, eq=False)
class Repair:
    """Changes after which no rule is violated, and the snapshot after them, as columns have judged it.

    size: how many cells are counted; who names a slot goes with how often it is named.
    """

    changes: tuple[Change, ...]
    after: Snapshot

    @property
    def size(self) -> int:
        return len({c.cell.site for c in self.changes})


class Ending(Enum):
    """Why a search ended."""

    NOTHING = "nothing to repair"
    ALL = "all of the smallest size found"
    LIMIT = "there are more"
    TIME = "out of time"
    NONE = "no change of fields makes all rules hold"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a search came to.

    before: the report of the snapshot as it is. repairs: of the smallest size there is. at_least: no repair has
    fewer changes. unknown: what the search was asking when it ended without an answer. conflict: checks that
    contradict each other, where nothing can be repaired.
    """

    before: Report
    repairs: tuple[Repair, ...]
    ending: Ending
    at_least: int
    seconds: float
    unknown: str = ""
    conflict: tuple[str, ...] = ()
