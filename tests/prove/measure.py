"""What is proved for trees of any size, what is left out and why, and how long it takes: writes docs/proofs.md.

python -m tests.prove.measure [--write] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from sanitree.checker.prove.run import BOUNDS
from sanitree.invariants.vocabulary import Policy

PAGE = Path(__file__).parents[2] / "docs" / "proofs.md"
SETS = ("full", "full,mamba", "full,swa")

TEXT = """<!-- Written by `python -m tests.prove.measure --write`. -->

# What is proved

[Pairs](proving.md) of an action and a claim, of trees of any size, by
`sanitree prove --policy P --components C --size any`. *Left out* counts the pairs that are not proved; *with claims
that cannot be said*, besides, a pair of each action and each claim that [measures a
window](proving.md#trees-of-any-size), which no formula here does. Seconds are those of the proof; seconds of CPU those
of the whole command, the start of Python included, on all cores together. Each is the median of {rounds}, on {machine},
{date}. Others used the machine too: its load was {load} when this was written, so that seconds say less than seconds of
CPU.

{table}

The aim is 10 seconds for a run, and 5 % of the pairs left out at most.

## Left out

What comes out as not known, with the reason. Each was looked for on trees of three pages, a fork and a line, where all
claims are supposed, and no counterexample is there. Where what is missing cannot be said of trees of any size, a small
tree is given in which all hold that can be said, and which the action breaks: it was done again without z3.

{left}
{measured}"""

MEASURED = "## Bounded induction"
"""What comes after it is kept: it is measured by hand."""


def proved(policy: Policy, components: str) -> dict[str, Any]:
    """What the command says, as data."""
    before = _cpu()
    command = [sys.executable, "-m", "sanitree.checker", "prove", "--policy", policy.value]
    done = subprocess.run(
        [*command, "--components", components, "--size", "any", "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"exit {done.returncode}: {done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told | {"cpu": _cpu() - before}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(rounds: int) -> Iterator[tuple[str, list[str]]]:
    """For each policy and set of components a row, and what is left out."""
    for components, policy in product(SETS, Policy):
        told = [proved(policy, components) for _ in range(rounds)]
        seconds = statistics.median(t["seconds"] for t in told)
        cpu = statistics.median(t["cpu"] for t in told)
        pairs = told[0]["pairs"]
        good = sum(p["verdict"] == "proved" for p in pairs)
        name = f"{policy.value}, {components.replace(',', '+')}"
        print(f"{name}: {good} of {len(pairs)}, {seconds:.1f} s", file=sys.stderr)
        actions = len({p["action"] for p in pairs})
        lost = [claim for claim in told[0]["unsaid"] if claim != BOUNDS]
        missing = len(pairs) - good
        shares = [missing / len(pairs), (missing + actions * len(lost)) / (len(pairs) + actions * len(lost))]
        left = [f"- {name}: `{p['action']}` × `{p['rule']}`: {p['reason']}{drawn(p)}" for p in told[0]["unprovable"]]
        left += [f"- {name}: `{claim}` is no claim: {why}" for claim, why in told[0]["unsaid"].items()]
        told_of = " | ".join(f"{100 * share:.1f} %" for share in shares)
        yield f"| {name} | {len(pairs):,} | {good:,} | {told_of} | {seconds:.1f} | {cpu:.1f} |", left


def drawn(p: dict[str, Any]) -> str:
    """A counterexample in a line."""
    if (c := p["counterexample"]) is None:
        return ""
    before = "; ".join(
        f"{page}: {', '.join(k if v == 1 else f'{k} = {v}' for k, v in said.items())}"
        for page, said in c["before"].items()
    )  # fmt: skip
    return f". Parents {c['parents']}, {c['move']['action']} of {c['move']['node']}, before it {before}"


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--write", action="store_true")
    args.add_argument("--rounds", type=int, default=1)
    given = args.parse_args()
    found: list[tuple[str, list[str]]] = []
    for row in rows(given.rounds):
        found.append(row)
        if given.write:  # what is measured is kept, whatever becomes of the rest
            PAGE.write_text(page(found, given.rounds))
    if not given.write:
        print(page(found, given.rounds))


def page(found: list[tuple[str, list[str]]], rounds: int) -> str:
    """The page, as far as it has been measured."""
    head = [
        "| policy, components | pairs | proved | left out | with claims that cannot be said | seconds "
        "| seconds of CPU |",
        "|---|---|---|---|---|---|---|",
    ]
    kept = PAGE.read_text().partition(MEASURED) if PAGE.exists() else ("", "", "")
    table = "\n".join([*head, *(row for row, _ in found)])
    left = "\n".join(x for _, told in found for x in told) or "Nothing."
    return TEXT.format(
        rounds=rounds, machine=f"a virtual machine with 2 cores of an AMD EPYC, Python {platform.python_version()}",
        date=datetime.now(UTC).date(), load=f"{os.getloadavg()[1]:.0f}", table=table, left=left,
        measured="\n" + "".join(kept[1:]) if kept[1] else "",
    )  # fmt: skip


if __name__ == "__main__":
    main()
