"""How often `sanitree blame` names the fault that corrupted a tree: `python -m tests.blame.measure RECORD`.

    python -m tests.blame.measure RECORD [--seeds 0 8] [--fault NAME] [--seconds 120]   adds to a record
    python -m tests.blame.measure RECORD --write                                      writes docs/blame-measured.md

Reference caches with each fault that a snapshot can show do random work; at the first violation a snapshot is
taken and blamed, once with the call that came last and once without. A record is a line of JSON each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sanitree.checker.blame.run import Blamed, blame
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Policy
from sanitree.models.reference.faults import FAULTS
from tests.blame.classes import SAME
from tests.blame.corrupting import SMALL, Corrupted, corrupted

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ((FULL,), (FULL, SWA), (FULL, MAMBA))

UNSEEN = frozenset({
    "eviction_stops_at_the_leaves", "eviction_says_too_much", "loss_is_not_reported", "eviction_throws_backups_away",
    "query_counts_hits", "backup_comes_a_hit_late", "check_demands_backed_up_parents",
})  # fmt: skip
"""Faults that only a call shows, or what it says of itself."""

SHOWN = tuple(name for name in FAULTS if name not in UNSEEN)


def right(fault: str, b: Blamed) -> list[bool]:
    """For each thing that is blamed, in order, whether it is the fault that was planted, or one of its class."""
    found: list[bool] = []
    named = next((c for c in SAME if fault in c), {fault})
    for d in b.misdefined:
        found.append(
            (fault == "eviction_ignores_locks" and "device_leaves" in d.field and ".lock" in d.condition)
            or (fault == "sizes_ignore_locks" and "_size" in d.field and ".lock" in d.condition)
        )
    for e in b.explanations:
        outdated = "up to date" in e.cause.name
        found.append(
            e.cause.name in named
            or (fault == "parent_is_not_refreshed" and outdated and "leaves" in e.cause.name)
            or (fault == "demoted_copy_is_in_no_list" and outdated and "in_lru" in e.cause.name)
        )
    return found


def rows(c: Corrupted, seconds: float) -> Iterator[dict[str, Any]]:
    """A snapshot blamed, with its history and without."""
    for history in (True, False):
        begun = time.process_time()
        b = blame(c.report, seconds=seconds, **({"operations": (c.call,)} if history else {}))
        hits = right(c.fault, b)
        yield {
            "fault": c.fault, "policy": c.setup.policy.value,
            "components": "+".join(x.name for x in c.setup.components),
            "seed": c.seed, "history": history, "call": c.call.value, "calls": c.calls,
            "nodes": len(c.report.snapshot.nodes) - 1, "pages": b.system.nodes,
            "rules": sorted({f.check.rule.id for f in c.report.findings if f.violated}),
            "place": hits.index(True) + 1 if True in hits else 0,
            "blamed": [d.field for d in b.misdefined] + [e.cause.name for e in b.explanations][:4],
            "moves": len(b.explanations[0].moves) if b.explanations else 0,
            "seconds": round(time.process_time() - begun, 2),
        }  # fmt: skip


def gather(record: Path, seeds: range, faults: Sequence[str], seconds: float) -> None:
    """Adds to a record what is not in it."""
    done = {key(r) for r in read(record)}
    with record.open("a") as file:
        for seed in seeds:
            for fault in faults:
                for policy in Policy:
                    for components in COMPONENTS:
                        place = (fault, policy.value, "+".join(c.name for c in components), seed)
                        if place in done or (c := corrupted(fault, policy, components, seed, small=SMALL)) is None:
                            continue
                        for row in rows(c, seconds):
                            print(json.dumps(row), file=file, flush=True)


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["fault"], row["policy"], row["components"], row["seed"]


def read(record: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []


def page(told: list[dict[str, Any]]) -> str:
    """The table, and what was missed."""
    seeds = {r["seed"] for r in told}
    lines = [
        "<!-- Written by `python -m tests.blame.measure tests/blame/measured.jsonl --write`. -->", "",
        "# Blame, measured", "",
        "Reference caches with a fault each at random work, in small pools; a snapshot at the first violation that a",
        "state shows, blamed once with the call that came last (history) and once without. *First* and *in three*: the",
        "fault that was planted, or one of its [class](blame-classes.md), is what is blamed first, or among the first",
        f"three. Nodes and seconds are medians. Seeds {min(seeds)} to {max(seeds)}, as far as the run came: lower ones",
        "were looked at while the ranking was made, and these were not. Where a fault does not show in a host tier as",
        "large as the device's, one that is soon full was tried.", "",
        f"Seconds are of CPU, for one core of a virtual machine with {os.cpu_count()} cores of an AMD EPYC, Python "
        f"{platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}. A question had 120 seconds in all, on a machine",
        "that had three times as much to do as it has cores.", "",
        "| fault | snapshots | nodes "
        "| with history: first | in three | seconds | without: first | in three | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for fault in sorted({r["fault"] for r in told}):
        lines.append(_line(f"`{fault}`", [r for r in told if r["fault"] == fault]))
    lines.append(_line("**all**", told))
    if missing := sorted(set(SHOWN) - {r["fault"] for r in told}):
        lines += ["", f"Did not show itself: {', '.join(f'`{name}`' for name in missing)}."]
    lines += ["", "## What was missed", "", *map(_missed, (r for r in told if r["place"] != 1))]
    return "\n".join(lines) + "\n"


def _missed(r: dict[str, Any]) -> str:
    blamed = ", ".join(f"`{b}`" for b in r["blamed"])
    found = "nothing was found" if not blamed else f"in place {r['place'] or 'none'} of {blamed}"
    return (
        f"- `{r['fault']}`, {r['policy']}, {r['components']}, seed {r['seed']}, "
        f"{'with' if r['history'] else 'without'} history, {r['pages']} pages, {r['seconds']:.0f} s: {found}"
    )


def _line(name: str, told: list[dict[str, Any]]) -> str:
    cells = [name, str(sum(r["history"] for r in told)), f"{statistics.median(r['nodes'] for r in told):.0f}"]
    for history in (True, False):
        mine = [r for r in told if r["history"] is history]
        if not mine:  # the record goes on
            cells += ["", "", ""]
            continue
        for most in (1, 3):
            cells.append(f"{100 * sum(1 <= r['place'] <= most for r in mine) / len(mine):.0f} %")
        cells.append(f"{statistics.median(r['seconds'] for r in mine):.1f}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 4))
    parser.add_argument("--fault", choices=SHOWN, action="append")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if args.write:
        (ROOT / "docs" / "blame-measured.md").write_text(page(read(args.record)))
        return
    gather(args.record, range(*args.seeds), args.fault or SHOWN, args.seconds)


if __name__ == "__main__":
    main()
