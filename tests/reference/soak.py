"""Long runs of the state machines over every kind of cache, with floors on what they must have met.

    python -m tests.reference.soak [--steps 100000] [--jobs 2] [--seed 0]    # make soak

Prints what was done and met, and exits 1 where a rule was violated or a floor missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product

import torch
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from sanitree.invariants.vocabulary import Policy
from tests.reference.machine import RUNNERS, Cell, machine
from tests.reference.workload import COMPONENTS

FLOORS = (
    "split while a write is pending",
    "full host",
    "tombstone refilled",
    "load back during eviction",
    "lock across a split",
)
FLOOR = 1000


def cells() -> list[Cell]:
    """Every policy, set of components, page size and way to run copies."""
    return [Cell(p, c, page, r) for p, c, page, r in product(Policy, COMPONENTS, (1, 4), RUNNERS)]


def run(cell: Cell, steps: int, number: int, shrink: bool = False) -> tuple[Cell, dict[str, int], str]:
    """Runs one cell for about so many steps; what it met, and what went wrong."""
    torch.set_num_threads(1)
    seen: Counter[str] = Counter()
    each = 50
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    chosen = settings(
        max_examples=max(1, steps // each), stateful_step_count=each, deadline=None, database=None, phases=phases,
        suppress_health_check=list(HealthCheck), print_blob=False, report_multiple_bugs=False,
    )  # fmt: skip
    test = machine(cell, seen)
    try:
        run_state_machine_as_test(seed(number)(test), settings=chosen)
    except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
        return cell, dict(seen), f"{type(error).__name__}: {error}"
    return cell, dict(seen), ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000, help="about so many in all")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start, total, wrong = time.time(), Counter[str](), []
    every = cells()
    with ProcessPoolExecutor(args.jobs) as pool:
        # Where a test decides when copies run, most can happen.
        weight = {c: 6 if c.runner == "by hand" else 1 for c in every}
        share = args.steps / sum(weight.values())
        work = [pool.submit(run, c, int(share * weight[c]), args.seed) for c in every]
        for done, future in enumerate(as_completed(work), 1):
            cell, seen, error = future.result()
            total.update(seen)
            if error:
                wrong.append(f"{cell}: {error}")
            print(
                f"{done:3d}/{len(every)} {cell}: {seen.get('steps', 0):,} steps{' VIOLATED' if error else ''}",
                flush=True,
            )
    print(f"\n{total['steps']:,} steps in {time.time() - start:.0f} s")
    for what in sorted(total):
        if what != "steps":
            print(f"  {what:34} {total[what]:8,}")
    missed = [f"{what}: {total[what]} times, at least {FLOOR} are wanted" for what in FLOORS if total[what] < FLOOR]
    for line in (*wrong, *missed):
        print(line)
    return 1 if wrong or missed else 0


if __name__ == "__main__":
    sys.exit(main())
