"""Every fault of the page model, what finds it, and what holds without one: writes docs/model-faults.md.

python -m tests.explore.find_faults [--write] [--faults-only]
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from sanitree.checker.explore.promised import promised
from sanitree.checker.explore.results import Bounds, Searched, Trace
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import transitions
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Policy
from sanitree.models.protocol.pages import FAULTS, Pages, binary, pages
from sanitree.models.protocol.pages.faults import Fault

PAGE = Path(__file__).parents[2] / "docs" / "model-faults.md"
SETS = ((FULL,), (FULL, SWA), (FULL, MAMBA))
SMALL = Pages(parents=(0, 1, 2, 1, 0), device=4, host=3)
"""Enough pages for a split node with two children, a path of three and two trees."""
A_MINUTE = Bounds(seconds=60)

FULL_BOUND = (
    *(Pages(policy=p, parents=binary(8), device=5, host=4, requests=2, copies=2) for p in Policy),
    *(
        Pages(policy=p, components=c, parents=binary(5), device=4, host=3, requests=2, copies=2)
        for p, c in product(Policy, SETS[1:])
    ),
    Pages(policy=Policy.WRITE_THROUGH, parents=binary(9), device=7, host=6, requests=2, copies=2),
)
"""What every rule and every promise must hold in. The last has more than 10^7 states."""


@dataclass(frozen=True)
class Found:
    """What finds a fault: in which model, by what, after which moves, among how many states."""

    fault: Fault
    model: Pages
    by: str
    trace: Trace
    searched: Searched


def found(fault: Fault) -> Found | None:
    """The first model of those tried that shows a fault; None where none does."""
    for policy, components in product(Policy, SETS):
        model = replace(SMALL, policy=policy, components=components)
        if not fault.fits(model):
            continue
        s = explored(replace(model, fault=fault.name), A_MINUTE)
        if s.violation is not None:
            return Found(fault, model, s.violation.rule, s.violation.trace, s)
        for p in s.progress:
            if p.stuck is not None:
                return Found(fault, model, p.name, p.stuck, s)
    return None


def explored(model: Pages, bounds: Bounds | None = None) -> Searched:
    """A search for what violates a rule or breaks a promise."""
    t = transitions(pages(model))
    return search(t, bounds, progress=promised(t))


def name(model: Pages) -> str:
    """A model in a few words."""
    return f"{model.policy.value}, {'+'.join(c.name for c in model.components)}"


def rows_of_faults() -> Iterator[str]:
    yield "| fault | what is wrong | in a model with | found by | moves | states | seconds |"
    yield "|---|---|---|---|---|---|---|"
    for fault in FAULTS.values():
        f = found(fault)
        if f is None:
            yield f"| `{fault.name}` | {fault.what} | | **not found** | | | |"
            continue
        moves = " → ".join(f"{m.action.name} {m.node}" for m in f.trace.moves)
        yield (
            f"| `{fault.name}` | {fault.what} | {name(f.model)} | {linked(f.by)} | {len(f.trace.moves)}: {moves} "
            f"| {f.searched.states:,} | {f.searched.compile_seconds + f.searched.search_seconds:.1f} |"
        )
        print(f"{fault.name}: {f.by} after {len(f.trace.moves)} moves", file=sys.stderr)


def linked(rule: str) -> str:
    """A rule by its link; a promise is in no catalogue."""
    base = rule.split("[")[0]
    return f"`{rule}`" if base.endswith(("_end", "_evicted", "_emptied")) else f"[{rule}](catalogue.md#{base})"


def rows_of_clean_runs() -> Iterator[str]:
    yield "| model | pages | device, host | states | transitions | depth | seconds | bytes a state |"
    yield "|---|---|---|---|---|---|---|---|"
    for model in FULL_BOUND:
        s = explored(model)
        assert s.violation is None, f"{name(model)}: {s.violation}"
        assert s.complete
        assert all(p.holds for p in s.progress), f"{name(model)}: {[p.name for p in s.progress if not p.holds]}"
        print(f"{name(model)}: {s.states:,} states, clean", file=sys.stderr)
        yield (
            f"| {name(model)} | {model.count} | {model.device}, {model.host} | {s.states:,} | {s.transitions:,} "
            f"| {s.depth} | {s.compile_seconds + s.search_seconds:.1f} | {s.peak_bytes / s.states:.0f} |"
        )


TEXT = """<!-- Written by `python -m tests.explore.find_faults --write`. -->

# Faults of the model

The [page model](model.md) can be made wrong by name, mostly by the names that the [reference cache](faults.md) has.
Each fault is an edit of an action: a condition that is not asked for, an assignment that is forgotten, or something
that happens besides. `sanitree explore --fault NAME` finds it, by a rule that some reachable state violates, or by
something that can no longer be done. Here in {count} pages ({parents}), {device} of them on the device and {host} on
the host at one time, one request, two copies in flight. Moves are those of a shortest trace; seconds include
compilation, on {machine}, {date}, a machine that others used too.

{faults}

Faults that the reference cache has and the model cannot show: those of LRU lists, leaf sets and size counters, which it
does not keep; of what calls say of themselves (`eviction_says_too_much`, `loss_is_not_reported`), and of hits.

## Without a fault

Every rule that the model has words for holds in every state, and all that it promises can always still be done; up to
two requests and two copies in flight at one time.

{clean}
"""


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--write", action="store_true")
    args.add_argument("--faults-only", action="store_true")
    given = args.parse_args()
    faults = "\n".join(rows_of_faults())
    clean = "" if given.faults_only else "\n".join(rows_of_clean_runs())
    text = TEXT.format(
        count=SMALL.count, parents=", ".join(map(str, SMALL.parents)), device=SMALL.device, host=SMALL.host,
        machine=f"2 cores, Python {platform.python_version()}", date=datetime.now(UTC).date(),
        faults=faults, clean=clean,
    )  # fmt: skip
    if given.write:
        PAGE.write_text(text)
    else:
        print(text)
    if "**not found**" in faults:
        sys.exit(1)


if __name__ == "__main__":
    main()
