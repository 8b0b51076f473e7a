"""What a campaign in lockstep came to: docs/lockstep-measured.md, and the line that verdicts about the model end with.

    python -m tests.hunt.campaign RECORD --lockstep …
    python -m tests.lockstep.measured RECORD [--write]

Exits 1 where something parted that no accepted difference explains, or a floor is not reached.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sanitree.checker.lockstep.accepted import ACCEPTED
from sanitree.checker.lockstep.record import FILE
from sanitree.invariants.vocabulary import Policy
from sanitree.models.driving.open import core_with_nodes
from sanitree.models.engines.store import KNOWN_VERSIONS, version_key
from sanitree.models.protocol.pages import Pages, pages
from sanitree.models.protocol.pages.duplicates import duplicates
from tests.hunt.campaign import SETS, read

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lockstep-measured.md"

NEVER = {
    "prefetch": "what drives engines prefetches full attention alone",
}
"""Why an action was never taken, where that is known."""


CALLS, TAKEN = 30_000, 10
"""Floors: calls of each engine that were followed, on its Python core; and how often engines were seen to take each
action in each kind of cache, but for those that no engine ever takes."""


def engine(r: dict[str, Any]) -> str:
    """A line's cache: the reference cache, or an engine with its core where it has two."""
    return f"{r['on']} {r['setup']['core'] or ''}".strip()


def kinds() -> list[tuple[str, str]]:
    """Each policy and component set."""
    return [(p.value, "+".join(c.name for c in cs)) for p in Policy for cs in SETS]


def actions(policy: str, components: str) -> list[str]:
    """What the page model of a kind of cache can do; what it does in lockstep with later versions alone at the end."""
    sets = {"+".join(c.name for c in cs): cs for cs in SETS}
    m = Pages(Policy(policy), sets[components])
    more = [a.name for a in duplicates(m)] if m.policy is Policy.WRITE_BACK else []
    return [a.name for a in pages(m).actions] + more


def lines(record: Sequence[dict[str, Any]], day: str) -> Iterator[str]:
    """The page."""
    followed = [r for r in record if r.get("followed")]
    calls, took = called(followed), taken(followed)
    unseen: Counter[str] = Counter()
    accepted: dict[str, Counter[str]] = defaultdict(Counter)
    parted = _parted(followed)
    operations = sum(r["judged"] for r in followed)
    for r in followed:
        unseen[engine(r)] += r["followed"]["unseen"]
        accepted[engine(r)].update(r["followed"]["accepted"])
    yield "<!-- Written by `python -m tests.lockstep.measured RECORD --write`. -->"
    yield ""
    yield "# Lockstep, measured"
    yield ""
    yield (
        f"The [page model](model.md) followed {calls.total():,} calls of {operations:,} random operations on "
        f"{len(calls)} caches, in every policy and set of components (`python -m tests.hunt.campaign RECORD "
        f"--lockstep`, {day}, two cores of an AMD EPYC, shared with other work). [What it means](lockstep.md)."
    )
    yield ""
    yield "| cache | calls | not observed | accepted differences | neither |"
    yield "|---|---|---|---|---|"
    for name in sorted(calls, key=lambda n: (n == "reference", version_key(n.split()[0]) if n != "reference" else ())):
        said = ", ".join(f"{n:,} {kind}" for kind, n in accepted[name].most_common()) or "none"
        yield f"| {name} | {calls[name]:,} | {unseen[name]:,} | {said} | {parted[name]:,} |"
    yield ""
    yield "Not observed: the Rust core does not always show the tokens of its nodes, and pages are told apart by them."
    yield ""
    yield "## Which transitions engines were seen to take"
    yield ""
    kind_names = [f"{p} {c}" for p, c in kinds()]
    yield f"| action | {' | '.join(kind_names)} |"
    yield f"|---|{'---|' * len(kind_names)}"
    every = dict.fromkeys(a for p, c in kinds() for a in actions(p, c))
    never: dict[str, list[str]] = defaultdict(list)
    for a in every:
        cells = []
        for p, c in kinds():
            there = a in actions(p, c)
            if there and not took[p, c][a]:
                never[a].append(f"{p} {c}")
            cells.append((f"{took[p, c][a]:,}" if took[p, c][a] else "**never**") if there else "")
        yield f"| `{a}` | {' | '.join(cells)} |"
    yield ""
    for a, where in never.items():
        why = f": {NEVER[a]}" if a in NEVER else ""
        yield f"- `{a}` was never taken under {', '.join(where)}{why}."
    if not never:
        yield "Every action of the model was taken by an engine under every policy and set of components that has it."
    yield ""
    short = "; ".join(short_of_a_floor(record))
    yield (
        f"Floors: {CALLS:,} calls of the Python core of each engine, and each action {TAKEN} times in each kind of "
        f"cache, but where it says never. {f'Not reached: {short}.' if short else 'All are reached.'}"
    )
    yield ""
    yield "## Accepted differences"
    yield ""
    for a in ACCEPTED:
        n = sum(c[a.id] for c in accepted.values())
        yield f"- **{a.id}** ({n:,} calls{_since(a.first, a.until)}). {a.why}"
    if parted.total():
        yield ""
        yield "## Neither followed nor accepted"
        yield ""
        for r in followed:
            for f in r["found"]:
                if f["kind"] == "divergence":
                    yield f"- {r['cell']}: {f['call']}, {', '.join(f['names'][1:5])}"


def called(followed: Sequence[dict[str, Any]]) -> Counter[str]:
    """How many calls of each cache were followed."""
    found: Counter[str] = Counter()
    for r in followed:
        found[engine(r)] += sum(r["followed"]["calls"].values())
    return found


def taken(followed: Sequence[dict[str, Any]]) -> dict[tuple[str, str], Counter[str]]:
    """How often engines took each action, by policy and set of components."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for r in followed:
        if r["on"] != "reference":
            found[r["setup"]["policy"], "+".join(r["setup"]["components"])].update(r["followed"]["took"])
    return found


def short_of_a_floor(record: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What was not seen often enough."""
    followed = [r for r in record if r.get("followed")]
    calls, took = called(followed), taken(followed)
    for version in KNOWN_VERSIONS:
        name = f"{version} {core_with_nodes(version) or ''}".strip()
        if calls[name] < CALLS:
            yield f"{name}: {calls[name]:,} calls"
    for kind in kinds():
        for a in actions(*kind):
            if took[kind][a] < TAKEN and not (a in NEVER and not took[kind][a]):
                yield f"{a} under {' '.join(kind)}: {took[kind][a]}"


def _since(first: str, until: str | None) -> str:
    if not first:
        return ""
    return f"; SGLang {first} and later" if until is None else f"; SGLang {first} until {until}"


def _parted(followed: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(engine(r) for r in followed for f in r["found"] if f["kind"] == "divergence")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    record, day = read(args.record), datetime.now(UTC).strftime("%Y-%m-%d")
    followed = [r for r in record if r.get("followed")]
    if args.write:
        PAGE.write_text("\n".join(lines(record, day)) + "\n", encoding="utf-8")
        calls = {name: n for name, n in sorted(called(followed).items()) if name != "reference"}
        told = {"measured": day, "calls": calls, "parted": dict(_parted(followed))}
        FILE.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    else:
        print("\n".join(lines(record, day)))
    return 1 if _parted(followed).total() or any(short_of_a_floor(record)) else 0


if __name__ == "__main__":
    sys.exit(main())
