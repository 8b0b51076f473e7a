"""Speed, as ratios to the engine: `make bench`.

    python -m tests.bench [--engine 0.5.13.post1] [--nodes 1000 10000 100000] [--rounds 9]
                          [--only checks|operations|hook|explore|spin]

*hook*: what watching adds to each operation of an engine, and the slices of the full walk.
*checks*: the live check against the engine's own, and the offline ways. *operations*: the
reference cache against the engine's Python core on the same work. *explore*: states per second of the
explorer, in CPU time too. *spin*: the explorer
against SPIN on the heap preset, if spin is installed. Every figure of a row
comes from one process, round by round in turn, and is a median. A ratio above 1 is how
many times less than the engine's it takes.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

from sanitree.models.engines.process import run_in_engine

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = (("full",), ("full", "swa"), ("full", "mamba"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="0.5.13.post1")
    parser.add_argument("--nodes", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=("checks", "operations", "hook", "explore", "spin"))
    args = parser.parse_args()
    print(f"SGLang {args.engine}, {_machine()}, {time.strftime('%Y-%m-%d')}, Python {platform.python_version()}")
    if args.only in (None, "checks"):
        checks(args.engine, args.nodes, args.rounds)
    if args.only in (None, "operations"):
        operations(args.engine, args.rounds)
    if args.only in (None, "hook"):
        hook(args.engine, args.nodes, args.rounds)
    if args.only in (None, "explore"):
        explore(args.rounds)
    if args.only in (None, "spin"):
        from tests.bench import spin

        spin.main(min(args.rounds, 5))


def checks(engine: str, sizes: list[int], rounds: int) -> None:
    """Ways to check one tree."""
    for components in COMPONENTS:
        for nodes in sizes:
            told = run_in_engine(
                engine,
                "tests.bench.live:measure",
                {"version": engine, "components": list(components), "nodes": nodes, "rounds": rounds},
                search=[ROOT],
                timeout=3600,
            )
            seconds, count = told["seconds"], told["nodes"]
            own = seconds.pop("engine")
            print(f"\n{'+'.join(components)}, {count:,} nodes; engine's sanity_check {own / count * 1e6:.2f} µs a node")
            for way, spent in seconds.items():
                checks = told["checks"].get(way)
                note = f", {checks} checks" if checks else ""
                times = f"{own / spent:.2f} times faster" if spent < own else f"{spent / own:.2f} times slower"
                print(f"  {way:16} {spent / count * 1e6:8.2f} µs a node  {times}{note}", flush=True)
            print(
                "  file            " + ", ".join(f"{k} {v / count:.0f} bytes a node" for k, v in told["bytes"].items())
            )


def operations(engine: str, rounds: int) -> None:
    """What the reference cache and the engine take for one operation."""
    for components in COMPONENTS:
        for page, host in ((1, False), (4, True)):
            told = run_in_engine(
                engine,
                "tests.bench.reference:measure",
                {"version": engine, "components": list(components), "rounds": rounds, "page": page, "host": host},
                search=[ROOT],
                timeout=3600,
            )
            print(f"\n{'+'.join(components)}, page {page}, {'a' if host else 'no'} host tier; µs an operation")
            for way in ("insert", "again", "match", "lock", "evict"):
                own, ours = told[f"engine {way}"], told[f"reference {way}"]
                print(
                    f"  {way:8} engine {own * 1e6:7.1f}  reference {ours * 1e6:7.1f}  {own / ours:.2f} times faster",
                    flush=True,
                )


def hook(engine: str, sizes: list[int], rounds: int) -> None:
    """What watching costs: operation by operation on three cores, and slice by slice on trees of several sizes."""
    for version, core in ((engine, None), ("0.5.23", "python"), ("0.5.23", "rust")):
        where = {"version": version, "core": core, "rounds": rounds}
        told = run_in_engine(version, "tests.bench.hook:operations", where, search=[ROOT], timeout=3600)
        print(f"\n{version}, {core or 'python'} core, 16 tokens; µs an operation, and what watching adds to it")
        for name, ways in told.items():
            bare = ways.pop("unwatched")
            rest = "  ".join(f"{how} {(t - bare) * 1e6:+7.1f}" for how, t in ways.items())
            print(f"  {name:18} {bare * 1e6:7.1f}  {rest}", flush=True)
    print("\nrules after one operation, on what it touched; the engine's own check is of the whole tree")
    for nodes in sizes:
        where = {"version": engine, "components": ["full"], "nodes": nodes, "rounds": 30 * rounds}
        told = run_in_engine(engine, "tests.bench.hook:touched", where, search=[ROOT], timeout=3600)
        own = told["engine"]
        each = ", ".join(f"{name} {t * 1e6:.1f} µs ({own / t:,.0f} times)" for name, t in told["operations"].items())
        print(
            f"  {told['nodes']:>7,} nodes, {told['checks']} checks: {each}; sanity_check {own * 1e3:.2f} ms", flush=True
        )
    print("\nthe full walk in slices of 1 ms")
    for nodes in sizes:
        where = {"version": engine, "components": ["full"], "nodes": nodes, "budget": 0.001}
        told = run_in_engine(engine, "tests.bench.hook:slices", where, search=[ROOT], timeout=3600)
        print(
            f"  {told['nodes']:>7,} nodes: {told['slices']} slices, longest {told['longest'] * 1e3:.2f} ms, together "
            f"{told['walk'] * 1e3:.1f} ms; the engine's own check in one go {told['engine'] * 1e3:.1f} ms",
            flush=True,
        )


def explore(rounds: int) -> None:
    """The explorer on one core and two, with symmetry and without, and on tensors; `tests.bench.explore` does more."""
    from tests.bench.explore import MODELS, TENSORS, table

    print()
    table(MODELS, rounds, [("cpu", cores, symmetry) for cores in (1, 2) for symmetry in (False, True)])
    table(TENSORS, rounds, [("cpu", 1, False), ("torch", 1, False)])


def _machine() -> str:
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((x.split(":")[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")), "")
    return f"{os.cpu_count()} × {model or platform.processor() or platform.machine()}"


if __name__ == "__main__":
    main()
