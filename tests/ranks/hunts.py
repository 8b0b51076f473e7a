"""Hunts with several ranks in every kind of cache, and writes the table of docs/ranks.md.

    python -m tests.ranks.hunts [--operations 1000] [--ranks 2] [--seed 0] [ON …]

ON is "reference", or a version, with ":rust" or ":python" where it has two cores. Rows of others are kept.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sanitree.checker.hunt.hunt import together
from sanitree.checker.hunt.known import known
from sanitree.checker.hunt.processes import confirmations, searches_in_turn
from sanitree.checker.hunt.search import Failed, Progress, Sighted, Task
from sanitree.checker.hunt.told import said
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Policy
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import write

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ranks.md"
WHERE = ("reference", "0.5.12", "0.5.13.post1", "0.5.18", "0.5.23:python", "0.5.23:rust")
LONGEST = 600.0
"""Seconds in each kind of cache, at most."""
BEGIN, END = "<!-- hunts -->", "<!-- end of hunts -->"


def setups(core: str | None, ranks: int) -> list[Setup]:
    return [
        Setup(policy=policy, components=components, core=core, ranks=ranks)
        for policy in Policy
        for components in ((FULL,), (FULL, SWA), (FULL, MAMBA))
    ]


def rows(where: str, operations: int, ranks: int, seed: int, save: Path | None) -> Iterator[str]:
    """A line for each kind of cache."""
    on, _, core = where.partition(":")
    own = on != "reference"
    tasks = [Task(on, s, seed, LONGEST, most=operations, own_check=own) for s in setups(core or None, ranks)]
    ended: dict[int, Progress] = {}
    sighted: dict[int, list[Sighted]] = {}
    failed: dict[int, str] = {}
    for number, event in searches_in_turn(tasks):
        match event:
            case Progress():
                ended[number] = event
            case Sighted():
                sighted.setdefault(number, []).append(event)
            case Failed():
                failed[number] = event.why
    for number, task in enumerate(tasks):
        found = list(together(sighted.get(number, [])))
        told = confirmations(on, [f.sighting for f in found])
        words = []
        for i, (f, again) in enumerate(zip(found, told, strict=True), 1):
            ids = [k.id for k in known(on, f.sighting.setup, f.wrong)]
            sure = not isinstance(again, Failed) and again.wrong is not None and again.wrong.shows(f.wrong)
            name = (
                f"[{ids[0]}](findings.md#{ids[0]})" if ids else f"**{f.wrong.kind.value}: {', '.join(f.wrong.names)}**"
            )
            words.append(name + ("" if sure else " (not confirmed)"))
            if not ids:
                print("   ", f.wrong.text, *map(said, f.sighting.operations), sep="\n      ", flush=True)
            if save is not None:
                save.mkdir(parents=True, exist_ok=True)
                write(f.trace(on), save / f"{where}-{number}-{i}.json")
        done = Counter(ended[number].operations) if number in ended else Counter()
        names = "+".join(c.name for c in task.setup.components)
        what = failed.get(number, "not run") if number not in ended else ", ".join(words) or "nothing"
        yield (
            f"| {where} | {task.setup.policy.value} | {names} | {done.total():,} | {done['copy_at']:,} "
            f"| {done['poll']:,} | {what} |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operations", type=int, default=1000, help="in each kind of cache, shrinking not counted")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path)
    parser.add_argument("where", nargs="*", default=list(WHERE))
    args = parser.parse_args()
    for where in args.where:
        new = []
        for line in rows(where, args.operations, args.ranks, args.seed, args.save):
            print(line, flush=True)
            new.append(line)
        head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        table, _, tail = rest.partition(END)
        kept = [line for line in table.splitlines() if line.startswith("| ") and line.split("|")[1].strip() in WHERE]
        kept = [line for line in kept if line.split("|")[1].strip() != where] + new
        kept.sort(key=lambda line: WHERE.index(line.split("|")[1].strip()))
        stamp = f"`python -m tests.ranks.hunts --operations {args.operations} --ranks {args.ranks}`"
        lines = ["| on | policy | components | operations | copies on one rank | polls | found |", "|" + "---|" * 7]
        PAGE.write_text("\n".join([f"{head}{BEGIN}", stamp, "", *lines, *kept, f"{END}{tail}"]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
