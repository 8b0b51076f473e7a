"""Hunts in every kind of cache of every engine, and what came of each.

    python -m tests.hunt.campaign [--on reference 0.5.12 …] [--cores python rust both] [--budget 8] [--save DIR]

A line a cell; exits 1 where something was found that no known finding explains, or a hunt failed.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sanitree.checker.hunt.hunt import Finding, Hunt, hunt
from sanitree.checker.hunt.known import known
from sanitree.invariants.vocabulary import COMPONENTS, FULL, MAMBA, SWA, Component, Policy
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import write
from sanitree.models.engines import store
from sanitree.models.engines.build import FIRST_RUST

SETS: tuple[tuple[Component, ...], ...] = ((FULL,), (FULL, SWA), (FULL, MAMBA))


@dataclass(frozen=True, slots=True)
class Cell:
    on: str
    setup: Setup

    def __str__(self) -> str:
        s = self.setup
        names = "+".join(c.name for c in s.components)
        return f"{self.on} {s.core or ''} {s.policy.value} {names} page {s.page_size}".replace("  ", " ")


def cells(on: str, cores: list[str]) -> Iterator[Cell]:
    """The cells of one engine, or of the reference cache."""
    has = ["python"] if on == "reference" or not store.at_least(on, FIRST_RUST) else cores
    for core, policy, components, page in itertools.product(has, Policy, SETS, (1, 4)):
        own = None if on == "reference" or not store.at_least(on, FIRST_RUST) else core
        yield Cell(on, Setup(policy=policy, components=components, page_size=page, window=2 * page, core=own))


def explained(cell: Cell, f: Finding) -> tuple[str, ...]:
    """The ids of the known findings that a finding is."""
    return tuple(k.id for k in known(cell.on, f.sighting.setup, f.wrong))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", nargs="*", default=["reference", *(i.version for i in store.installed())])
    parser.add_argument("--cores", nargs="*", default=["python", "rust"])
    parser.add_argument("--budget", type=float, default=8.0, help="seconds a cell, on one core")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--save", type=Path, help="a folder for the traces of what nothing known explains")
    args = parser.parse_args()
    assert set(COMPONENTS) >= {c.name for s in SETS for c in s}

    def run(cell: Cell) -> Hunt:
        return hunt(cell.on, cell.setup, args.budget, args.seed, jobs=1)

    done: Counter[str] = Counter()
    found: Counter[str] = Counter()
    unexplained = failed = 0
    every = [cell for on in args.on for cell in cells(on, args.cores)]
    with ThreadPoolExecutor(args.jobs) as pool:
        for cell, h in zip(every, pool.map(run, every), strict=True):
            done += h.operations
            told = []
            for number, f in enumerate(h.findings):
                ids = explained(cell, f)
                found.update(ids)
                sure = "" if f.is_confirmed else " (not confirmed)"
                told.append(f"{'/'.join(ids) or 'UNEXPLAINED ' + ', '.join(f.wrong.names)[:100]}{sure}")
                if not ids:
                    unexplained += 1
                    if args.save is not None:
                        args.save.mkdir(parents=True, exist_ok=True)
                        name = re.sub(r"[^\w.-]+", "-", f"{cell} {number} {f.wrong.names[0]}")[:110]
                        write(f.trace(cell.on), args.save / f"{name}.json")
            failed += bool(h.failures)
            told += [f"FAILED {why[:200]}" for why in h.failures]
            print(f"{cell}: {h.operations.total()} operations: {'; '.join(told) or 'nothing'}", flush=True)
    print(
        f"\n{done.total():,} operations in {len(every)} cells: "
        + ", ".join(f"{n:,} {k}" for k, n in done.most_common())
    )
    print(f"known findings met: {', '.join(f'{k} in {n} cells' for k, n in found.most_common()) or 'none'}")
    print(f"{unexplained} findings that nothing known explains, {failed} hunts failed")
    return 1 if unexplained or failed else 0


if __name__ == "__main__":
    sys.exit(main())
