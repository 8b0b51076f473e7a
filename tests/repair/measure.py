"""Repairs of random corruptions, counted and timed: `python -m tests.repair.measure [--count N] [--size N] [--summed]`.

Legal caches of some sizes, of every kind of engine, with one to three fields changed at random. A row of the table
that it prints is a size and a number of changed fields; docs/repair.md has the table.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, replace
from random import Random

import torch

from sanitree.checker.columns import Place
from sanitree.checker.repair.cells import Cells
from sanitree.checker.repair.results import Ending, Outcome
from sanitree.checker.repair.search import repair
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import Key, Snapshot
from tests.legal import draft, plan_of
from tests.repair.corruption import Named, changes, columns, sites_in, sites_of

SIZES = (10, 100, 1000)
MOST = 3
PATIENCE = 600.0


@dataclass(frozen=True)
class Try:
    """One corruption and its repair."""

    changed: set[Named]
    outcome: Outcome
    seconds: float
    """Of processor time: others use the machine too."""

    @property
    def size(self) -> int | None:
        return self.outcome.repairs[0].size if self.outcome.repairs else None

    @property
    def named(self) -> bool:
        """Whether a repair that is shown is of just the fields that were changed."""
        return any(sites_in(r) == self.changed for r in self.outcome.repairs)


def legal(seed: int, size: int) -> Snapshot:
    """A legal cache of so many nodes."""
    return draft(seed, replace(plan_of(seed), shape="mixed", size=size)).snapshot()


def corrupt(s: Snapshot, seed: int, sites: int, summed: bool = False) -> tuple[Snapshot, set[Named]]:
    """So many of its fields changed at random; with `summed` of those that rules add up or count over all elements."""
    cells = Cells(s, spare=0)
    among = [(place, key) for place, key in columns(cells) if not summed or _is_summed(place, key)]
    made = changes(cells, Random(f"{seed} {sites}"), sites, among)
    return cells.after(made), sites_of(made, cells)


def _is_summed(place: Place, key: Key) -> bool:
    return place[0] in (Sort.TREE, Sort.SLOT) or key.name in ("lock", "tokens", "in_device_leaves", "in_host_leaves")


def tried(size: int, sites: int, count: int, first: int, summed: bool) -> list[Try]:
    """So many corruptions that violate a rule."""
    found: list[Try] = []
    seed = first
    while len(found) < count:
        wrong, changed = corrupt(legal(seed, size), seed, sites, summed)
        seed += 1
        begun = time.process_time()
        o = repair(wrong, seconds=PATIENCE)
        if o.ending is not Ending.NOTHING:
            found.append(Try(changed, o, time.process_time() - begun))
    return found


def row(size: int, sites: int, found: list[Try]) -> str:
    """A row of the table."""
    sizes = [t.size for t in found]
    larger = sum(s is None or s > sites for s in sizes)
    smaller = sum(s is not None and s < sites for s in sizes)
    seconds = [t.seconds for t in found]
    cells = (size, sites, len(found), larger, smaller, sum(t.named for t in found),
             f"{statistics.median(seconds):.2f}", f"{max(seconds):.1f}")  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="corruptions of each kind")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--size", type=int, action="append", help="nodes; may be given several times")
    parser.add_argument("--summed", action="store_true", help="only fields that rules add up or count")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| nodes | fields changed | corruptions | repairs larger | smaller | the same fields | median s | worst s |")
    print("|---|---|---|---|---|---|---|---|")
    begun = time.perf_counter()
    for size in args.size or SIZES:
        for sites in range(1, MOST + 1):
            print(row(size, sites, tried(size, sites, args.count, args.seed, args.summed)), flush=True)
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
