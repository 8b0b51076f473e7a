"""Switches each fault on and lets the machines find it: `python -m tests.reference.find_faults [--write]`.

With --write, docs/faults.md is written: fault, the rule that caught it, and the shortest steps.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from sanitree.checker.live import InvariantViolated
from sanitree.invariants.catalogue import BY_ID
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Policy
from sanitree.models.reference.faults import FAULTS
from sanitree.models.step import Call
from tests.reference.machine import Cell, machine
from tests.reference.workload import config

LONGEST = 300.0
"""Seconds until a fault counts as not found."""

SHOWS = {"child_is_backed_up_first": Policy.WRITE_THROUGH_SELECTIVE}
"""Where a fault shows best: under write_through a node has no backup only where it was refused one."""

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"


@dataclass(frozen=True, slots=True)
class Caught:
    """rules: those that were violated where it was first seen; all of them, the expected family's first."""

    fault: str
    cell: Cell | None
    rules: tuple[str, ...]
    calls: tuple[str, ...]
    error: str = ""

    @property
    def expected(self) -> tuple[str, ...]:
        """The rules of the expected family among them."""
        return tuple(r for r in self.rules if BY_ID[r].family is FAULTS[self.fault].family)


def home(name: str) -> Cell:
    """The kind of cache that a fault is looked for in: the smallest that can have it."""
    for policy in (SHOWS[name],) if name in SHOWS else Policy:
        for components in ((FULL,), (FULL, SWA), (FULL, MAMBA)):
            if FAULTS[name].fits(config(policy, components)):
                return Cell(policy, components, 1, "by hand", name)
    raise AssertionError(f"no cache can have {name}")


def find(name: str, budget: float = 20.0, number: int = 0) -> Caught:
    """Runs the machine of the fault's cell until it fails, and shrinks for so many seconds."""
    torch.set_num_threads(1)
    cell = home(name)
    best = Caught(name, cell, (), ())
    begun, first = time.monotonic(), 0.0

    def at_step() -> None:
        now = time.monotonic()
        if (first and now - first > budget) or (not first and now - begun > LONGEST):
            raise KeyboardInterrupt  # nothing else ends a search or a shrink

    def failed(error: Exception, calls: list[Call]) -> None:
        nonlocal best, first
        first = first or time.monotonic()
        if isinstance(error, InvariantViolated):
            rules = tuple(dict.fromkeys(v.rule.id for v in error.report.violations))
            found = Caught(name, cell, rules, tuple(map(str, calls)))
        else:
            found = Caught(name, cell, (), tuple(map(str, calls)), f"{type(error).__name__}: {error}")
        if not best.rules or (found.rules and len(found.calls) < len(best.calls)):
            best = found

    chosen = settings(
        max_examples=1000, stateful_step_count=30, deadline=None, database=None, print_blob=False,
        phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    with contextlib.suppress(Exception, KeyboardInterrupt):
        run_state_machine_as_test(seed(number)(machine(cell, failed=failed, at_step=at_step)), settings=chosen)
    return best


HEAD = """<!-- Written by `python -m tests.reference.find_faults --write`. -->

# Faults

The reference cache can be made wrong by name, in {count} ways, each one kind of real bug:
`sanitree.models.reference.faults.inject(cache, "evict_does_not_wait")`. The state machines of the tests
find each; the family of the rules that must catch it was written down before it was first run. The calls
are those of the shortest history that Hypothesis found in some seconds.

| fault | what is wrong | in a cache with | caught by | calls |
|---|---|---|---|---|
"""


def row(c: Caught) -> str:
    """A line of the table."""
    f = FAULTS[c.fault]
    assert c.cell is not None
    names = "+".join(x.name for x in c.cell.components)
    ordered = (*c.expected, *(r for r in c.rules if r not in c.expected))
    rules = ", ".join(f"[{r}](catalogue.md#{r})" for r in ordered)
    where = f"{c.cell.policy.value}, {names}"
    return f"| `{c.fault}` ({f.family.value}) | {f.what} | {where} | {rules} | {len(c.calls)} |"


def write(found: list[Caught]) -> None:
    """Writes the page; what was not looked for now keeps its line."""
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    kept = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
    rows = kept | {c.fault: row(c) for c in found}
    PAGE.write_text(HEAD.format(count=len(FAULTS)) + "".join(f"{rows[n]}\n" for n in FAULTS if n in rows))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/faults.md")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("faults", nargs="*", default=list(FAULTS))
    args = parser.parse_args()
    with ProcessPoolExecutor(args.jobs) as pool:
        found = []
        for c in pool.map(find, args.faults):
            found.append(c)
            verdict = "caught" if c.expected else "caught by another family" if c.rules else "NOT CAUGHT"
            print(f"{c.fault}: {verdict}: {', '.join(c.rules)} {c.error[:300]} ({len(c.calls)} calls)", flush=True)
    if args.write:
        write(found)
    return 0 if all(c.expected for c in found) else 1


if __name__ == "__main__":
    sys.exit(main())
