"""Which part of a snapshot is looked at: nodes where something is wrong, what is in flight there, and what is near."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sanitree.checker.render.marks import marks
from sanitree.checker.report import Report
from sanitree.models.snapshot import Snapshot

LONGEST = 3
"""Moves of the last call, at most."""

SITES = 4
"""Nodes where something is wrong that are looked at with each child alone."""


@dataclass(frozen=True, slots=True)
class Look:
    """Rows that are looked at, and how many moves there may have been. alike: rows to which a fault may have done the
    same. alone: one node of several where something is wrong. narrow: asked about what assumes little alone."""

    rows: Sequence[int]
    longest: int = LONGEST
    alike: Sequence[int] = ()
    alone: bool = False
    narrow: bool = False


def looks(report: Report, nodes: Sequence[int], most: int) -> list[Look]:
    """What is looked at, one after the other: all that is wrong, each node of it alone, each with one child alone.

    A fault may have done the same to several, once or in one call after the other; and what came beside a
    node later has nothing to do with it.
    """
    s, wrong = report.snapshot, suspects(report)
    everything = part(s, [*nodes, *wrong], most)
    if len(wrong) < 2:
        found = [Look(everything)]
    else:
        found = [Look(everything, 1, tuple(wrong))]
        found += [Look(part(s, [*nodes, row], most, others), alone=True) for row, others in sites(s, wrong)]
    parent = s.parent.tolist()
    for row, others in sites(s, wrong)[:SITES]:
        below = [child for child in range(1, len(parent)) if parent[child] == row and child not in others]
        found += [Look([*s.path_to(row), child], 2, alone=len(wrong) > 1, narrow=True) for child in below]
    once: dict[frozenset[int], Look] = {}
    for look in found:
        first = once.setdefault(frozenset(look.rows), look)
        if first.longest < look.longest and not look.narrow:
            once[frozenset(look.rows)] = replace(first, longest=look.longest)
    return list(once.values())


def suspects(report: Report) -> list[int]:
    """Rows of the nodes that violations are about, or that have what they are about; in order, the root left out."""
    found = marks(report.snapshot, report.findings)
    return sorted(row for row in found.violated if row)


def sites(s: Snapshot, rows: Sequence[int]) -> list[tuple[int, frozenset[int]]]:
    """Each of these rows alone, from the top, with what to leave out then: the others, and all below them."""
    found = []
    for row in rows:
        above = set(s.path_to(row))
        others = {other for other in rows if other not in above}
        found.append((row, frozenset(others)))
    return found


def part(s: Snapshot, core: Iterable[int], most: int, without: Collection[int] = ()) -> list[int]:
    """At most so many rows, those of `core` first, each with everything above it; more only where one path is longer.

    without: rows that are left out, with all below them.
    """
    found: dict[int, None] = {}
    for row in _by_nearness(s, list(core)):
        path = [r for r in s.path_to(row) if r not in found]
        if (found and len(found) + len(path) > most) or not set(path).isdisjoint(without):
            continue
        found.update(dict.fromkeys(path))
    return sorted(found)


def _by_nearness(s: Snapshot, core: list[int]) -> Iterator[int]:
    """The core, what is in flight, children of the core, its siblings, then all others from the top."""
    yield from core
    busy = marks(s, ()).busy
    parent = s.parent.tolist()
    rows = range(1, len(parent))
    above = {parent[row] for row in core}
    yield from sorted(busy)
    yield from (row for row in rows if parent[row] in core)
    yield from (row for row in rows if parent[row] in above)
    yield from rows
