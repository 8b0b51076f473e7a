"""The live check against the engine's own, and the offline ways, as ratios: `make bench`.

    python -m tests.bench [--engine 0.5.13.post1] [--nodes 1000 10000 100000] [--rounds 9]

Every figure of a row comes from one process and one tree, round by round in turn; each
is a median. A ratio above 1 is how many times less than the engine's sanity_check it takes.
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
    args = parser.parse_args()
    print(f"SGLang {args.engine}, {_machine()}, {time.strftime('%Y-%m-%d')}, Python {platform.python_version()}")
    for components in COMPONENTS:
        for nodes in args.nodes:
            told = run_in_engine(
                args.engine,
                "tests.bench.live:measure",
                {"version": args.engine, "components": list(components), "nodes": nodes, "rounds": args.rounds},
                search=[ROOT],
                timeout=3600,
            )
            seconds, count = told["seconds"], told["nodes"]
            engine = seconds.pop("engine")
            print(
                f"\n{'+'.join(components)}, {count:,} nodes; engine's sanity_check {engine / count * 1e6:.2f} µs a node"
            )
            for way, spent in seconds.items():
                checks = told["checks"].get(way)
                note = f", {checks} checks" if checks else ""
                times = f"{engine / spent:.2f} times faster" if spent < engine else f"{spent / engine:.2f} times slower"
                print(f"  {way:16} {spent / count * 1e6:8.2f} µs a node  {times}{note}", flush=True)
            print(
                "  file            " + ", ".join(f"{k} {v / count:.0f} bytes a node" for k, v in told["bytes"].items())
            )


def _machine() -> str:
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((x.split(":")[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")), "")
    return f"{os.cpu_count()} × {model or platform.processor() or platform.machine()}"


if __name__ == "__main__":
    main()
