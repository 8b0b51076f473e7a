"""Hunts in every kind of cache of every engine, round after round, and the page that says what came of them.

    python -m tests.hunt.campaign RECORD [--on reference 0.5.12 …] [--cores python rust both] [--policies write_back …]
        [--budget 8] [--operations MOST] [--rounds 1] [--until OPERATIONS] [--lockstep] [--write]

Each hunt adds a line of JSON to the record, so that a campaign can be ended at any time and gone on with: what was
hunted in least comes first, and each hunt has a seed of its own. `--write` writes docs/campaign.md from a record.
Exits 1 where something was found that nothing explains, or a hunt failed.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast
from zlib import crc32

from sanitree.checker.hunt.hunt import together
from sanitree.checker.hunt.known import known
from sanitree.checker.hunt.processes import confirmations, searches_in_turn
from sanitree.checker.hunt.search import Failed, Progress, Sighted, Task
from sanitree.checker.hunt.wrong import Kind, Sighting, Wrong
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.driving.open import core_with_nodes
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import Found, Trace, decode, encode, plain_setup
from sanitree.models.engines import store

SETS: tuple[tuple[Component, ...], ...] = ((FULL,), (FULL, SWA), (FULL, MAMBA))
SHARE = 0.05
"""Of the operations, those of the exhaustive search: it does most of them unjudged."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of cache of one engine."""

    on: str
    setup: Setup

    def __str__(self) -> str:
        s = self.setup
        names = "+".join(c.name for c in s.components)
        return f"{self.on} {s.core or ''} {s.policy.value} {names} page {s.page_size}".replace("  ", " ")


def cells(on: str, cores: list[str]) -> Iterator[Cell]:
    """The cells of one engine, or of the reference cache."""
    several = core_with_nodes(on) is not None
    for core, policy, components, page in itertools.product(cores if several else cores[:1], Policy, SETS, (1, 4)):
        own = core if several else None
        yield Cell(on, Setup(policy=policy, components=components, page_size=page, window=2 * page, core=own))


class Campaign:
    """One round at a time, written to a record as it goes."""

    def __init__(self, record: Path, budget: float, most: int | None, jobs: int, lockstep: bool) -> None:
        self.record, self.budget, self.most, self.jobs, self.lockstep = record, budget, most, jobs, lockstep
        self._lock = threading.Lock()
        done = read(record)
        self.judged = sum(r["judged"] for r in done)
        self.times = Counter(r["cell"] for r in done)

    def round(self, groups: list[list[Cell]], until: int | None) -> None:
        """A hunt in every cell, each group in a process of its own; what was hunted in least comes first."""
        groups = sorted(groups, key=lambda group: sum(self.times[str(c)] for c in group))

        def enough() -> bool:
            return until is not None and self.judged >= until

        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(lambda group: None if enough() else self._group(group), groups))

    def _group(self, group: list[Cell]) -> None:
        left = sorted(group, key=lambda c: self.times[str(c)])
        while left:
            left = left[self._in_one_process(left) :]

    def _in_one_process(self, group: list[Cell]) -> int:
        """How many of the cells are done with when the process is."""
        own = group[0].on != "reference"
        tasks = [
            Task(
                c.on,
                c.setup,
                self._seed(c),
                self.budget,
                SHARE,
                self.most,
                own_check=own,
                shrinks_known=False,
                lockstep=self.lockstep,
            )
            for c in group
        ]
        sighted: dict[int, list[Sighted]] = {}
        last: dict[int, Progress] = {}
        for number, event in searches_in_turn(tasks):
            match event:
                case Sighted():
                    sighted.setdefault(number, []).append(event)
                case Failed():
                    self._enter(group[number], last.get(number), sighted.get(number, []), event.why)
                    return number + 1
                case Progress():
                    last[number] = event
                    if event.done:
                        self._enter(group[number], event, sighted.get(number, []))
        return len(group)

    def _seed(self, cell: Cell) -> int:
        """Another for each kind of cache, in which the same would do the same operations, and for each hunt in it."""
        return self.times[str(cell)] * 1_000_003 + crc32(str(cell).encode())

    def _enter(self, cell: Cell, p: Progress | None, sighted: list[Sighted], why: str = "") -> None:
        found = [_finding(cell, f.sighting, f.after) for f in together(sighted)]
        unknown = [(i, x) for i, x in enumerate(together(sighted)) if not found[i]["known"]]
        if unknown:
            for (i, x), told in zip(unknown, confirmations(cell.on, [f.sighting for _, f in unknown]), strict=True):
                if isinstance(told, Failed):
                    found[i]["confirmed"] = told.why
                else:
                    same = told.wrong is not None and told.wrong.shows(x.wrong)
                    found[i] |= {"confirmed": same, "own": told.own}
        told_line: dict[str, Any] = {
            "cell": str(cell), "on": cell.on, "setup": plain_setup(cell.setup), "budget": self.budget, "failed": why,
            "seconds": round(p.seconds, 2) if p else 0, "operations": p.operations if p else {},
            "judged": p.judged if p else 0, "seen": p.seen if p else {}, "tested": p.tested if p else {},
            "states": p.states if p else 0, "found": found,
            "followed": asdict(p.followed) if p is not None and p.followed is not None else None,
        }  # fmt: skip
        with self._lock:
            self.judged += told_line["judged"]
            self.times[str(cell)] += 1
            with opened(self.record, "at") as file:
                file.write(json.dumps(told_line) + "\n")
            names = ["/".join(f["known"]) or "UNEXPLAINED " + ", ".join(f["names"])[:100] for f in found]
            what = "; ".join([*names, *([f"FAILED {why[:200]}"] if why else [])]) or "nothing"
            print(f"{cell}: {told_line['judged']} operations ({self.judged:,} in all): {what}", flush=True)


def _finding(cell: Cell, s: Sighting, after: int) -> dict[str, Any]:
    w = s.wrong
    trace = Trace.of(s.setup, s.operations, (), cell.on, Found(w.kind.value, w.names, w.place, w.call, w.text[:2000]))
    ids = [k.id for k in known(cell.on, s.setup, w)]
    return {
        "kind": w.kind.value, "names": list(w.names), "place": w.place, "call": w.call, "known": ids, "after": after,
        "steps": len(s.operations), "trace": None if ids else json.loads(encode(trace)),
    }  # fmt: skip


def read(record: Path) -> list[dict[str, Any]]:
    """The lines of a record; none where there is none yet. What explains a finding is what is known now."""
    if not record.exists():
        return []
    with opened(record, "rt") as file:
        lines = [json.loads(line) for line in file]
    for f in (f for line in lines for f in line["found"] if not f["known"]):
        trace = decode(json.dumps(f["trace"]))
        assert trace.found is not None
        wrong = Wrong(Kind(f["kind"]), tuple(f["names"]), f["place"], f["call"], trace.found.text)
        f["known"] = [k.id for k in known(trace.on, trace.setup, wrong)]
    return lines


def opened(record: Path, mode: str) -> IO[str]:
    """A record, packed where its name ends in .gz; what is added to a packed one is packed by itself."""
    return cast("IO[str]", (gzip.open if record.suffix == ".gz" else open)(record, mode, encoding="utf-8"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("--on", nargs="*", default=[i.version for i in store.installed()][::-1])
    parser.add_argument("--cores", nargs="*", default=["python", "rust"])
    parser.add_argument("--policies", nargs="*", type=Policy, default=list(Policy))
    parser.add_argument("--budget", type=float, default=8.0, help="seconds a cell, on one core")
    parser.add_argument("--operations", type=int, help="operations a cell at most, whatever time is left")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--until", type=int, help="operations under every rule after which no hunt is begun")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--lockstep", action="store_true", help="the page model follows every call")
    parser.add_argument("--write", action="store_true", help="writes the page, and hunts nothing")
    args = parser.parse_args()
    if args.write:
        from tests.hunt.campaign_page import write

        write(read(args.record))
        return 0
    campaign = Campaign(args.record, args.budget, args.operations, args.jobs, args.lockstep)
    groups = [[c for c in cells(on, args.cores) if c.setup.policy in args.policies] for on in args.on]
    for _ in range(args.rounds):
        campaign.round(groups, args.until)
    told = read(args.record)
    unexplained = sum(not f["known"] for r in told for f in r["found"])
    failed = sum(bool(r["failed"]) for r in told)
    print(f"{campaign.judged:,} operations in all; {unexplained} findings unexplained, {failed} hunts failed")
    return 1 if unexplained or failed else 0


if __name__ == "__main__":
    sys.exit(main())
