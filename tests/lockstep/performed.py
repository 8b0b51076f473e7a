"""Runs of the page model, done by engines: docs/lockstep-performed.md.

    python -m tests.lockstep.performed [--on 0.5.12 … reference] [--walks 20] [--moves 12] [--jobs 2] [--write]

Of each kind of cache, on a trie of four pages: a shortest run to every state that puts a rule to the test, one to where
each action of each page is allowed, and so many random runs of so many moves; and of every fault of the model a
shortest run to what it breaks, which a cache can do to the end only if it has that fault. `--write` writes the page.
Exits 1 where a cache parts from a run and nothing explains it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from sanitree.checker.explore.concrete import NotARunError, named
from sanitree.checker.explore.results import Bounds, Goal
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import Transitions, transitions
from sanitree.checker.explore.witnesses import witnesses
from sanitree.checker.perform.again import all_done_by
from sanitree.checker.perform.explained import REASONS
from sanitree.checker.perform.perform import Run
from sanitree.checker.perform.runs import run_of, to_what_is_wrong, walk, with_backups
from sanitree.checker.perform.scheduled import BACKED_UP_AT_ONCE, DECIDED, scheduled
from sanitree.invariants.vocabulary import Component, Policy
from sanitree.models.driving.open import core_with_nodes
from sanitree.models.driving.setup import Setup
from sanitree.models.engines import store
from sanitree.models.protocol.pages import FAULTS, Fault, Pages, binary, pages
from sanitree.models.protocol.pages.duplicates import with_duplicates
from tests.hunt.campaign import SETS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "lockstep-performed.md"
DEVICE, HOST = 6, 3
"""Pages: the device has room for a prompt beside a full tree, the host has less than the tree."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of cache of one engine."""

    on: str
    policy: Policy
    components: tuple[Component, ...]

    def __str__(self) -> str:
        return f"{self.policy.value} {'+'.join(c.name for c in self.components)}"

    def since(self, version: str) -> bool:
        """It is an engine of that version or a later one, or the reference cache."""
        return self.on == "reference" or store.at_least(self.on, version)

    @property
    def model(self) -> Pages:
        """Of the cache's size: up to 0.5.14 an engine insists on a host pool that is larger than the device's."""
        host = HOST if self.since("0.5.15") else DEVICE + 1
        return Pages(
            self.policy, self.components, binary(4), device=DEVICE, host=host, copies=4, requests=2, window=2
        )  # fmt: skip

    @property
    def setup(self) -> Setup:
        rooms = {"device_pages": DEVICE, "host_pages": HOST, "states": DEVICE}
        return Setup(policy=self.policy, components=self.components, window=2, core=core_with_nodes(self.on), **rooms)

    def moves(self, fault: str | None = None) -> Transitions:
        """What the model does of what a cache can."""
        m = replace(self.model, fault=fault)
        system = with_duplicates(m) if self.on != "reference" and self.since("0.5.18") else pages(m)
        actions = tuple(a for a in system.actions if a.name != "prefetch" or self.since("0.5.13"))
        return transitions(scheduled(replace(system, actions=actions), m))


@dataclass(frozen=True, slots=True)
class ToDo:
    """kind: "goal", "random" or "fault". sound: of a run with a fault, the same moves without it, where they can be
    made: a cache that did both could not be told to have the fault."""

    kind: str
    run: Run
    sound: Run | None = None


def runs(cell: Cell, walks: int, length: int, faults: Iterable[Fault] = FAULTS.values()) -> list[ToDo]:
    """Runs to be done by a kind of cache: those that lead to a goal, random ones, and those that break a rule."""
    t = cell.moves()
    goals = [*witnesses(t, t.system.settings), *(Goal(f"{x.action.name} of {x.node}", x.guard) for x in t.moves)]
    traces = [g.trace for g in search(t, goals=goals, cores=1).goals if g.trace is not None]
    to_goals = {r.moves: r for x in traces if x.moves for r in [run_of(t, with_backups(t, x.moves))]}
    rng = Random(str(cell))
    broken = (_broken(cell, t, f) for f in faults if f.fits(cell.model))
    return [
        *(ToDo("goal", r) for r in to_goals.values()),
        *(ToDo("random", walk(t, rng, length)) for _ in range(walks)),
        *(x for x in broken if x is not None),
    ]


def _broken(cell: Cell, sound: Transitions, fault: Fault) -> ToDo | None:
    """A shortest run to what a fault breaks; None where it breaks nothing in what a cache can do."""
    t = cell.moves(fault.name)
    try:
        found = search(t, Bounds(states=300_000), cores=1).violation
    except OverflowError:  # it breaks the model's own bounds first
        return None
    if found is None:
        return None
    run = run_of(t, to_what_is_wrong(t, found.trace.moves, found.rule), fault.name)
    try:
        return ToDo("fault", run, run_of(sound, named(sound, run.moves)))
    except NotARunError:
        return ToDo("fault", run)


def one(cell: Cell, walks: int, length: int, faults: Iterable[Fault] = FAULTS.values()) -> list[dict[str, Any]]:
    """What comes of all runs of a kind of cache."""
    to_do = runs(cell, walks, length, faults)
    done = iter(all_done_by(cell.on, cell.setup, [r for x in to_do for r in (x.run, x.sound) if r is not None]))
    found = []
    for x in to_do:
        d = next(done)
        sound = next(done) if x.sound is not None else None
        told = d["whole"] and not (sound is not None and sound["whole"])
        about = {"on": cell.on, "cell": str(cell), "kind": x.kind, "fault": x.run.fault, "run": x.run.moves}
        found.append({**about, **d, "whole": told})
    return found


def unexplained(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs of the model without a fault from which a cache parted for no known reason."""
    return [r for r in results if r["kind"] != "fault" and not r["whole"] and not r["why"]]


def lines(results: list[dict[str, Any]], day: str, walks: int, length: int) -> Iterator[str]:
    """The page."""
    sound = [r for r in results if r["kind"] != "fault"]
    engines = list(dict.fromkeys(r["on"] for r in results))
    whole = sum(r["whole"] for r in sound)
    moves = sum(r["moves"] for r in sound)
    yield "<!-- Written by `python -m tests.lockstep.performed --write`. -->"
    yield ""
    yield "# Runs of the model, performed by engines"
    yield ""
    yield (
        f"`python -m tests.lockstep.performed` ({day}): of {len(sound):,} runs of the [page model](model.md), "
        f"{len(engines)} caches did {whole:,} to the end, {moves:,} moves in all; from {len(sound) - whole:,} they "
        f"part, each for one of the reasons below{_but(len(unexplained(results)))}. [What it means](lockstep.md)."
    )
    yield ""
    yield (
        "Of each kind of cache, on a trie of four pages: a shortest run to every state that puts a rule to the test "
        f"and to where each action of each page is allowed, and {walks} random ones of {length} moves. A cell: runs "
        "done to the end, of all that lead to a goal, and of all random ones."
    )
    yield ""
    cells = list(dict.fromkeys(r["cell"] for r in results))
    yield f"| | {' | '.join(cells)} |"
    yield f"|---|{'---|' * len(cells)}"
    for on in engines:
        told = []
        for cell in cells:
            here = [r for r in sound if r["on"] == on and r["cell"] == cell]
            counted = [(k, [r for r in here if r["kind"] == k]) for k in ("goal", "random")]
            told.append(", ".join(f"{sum(r['whole'] for r in rs)}/{len(rs)}" for _, rs in counted))
        yield f"| {on} | {' | '.join(told)} |"
    yield ""
    yield "## What a model's run leaves out"
    yield ""
    yield "A run that a cache is to do is of the model with more asked of some actions:"
    yield ""
    for id_, why in (BACKED_UP_AT_ONCE, *((d.id, d.why) for d in DECIDED)):
        yield f"- **{id_}**. {why}"
    yield ""
    yield "## Why caches part"
    yield ""
    reasons = Counter(r["why"] for r in sound if not r["whole"])
    for x in REASONS:
        if reasons[x.id]:
            yield f"- **{x.id}** ({reasons[x.id]:,} runs). {x.why}"
    for r in unexplained(results):
        yield f"- not explained: {r['on']} {r['cell']}, {_said(r)}: {'; '.join(r['differences'][:4])}"
    yield ""
    yield "## Runs that break a rule"
    yield ""
    yield (
        "A shortest run to what each fault of the model breaks, in each kind of cache that can show it. A cache that "
        "does it to the end, and not the same moves as the model without the fault does them, has the fault."
    )
    yield ""
    broken = [r for r in results if r["kind"] == "fault"]
    have: dict[str, list[str]] = defaultdict(list)
    for r in broken:
        if r["whole"]:
            have[r["on"]].append(f"`{r['fault']}` ({r['cell']})")
    yield f"Of {len(broken):,} such runs {sum(r['whole'] for r in broken):,} were done to the end:"
    yield ""
    for on, faults in have.items():
        yield f"- {on}: {', '.join(faults)}"


def _but(left: int) -> str:
    return f", but {left} that nothing explains" if left else ""


def _said(r: dict[str, Any]) -> str:
    return ", ".join(f"{action} {page}" for action, page in r["run"][: r["moves"] + 1])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--on", nargs="*", default=[*(i.version for i in store.installed()), "reference"])
    parser.add_argument("--policies", nargs="*", type=Policy, default=list(Policy))
    parser.add_argument("--walks", type=int, default=20)
    parser.add_argument("--moves", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    cells = [Cell(on, p, cs) for on in args.on for p in args.policies for cs in SETS]
    results: list[dict[str, Any]] = []
    with ThreadPoolExecutor(args.jobs) as pool:
        for cell, found in zip(cells, pool.map(lambda c: one(c, args.walks, args.moves), cells), strict=True):
            results += found
            sound = [r for r in found if r["kind"] != "fault"]
            print(cell.on, cell, f"{sum(r['whole'] for r in sound)} of {len(sound)}", flush=True)
            for r in found:
                if r["kind"] == "fault" and r["whole"]:
                    print(f"    has {r['fault']}: {_said(r)}", flush=True)
            for r in unexplained(found):
                print(f"    {_said(r)}: took {r['took']}, {r['differences'][:4]}", flush=True)
    if args.write:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        PAGE.write_text("\n".join(lines(results, day, args.walks, args.moves)) + "\n", encoding="utf-8")
    return 1 if unexplained(results) else 0


if __name__ == "__main__":
    sys.exit(main())
