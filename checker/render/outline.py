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
from functools import cached_property

MOST_PINNED = 200  # beyond this, more red lines tell nobody anything


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the outline.

    row: the node, or where `skipped` is set the first of a run of nodes that was left
    out above a node that is shown, or the parent of children that were left out.
    last: for each level below the top, whether nothing follows at that level.
    children, nodes, pinned: counted in what was left out; `children` is 0 for a run.
    """

    row: int
    last: tuple[bool, ...]
    skipped: bool = False
    children: int = 0
    nodes: int = 0
    pinned: int = 0


class Outline:
    """The choice of rows below `top`, of a tree given by each row's parent; a parent's row comes first."""

    def __init__(self, parent: Sequence[int], pinned: Iterable[int], top: int = 0, depth: int | None = None) -> None:
        self.parent, self.top = parent, top
        self.inside, self.depth_of = self._below(top, depth)
        self.children: dict[int, list[int]] = {row: [] for row in self.inside}
        for row in self.inside:
            if row != top:
                self.children[parent[row]].append(row)
        self.pinned = {row for row in pinned if row in self.depth_of}
        self.chosen: set[int] = set()

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
    def pinned_below(self) -> dict[int, int]:
        """Pinned nodes of each subtree, its top included."""
        found = {row: int(row in self.pinned) for row in self.inside}
        for row in reversed(self.inside[1:]):
            found[self.parent[row]] += found[row]
        return found

    def choose(self, room: int | None, only_pinned: bool = False) -> None:
        """Choose rows for about `room` lines; None for every row (or every pinned one)."""
        most = None if room is None else max(room, MOST_PINNED)
        pinned = sorted(self.pinned, key=lambda row: (self.depth_of[row], row))[:most]
        self.chosen = {self.top, *pinned, *self._joints(pinned)}
        if only_pinned:
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
        # A child costs more the farther it is from the top and the more siblings are larger.
        heap = [(0, self.top)]
        used = self._lines()
        while heap and used < room:
            cost, row = heapq.heappop(heap)
            if row not in self.chosen:
                self.chosen.add(row)
                used += 1
            below = sorted(self.children[row], key=lambda child: (-self.weight[child], child))
            for rank, child in enumerate(below):
                heapq.heappush(heap, (cost + 1 + rank, child))

    def _lines(self) -> int:
        """Lines of the outline as chosen so far, roughly: a pinned node may need one for what is left out above."""
        return 2 * len(self.chosen)

    def lines(self) -> list[Line]:
        """The outline, top first; each node before what hangs below it."""
        found: list[Line] = []
        stack: list[Line] = [Line(self.top, ())]
        holds = self._holds_chosen()
        while stack:
            line = stack.pop()
            found.append(line)
            if line.children:
                continue
            row = line.row
            if line.skipped:
                row = self._end_of_run(row, holds)
                stack.append(Line(row, (*line.last, True)))
                continue
            shown = [c for c in self.children[row] if c in holds]
            hidden = [c for c in self.children[row] if c not in holds]
            below: list[Line] = []
            for child in shown:
                below.append(self._entry(child, holds, line.last))
            if hidden:
                nodes, pinned = sum(self.weight[c] for c in hidden), sum(self.pinned_below[c] for c in hidden)
                below.append(Line(row, (*line.last, True), True, len(hidden), nodes, pinned))
            if below and not hidden:
                end = below[-1]
                below[-1] = Line(end.row, (*line.last, True), end.skipped, 0, end.nodes, end.pinned)
            stack += reversed(below)
        return found

    def _entry(self, child: int, holds: set[int], above: tuple[bool, ...]) -> Line:
        """The line for a child that is chosen, or above one that is."""
        if child in self.chosen:
            return Line(child, (*above, False))
        end = self._end_of_run(child, holds)
        left_out = self.weight[child] - self.weight[end]
        pinned = self.pinned_below[child] - self.pinned_below[end]
        return Line(child, (*above, False), True, 0, left_out, pinned)

    def _holds_chosen(self) -> set[int]:
        found: set[int] = set()
        for row in self.chosen:
            while row not in found:
                found.add(row)
                if row == self.top:
                    break
                row = self.parent[row]
        return found

    def _end_of_run(self, row: int, holds: set[int]) -> int:
        """The chosen node below a node that is not chosen itself; there is one, or the paths would part here."""
        while row not in self.chosen:
            row = next(c for c in self.children[row] if c in holds)
        return row
