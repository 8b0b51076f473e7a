"""What is proved for trees of any size, what is left out and why, and how long it takes: writes docs/proofs.md.

python -m tests.prove.measure [--write] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
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

from sanitree.invariants.vocabulary import Policy

PAGE = Path(__file__).parents[2] / "docs" / "proofs.md"
SETS = ("full", "full,mamba", "full,swa")

TEXT = """<!-- Written by `python -m tests.prove.measure --write`. -->

# What is proved

[Pairs](proving.md) of an action and a claim, of trees of any size, by
`sanitree prove --policy P --components C --size any`. Seconds are those of the proof; seconds of CPU those of the
whole command, the start of Python included, on all cores together. Each is the median of {rounds}, on {machine},
{date}, a machine that others used too.

{table}

## Left out

What comes out as not known, with the reason; each was looked for on trees of three pages, a fork and a line, and no
counterexample is there.

{left}
"""


def proved(policy: Policy, components: str) -> dict[str, Any]:
    """What the command says, as data."""
    before = _cpu()
    command = [sys.executable, "-m", "sanitree.checker", "prove", "--policy", policy.value]
    done = subprocess.run(
        [*command, "--components", components, "--size", "any", "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1, 3):
        raise SystemExit(done.stderr)
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
        share = 100 * (len(pairs) - good) / len(pairs)
        left = [
            f"- {name}: `{p['action']}` × `{p['rule']}`: {p['reason']}" for p in told[0]["unprovable"]
        ]  # fmt: skip
        left += [f"- {name}: `{claim}` is no claim: {why}" for claim, why in told[0].get("unsaid", {}).items()]
        yield f"| {name} | {len(pairs):,} | {good:,} | {share:.1f} % | {seconds:.1f} | {cpu:.1f} |", left


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--write", action="store_true")
    args.add_argument("--rounds", type=int, default=1)
    given = args.parse_args()
    found = list(rows(given.rounds))
    head = [
        "| policy, components | pairs | proved | left out | seconds | seconds of CPU |",
        "|---|---|---|---|---|---|",
    ]
    text = TEXT.format(
        rounds=given.rounds, machine=f"2 cores of an Intel Xeon, Python {platform.python_version()}",
        date=datetime.now(UTC).date(), table="\n".join([*head, *(row for row, _ in found)]),
        left="\n".join(x for _, left in found for x in left) or "Nothing.",
    )  # fmt: skip
    if given.write:
        PAGE.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
