"""Which nodes of a tree to show when they are more than a person can read.

A tree is drawn from a choice of its rows. The root and every *pinned* row (one with a
violation, or in flight) are chosen; then the branching points between them, so that each
pinned row hangs where it belongs; then others while there is room, the nearest to the
root and the largest first. Everything left out is counted where it would have been.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

MOST_PINNED = 200  # beyond this, more red lines tell nobody anything


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the outline.

    row: the node; of RUN the first of the nodes that were left out, of MORE the parent.
    last: for each level below the top, whether nothing follows at that level.
    children, nodes, red: counted in what was left out here; `children` is 0 for a run.
    """

    row: int
    last: tuple[bool, ...]
    kind: Kind
    children: int = 0
    nodes: int = 0
    red: int = 0


class Kind(Enum):
    """NODE: a node, with all its children left out if `nodes`. RUN: nodes left out between two that are
    shown. MORE: children left out beside some that are shown."""

    NODE = "node"
    RUN = "run"
    MORE = "more"


class Outline:
    """The choice of rows below `top`, of a tree given by each row's parent; a parent's row comes first."""

    def __init__(
        self, parent: Sequence[int], pinned: Iterable[int], red: Iterable[int], top: int = 0, depth: int | None = None
    ) -> None:
        self.parent, self.top = parent, top
        self.inside, self.depth_of = self._below(top, depth)
        self.children: dict[int, list[int]] = {row: [] for row in self.inside}
        for row in self.inside:
            if row != top:
                self.children[parent[row]].append(row)
        self.pinned = {row for row in pinned if row in self.depth_of}
        self.red = {row for row in red if row in self.depth_of}
        self.chosen: set[int] = set()
        self.terse = False

    def _below(self, top: int, depth: int | None) -> tuple[list[int], dict[int, int]]:
        depth_of = {top: 0}
        inside = [top]
        for row in range(top + 1, len(self.parent)):
            above = depth_of.get(self.parent[row])
            if above is not None and (depth is None or above < depth):
                depth_of[row] = above + 1
                inside.append(row)
        return inside, depth_of

    @cached_property
    def weight(self) -> dict[int, int]:
        """Nodes of each subtree, its top included."""
        found = dict.fromkeys(self.inside, 1)
        for row in reversed(self.inside[1:]):
            found[self.parent[row]] += found[row]
        return found

    @cached_property
    def red_below(self) -> dict[int, int]:
        """Violated nodes of each subtree, its top included."""
        found = {row: int(row in self.red) for row in self.inside}
        for row in reversed(self.inside[1:]):
            found[self.parent[row]] += found[row]
        return found

    def choose(self, room: int | None, only_pinned: bool = False) -> None:
        """Choose rows for about `room` lines; None for every row. only_pinned: the pinned ones with what leads
        to them, as runs where that is too much."""
        self.terse = only_pinned
        most = None if room is None else max(room, MOST_PINNED)
        pinned = sorted(self.pinned, key=lambda row: (self.depth_of[row], row))[:most]
        self.chosen = {self.top, *pinned, *self._joints(pinned)}
        if only_pinned:
            above = self._holding()
            if most is None or len(above) <= most:
                self.chosen = above
            return
        if room is None:
            self.chosen = set(self.inside)
            return
        self._fill(room)

    def _joints(self, pinned: Iterable[int]) -> set[int]:
        """The nodes at which the paths to pinned nodes part."""
        branches: dict[int, int] = {}
        seen: set[int] = set()
        for row in pinned:
            while row not in seen and row != self.top:
                seen.add(row)
                row = self.parent[row]
                branches[row] = branches.get(row, 0) + 1
        return {row for row, n in branches.items() if n > 1}

    def _fill(self, room: int) -> None:
        # A child costs more the farther it is from the top, the more siblings are larger, and the
        # longer the line of only children that it ends: a chain tells less than a bush.
        heap = [(0, self.top, 0)]
        used = len(self.lines())
        holds = self._holding()
        shown = {row: sum(c in holds for c in below) for row, below in self.children.items()}
        while heap and used < room:
            cost, row, alone = heapq.heappop(heap)
            if row not in self.chosen:
                self.chosen.add(row)
                used += 1
                if row not in holds:
                    # The first child shown needs a line that counts the others, the last makes it vanish.
                    above, siblings = self.parent[row], len(self.children[self.parent[row]])
                    shown[above] += 1
                    used += (shown[above] == 1) - (shown[above] == siblings)
            below = sorted(self.children[row], key=lambda child: (-self.weight[child], child))
            alone = alone + 1 if len(below) == 1 else 0
            for rank, child in enumerate(below):
                heapq.heappush(heap, (cost + 1 + rank + alone, child, alone))

    def lines(self) -> list[Line]:
        """The outline, top first; each node before what hangs below it."""
        found: list[Line] = []
        holds = self._holding()
        stack = [self._node(self.top, (), holds)]
        while stack:
            line = stack.pop()
            found.append(line)
            match line.kind:
                case Kind.RUN:
                    stack.append(self._node(self._end_of_run(line.row, holds), (*line.last, True), holds))
                case Kind.NODE if not line.nodes:
                    stack += reversed(self._below_node(line, holds))
        return found

    def _below_node(self, line: Line, holds: set[int]) -> list[Line]:
        shown = [c for c in self.children[line.row] if c in holds]
        hidden = [c for c in self.children[line.row] if c not in holds]
        if len(hidden) == 1 and self.weight[hidden[0]] == 1 and not self.terse:
            # Counting it takes the line that showing it does.
            self.chosen.update(hidden)
            shown, hidden = self.children[line.row], []
        if self.terse and not any(self.red_below[c] for c in hidden):
            hidden = []
        found = [self._entry(c, (*line.last, not hidden and c == shown[-1]), holds) for c in shown]
        if hidden:
            found.append(Line(line.row, (*line.last, True), Kind.MORE, *self._counted(hidden)))
        return found

    def _counted(self, hidden: Sequence[int]) -> tuple[int, int, int]:
        return len(hidden), sum(self.weight[c] for c in hidden), sum(self.red_below[c] for c in hidden)

    def _node(self, row: int, last: tuple[bool, ...], holds: set[int]) -> Line:
        """The line of a node; it counts its children if none of them is shown."""
        below = self.children[row]
        alone = bool(below) and not any(c in holds for c in below)
        return Line(row, last, Kind.NODE, *(self._counted(below) if alone else (0, 0, 0)))

    def _entry(self, child: int, last: tuple[bool, ...], holds: set[int]) -> Line:
        """The line of a child that is chosen, or of the run above a node that is."""
        if child in self.chosen:
            return self._node(child, last, holds)
        end = self._end_of_run(child, holds)
        nodes, red = (of[child] - of[end] for of in (self.weight, self.red_below))
        if nodes == 1:
            # Counting it takes the line that showing it does.
            self.chosen.add(child)
            return self._node(child, last, holds)
        return Line(child, last, Kind.RUN, 0, nodes, red)

    def _holding(self) -> set[int]:
        """Rows that are chosen or have a chosen row below them."""
        found: set[int] = set()
        for row in self.chosen:
            while row not in found:
                found.add(row)
                if row == self.top:
                    break
                row = self.parent[row]
        return found

    def _end_of_run(self, row: int, holds: set[int]) -> int:
        """The chosen node below a node that is not chosen; there is one only, or the paths would part here."""
        while row not in self.chosen:
            row = next(c for c in self.children[row] if c in holds)
        return row
