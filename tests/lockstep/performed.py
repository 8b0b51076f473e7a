"""Runs of the page model, done by engines: docs/lockstep-performed.md.

    python -m tests.lockstep.performed [--on 0.5.12 … reference] [--walks 20] [--moves 12] [--jobs 2] [--write]

Of each kind of cache, on a trie of four pages: a shortest run to every state that puts a rule to the test, one to where
each action of each page is allowed, and so many random runs of so many moves. `--write` writes the page.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from sanitree.checker.explore.results import Goal
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import transitions
from sanitree.checker.explore.witnesses import witnesses
from sanitree.checker.perform.explained import Parted, reason
from sanitree.checker.perform.perform import Run, perform
from sanitree.checker.perform.runs import of_plain, plain, run_of, walk, with_backups
from sanitree.checker.perform.scheduled import scheduled
from sanitree.invariants.plugins import component
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.setup import Setup
from sanitree.models.engines import store
from sanitree.models.engines.build import FIRST_RUST
from sanitree.models.engines.process import run_in_engine
from sanitree.models.protocol.pages import Pages, binary, pages
from sanitree.models.protocol.pages.duplicates import duplicates

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "lockstep-performed.md"
SETS: tuple[tuple[Component, ...], ...] = ((FULL,), (FULL, SWA), (FULL, MAMBA))
DEVICE, HOST = 6, 3
"""Pages: the device has room for a prompt beside a full tree, the host has less than the tree."""
FIRST_DUPLICATES = "0.5.18"


def runs(on: str, policy: Policy, components: tuple[Component, ...], walks: int, moves: int) -> tuple[list[Run], int]:
    """Runs to be done by a kind of cache, and how many of them lead to a goal."""
    # Up to 0.5.14 an engine insists on a host pool that is larger than the device's.
    host = HOST if on == "reference" or store.at_least(on, "0.5.15") else DEVICE + 1
    m = Pages(policy, components, binary(4), device=DEVICE, host=host, copies=4, requests=2, window=2)
    system = pages(m)
    if policy is Policy.WRITE_BACK and on != "reference" and store.at_least(on, FIRST_DUPLICATES):
        system = replace(system, actions=(*system.actions, *duplicates(m)))
    t = transitions(scheduled(system, m))
    goals = [*witnesses(t, system.settings), *(Goal(f"{x.action.name} of {x.node}", x.guard) for x in t.moves)]
    found = search(t, goals=goals, cores=1)
    traces = [g.trace for g in found.goals if g.trace is not None]
    wanted = {run_of(t, with_backups(t, x.moves, x.states[-1])).moves: x for x in traces if x.moves}
    shortest = [run_of(t, with_backups(t, x.moves, x.states[-1])) for x in wanted.values()]
    rng = Random(f"{policy.value} {components}")
    return [*shortest, *(walk(t, rng, moves) for _ in range(walks))], len(shortest)


def perform_all(on: str, core: str | None, policy: str, components: list[str], told: list[dict[str, Any]]) -> Any:
    """What a cache does of runs; in the engine's process."""
    kinds = tuple(c for c in map(component, components) if c is not None)
    setup = Setup(
        policy=Policy(policy),
        components=kinds,
        device_pages=DEVICE,
        host_pages=HOST,
        states=DEVICE,
        window=2,
        core=core,
    )
    driver = open_driver(on, setup)
    found = []
    for run in map(of_plain, told):
        p = perform(driver, run)
        differences = [f"{d.key} {d.model}, not {d.live or 0}" for d in p.differences]
        why = reason(Parted.of(run, p, setup.policy)) if p.moves < len(run.moves) else None
        took = [name for name, _ in p.took]
        found.append({"done": p.moves, "took": took, "differences": differences, "why": why and why.id})
    return found


def one(on: str, core: str | None, policy: Policy, components: tuple[Component, ...], walks: int, moves: int) -> Any:
    """A kind of cache."""
    to_do, goals = runs(on, policy, components, walks, moves)
    arguments = {
        "on": on, "core": core, "policy": policy.value, "components": [c.name for c in components],
        "told": list(map(plain, to_do)),
    }  # fmt: skip
    if on == "reference":
        done = perform_all(**arguments)
    else:
        done = run_in_engine(on, "tests.lockstep.performed:perform_all", arguments, search=[ROOT], timeout=1800)
    for run, d in zip(to_do, done, strict=True):
        d["moves"] = [list(m) for m in run.moves]
    return {"on": on, "policy": policy.value, "components": [c.name for c in components], "goals": goals, "runs": done}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--on", nargs="*", default=["reference", *(i.version for i in store.installed())])
    parser.add_argument("--policies", nargs="*", type=Policy, default=list(Policy))
    parser.add_argument("--walks", type=int, default=20)
    parser.add_argument("--moves", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    cells = [
        (on, "python" if on != "reference" and store.at_least(on, FIRST_RUST) else None, p, cs)
        for on in args.on
        for p in args.policies
        for cs in SETS
    ]
    results = []
    with ThreadPoolExecutor(args.jobs) as pool:
        for r in pool.map(lambda cell: one(*cell, args.walks, args.moves), cells):
            results.append(r)
            done = [d for d in r["runs"] if d["done"] == len(d["moves"])]
            print(r["on"], r["policy"], "+".join(r["components"]), f"{len(done)} of {len(r['runs'])}", flush=True)
            for d in r["runs"]:
                if d["done"] < len(d["moves"]) and not d["why"]:
                    print("   ", d["moves"][: d["done"] + 1], "took", d["took"], d["differences"][:3], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
