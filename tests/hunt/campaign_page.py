"""The page about a campaign, from its record: docs/campaign.md."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sanitree.checker.tally import EVERY
from sanitree.invariants.catalogue import RULES
from sanitree.models.driving.operations import OF_ONE_CACHE
from sanitree.models.engines.findings import FINDINGS
from sanitree.models.engines.store import version_key

PAGE = Path(__file__).resolve().parents[2] / "docs" / "campaign.md"
MEASURED = "2026-11-25 to 27, two cores of an Intel Xeon and of an AMD EPYC, at the lowest priority beside other work"

_INTERFACE = "unified_tree_core_interface.py: UnifiedTreeCoreInterface"
_ALIKE = (
    "our mistake, mended: where the Rust core does not show tokens, nodes that nothing else tells apart were compared "
    "one by one, in an order that says nothing; gone when done again"
)
MENDED = {
    ("exception", "NotImplementedError", f"{_INTERFACE}.build_backup_kv_action", True): (
        "our mistake, mended: on 0.5.22's Rust core the driver called `build_backup_kv_action`, which that version's "
        "scheduler calls in buffer mode alone"
    ),
    ("exception", "never ends", "", False): (
        "our mistake, mended: patience was by the clock, and a busy machine can give a process nothing for as long; "
        "gone when done again"
    ),
    ("difference", "node.load_pending", "", True): _ALIKE,
    ("difference", "node.lock.swa.device", "", True): _ALIKE,
    ("difference", "node.lock.swa.device", "", False): _ALIKE,
}
"""What was found and is not the engine's, by kind, first name, place, and whether a fresh process confirmed it."""

FLOOR_OF_OPERATIONS = 50
"""Times that each operation is to be done in each engine, of those that can do it."""
FLOOR_OF_RULES = 100
"""Instances counted that are to put each rule to the test."""
NOT_BEFORE = {"prefetch": "0.5.13", "finish_prefetch": "0.5.13"}
"""The first engine that does an operation."""

Record = Sequence[dict[str, Any]]


def write(record: Record) -> None:
    """Writes the page."""
    PAGE.write_text("\n".join(_lines(record)) + "\n", encoding="utf-8")


def _lines(record: Record) -> Iterator[str]:
    judged = sum(r["judged"] for r in record)
    operations = sum((Counter(r["operations"]) for r in record), Counter())
    seen = sum((Counter(r["seen"]) for r in record), Counter())
    cells = {_cell(r) for r in record}
    budgets = sorted({r["budget"] for r in record})
    yield "<!-- Written by `python -m tests.hunt.campaign RECORD --write`. -->"
    yield ""
    yield "# Campaign"
    yield ""
    yield (
        "`python -m tests.hunt.campaign RECORD` hunts in every kind of cache of every engine: each version, policy, "
        "set of components, page of one token and of four, core, "
        "and both cores side by side. A hunt goes past what is known. The record can be "
        f"gone on with at any time. This page is of {len(record):,} hunts in {len(cells):,} kinds of cache, "
        f"{' or '.join(f'{b:g}' for b in budgets)} seconds each ({MEASURED})."
    )
    yield ""
    yield (
        f"**{judged:,} operations** were done under every rule ({sum(operations.values()):,} with those that only led "
        f"to where a run went on): {seen['states']:,} states and {seen['steps']:,} steps were judged."
    )
    yield ""
    yield from _found(record)
    yield from _operations(operations, record)
    yield from _rules(record)
    yield from _engines(record)


def _cell(r: dict[str, Any]) -> tuple[str, ...]:
    s = r["setup"]
    return (r["on"], s["core"] or "", s["policy"], "+".join(s["components"]), str(s["page_size"]))


def _found(record: Record) -> Iterator[str]:
    known: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    mended: Counter[str] = Counter()
    unexplained: Counter[str] = Counter()
    failed = [r for r in record if r["failed"]]
    for r in record:
        for f in r["found"]:
            for name in f["known"]:
                known[name].add(_cell(r))
            if f["known"]:
                continue
            why = MENDED.get((f["kind"], f["names"][0], f["place"], f["confirmed"]))
            if why is not None:
                mended[why] += 1
            else:
                unexplained[f"{' '.join(_cell(r))}: {f['kind']} {', '.join(f['names'])} {f['place']}"] += 1
    yield "## What was found"
    yield ""
    yield "| | where | first version without it | kinds of cache |"
    yield "|---|---|---|---|"
    for finding in FINDINGS:
        if finding.id in known:
            link, fixed = f"[{finding.id}](findings.md#{finding.id})", finding.fixed or "none so far"
            yield f"| {link} | `{finding.where}` | {fixed} | {len(known[finding.id])} |"
    yield ""
    yield "Each is a mistake of the engine's, or, where no rule is named there, of the engine's own check."
    yield ""
    for why, hunts in mended.items():
        yield f"- {why} ({hunts} hunts)"
    for what, hunts in unexplained.items():
        yield f"- **unexplained**: {what} ({hunts} hunts)"
    if not unexplained:
        yield "- Nothing is unexplained."
    if failed:
        yield f"- {len(failed)} hunts failed: {'; '.join(sorted({r['failed'][:120] for r in failed}))}"
    yield ""


def _operations(operations: Counter[str], record: Record) -> Iterator[str]:
    engines: dict[str, Counter[str]] = defaultdict(Counter)
    for r in record:
        engines[r["on"]].update(r["operations"])
    able = {n: [on for on in engines if version_key(on) >= version_key(NOT_BEFORE.get(n, on))] for n in OF_ONE_CACHE}
    least = {name: min((engines[on][name] for on in able[name]), default=0) for name in OF_ONE_CACHE}
    yield "## Operations"
    yield ""
    yield _floor("operation in each engine that can do it", FLOOR_OF_OPERATIONS, least)
    yield ""
    yield "| operation | in all | in the engine that had the fewest |"
    yield "|---|---|---|"
    for name in sorted(OF_ONE_CACHE, key=lambda n: (-operations[n], n)):
        yield f"| {name} | {operations[name]:,} | {least[name]:,} |"
    yield ""
    yield "Prefetches are of caches with full attention alone, from 0.5.13 on."
    yield ""


def _floor(of_each: str, floor: int, counted: Mapping[str, int]) -> str:
    below = sorted(name for name, count in counted.items() if count < floor)
    return f"Floor: {floor} of each {of_each}. " + (f"**Not met**: {', '.join(below)}." if below else "Met by all.")


def _rules(record: Record) -> Iterator[str]:
    tested: Counter[str] = Counter()
    for r in record:
        tested.update(r["tested"])
    asked = {name for r in record for name in r["tested"]}
    never = [r.id for r in RULES if r.id in asked and not tested[r.id]]
    unasked = [r.id for r in RULES if r.id not in asked]
    yield "## Rules"
    yield ""
    yield (
        "Instances that put a rule to the test: its condition held, and it was judged. They are counted in one state "
        f"or step of {EVERY} of its kind, so about {EVERY} times as many were judged."
    )
    yield ""
    yield _floor("rule", FLOOR_OF_RULES, {name: tested[name] for name in asked})
    yield ""
    yield "| rule | counted |"
    yield "|---|---|"
    for name in sorted((n for n in asked if tested[n]), key=lambda n: (tested[n], n)):
        yield f"| [{name}](catalogue.md#{name}) | {tested[name]:,} |"
    yield ""
    yield f"Never put to the test: {', '.join(never) or 'none'}."
    yield ""
    yield f"Of none of these caches: {', '.join(unasked) or 'none'}."
    yield ""


def _engines(record: Record) -> Iterator[str]:
    yield "## Engines"
    yield ""
    yield "| engine | core | kinds of cache | hunts | operations | found |"
    yield "|---|---|---|---|---|---|"
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for r in record:
        groups[r["on"], r["setup"]["core"] or "python"].append(r)
    for (on, core), hunts in sorted(groups.items(), key=lambda g: (version_key(g[0][0]), g[0][1])):
        names = sorted({name for r in hunts for f in r["found"] for name in f["known"]})
        kinds, judged = len({_cell(r) for r in hunts}), sum(r["judged"] for r in hunts)
        yield f"| {on} | {core} | {kinds} | {len(hunts)} | {judged:,} | {', '.join(names) or 'nothing'} |"
