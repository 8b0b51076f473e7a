"""Hunts for what real engines are known to do wrong, knowing nothing but the kind of cache: docs/track-record.md.

    python -m tests.hunt.track_record [--budget 60] [--seed 0] [--again] [FINDING …]

Writes the page, and the shrunk trace of each finding to tests/traces. Findings that are not asked for keep their rows.
`--again` hunts nothing: it does the traces again, for what the engine's own oracles say.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from sanitree.checker.hunt.confirm import LATER, SAME, SILENT, Confirmed
from sanitree.checker.hunt.hunt import hunt
from sanitree.checker.hunt.known import known
from sanitree.checker.hunt.processes import confirmations
from sanitree.checker.hunt.search import Failed
from sanitree.checker.hunt.wrong import Kind, Sighting, Wrong
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import read, write
from sanitree.models.engines.findings import FINDINGS

ROOT = Path(__file__).resolve().parents[2]
PAGE, TRACES = ROOT / "docs" / "track-record.md", ROOT / "tests" / "traces"


@dataclass(frozen=True, slots=True)
class Where:
    """The newest version that has it, and a kind of cache that shows it."""

    on: str
    policy: Policy
    components: tuple[Component, ...] = (FULL,)
    ranks: int = 1

    @property
    def setup(self) -> Setup:
        return Setup(policy=self.policy, components=self.components, ranks=self.ranks)

    @property
    def command(self) -> str:
        names = "" if self.components == (FULL,) else f" --components {','.join(c.name for c in self.components)}"
        ranks = "" if self.ranks == 1 else f" --ranks {self.ranks}"
        return f"sanitree hunt --on {self.on} --policy {self.policy.value}{names}{ranks}"


RECORD = {
    "write-back-not-awaited": Where("0.5.12.post1", Policy.WRITE_BACK),
    "write-back-ack-unlocks-root-path": Where("0.5.12.post1", Policy.WRITE_BACK),
    "backup-check-wrong-under-write-back": Where("0.5.12.post1", Policy.WRITE_BACK),
    "split-forgets-pending-write": Where("0.5.12.post1", Policy.WRITE_THROUGH),
    "window-recovery-frees-locked-slots": Where("0.5.14", Policy.WRITE_THROUGH, (FULL, SWA)),
    "eviction-stalls-when-host-is-full": Where("0.5.16", Policy.WRITE_BACK),
    "window-eviction-never-ends": Where("0.5.16", Policy.WRITE_BACK, (FULL, SWA)),
    "state-eviction-never-ends": Where("0.5.16", Policy.WRITE_BACK, (FULL, MAMBA)),
    "load-back-evicts-its-source": Where("0.5.13.post1", Policy.WRITE_BACK),
    "load-backs-share-a-window": Where("0.5.18", Policy.WRITE_BACK, (FULL, SWA)),
    "duplicate-check-wrong-while-loading": Where("0.5.23", Policy.WRITE_THROUGH),
    "load-acks-not-agreed": Where("0.5.12.post1", Policy.WRITE_THROUGH, ranks=2),
}
OF_THE_CAMPAIGN = {
    "prefetch-lands-below-what-is-not-backed-up": "0.5.16",
    "list-check-wrong-while-loading": "0.5.19",
    "rust-keeps-auxiliary-data-while-loading": "0.5.20",
    "rust-evicts-other-host-windows": "0.5.20",
    "eviction-declined-below-its-size": "0.5.23",
    "dropped-subtree-is-not-counted": "0.5.23",
}
"""Too rare for a hunt of a minute: the campaign found them, and their traces are kept by hand; the version of each."""
HEAD = """<!-- Written by `python -m tests.hunt.track_record`. -->

# Track record

Bugs of real engines, and the one command that finds each, knowing nothing but the kind of cache. Steps are
those of the shrunk trace in `tests/traces`; operations and seconds are until it was first seen, on a machine with
two cores that others used too. `sanitree replay` does each trace again; a test does, where a bug is and where it
is fixed. The last column is what the engine's own oracles say in a fresh process, had they been on: its tree check
(`sanity_check`), the scheduler's accounting of pools, and from 0.5.15 its page invariants. They complain at the
same operation, later (when every request has ended and every copy has landed), or not at all. What a hunt of a
minute seldom comes upon was found by the [campaign](campaign.md); the command does its trace again.

| bug | versions | command | steps | operations | seconds | the engine's own oracles |
|---|---|---|---|---|---|---|
"""


def row(name: str, on: str, command: str, steps: int, after: str, seconds: str, own: str) -> str:
    """A line of the table."""
    finding = next(x for x in FINDINGS if x.id == name)
    versions = f"{finding.first} to {on}" if finding.first != on else on
    fixed = f", fixed in {finding.fixed}" if finding.fixed else ", not fixed"
    link = f"[{name}](findings.md#{name})"
    return f"| {link} | {versions}{fixed} | `{command}` | {steps} | {after} | {seconds} | {own} |"


def said(wrong: Wrong, told: Confirmed | Failed | None) -> str:
    """What the engine's own oracles say of it."""
    if wrong.kind is Kind.EXCEPTION:
        return "the engine stops"
    if wrong.kind is Kind.COMPLAINT:
        return "sanity_check: it is what errs"
    if not isinstance(told, Confirmed):
        return "not asked"
    return ", ".join(f"{oracle}: {_WHEN[when]}" for oracle, when in told.oracles.items())


def again(name: str, old: str) -> str:
    """A finding's row with what the oracles say of the trace that is kept; the rest as it was."""
    where, cells = RECORD[name], [x.strip() for x in old.split("|")]
    steps, own = kept(name, where.on)
    return row(name, where.on, where.command, steps, cells[5], cells[6], own)


def of_the_campaign(name: str) -> str:
    """A finding's row where a trace is all there is."""
    on = OF_THE_CAMPAIGN[name]
    steps, own = kept(name, on)
    return row(name, on, f"sanitree replay tests/traces/{name}.json --on {on}", steps, "", "", own)


def kept(name: str, on: str) -> tuple[int, str]:
    """Of the trace that is kept: its steps, and what the engine's own oracles say of it."""
    trace = read(TRACES / f"{name}.json")
    assert trace.found is not None
    f = trace.found
    wrong = Wrong(Kind(f.kind), f.names, f.place, f.call, f.text)
    operations = tuple(d.operation for d in trace.operations)
    (told,) = confirmations(on, [Sighting(trace.setup, operations, wrong)])
    return len(operations), said(wrong, told)


_WHEN = {SAME: "the same", LATER: "later", SILENT: "silent"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("findings", nargs="*", default=[*RECORD, *OF_THE_CAMPAIGN])
    args = parser.parse_args()
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    rows = {line[3:].split("]")[0]: line for line in lines if line.startswith("| [")}
    missed = []
    for name in args.findings:
        if name in OF_THE_CAMPAIGN:
            rows[name] = of_the_campaign(name)
            print(rows[name], flush=True)
            continue
        where = RECORD[name]
        if args.again:
            rows[name] = again(name, rows[name])
            print(rows[name], flush=True)
            continue
        h = hunt(where.on, where.setup, args.budget, args.seed, args.jobs)
        ids = [{k.id for k in known(where.on, f.sighting.setup, f.wrong)} for f in h.findings]
        found = next((f for f, own in zip(h.findings, ids, strict=True) if name in own and f.is_confirmed), None)
        if found is None:
            missed.append(name)
            print(f"{name}: NOT FOUND in {h.operations.total()} operations: {ids} {h.failures}", flush=True)
            continue
        write(found.trace(where.on), TRACES / f"{name}.json")
        steps, own = len(found.sighting.operations), said(found.wrong, found.confirmed)
        rows[name] = row(name, where.on, where.command, steps, str(found.after), f"{found.seconds:.1f}", own)
        print(rows[name], flush=True)
    PAGE.write_text(HEAD + "".join(f"{rows[n]}\n" for n in (*RECORD, *OF_THE_CAMPAIGN) if n in rows), encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
