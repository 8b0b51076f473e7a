"""Runs inside an engine's process: our checks and the engine's own, side by side on one tree."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sanitree.checker.fused import compile_checks
from sanitree.checker.live import LiveChecker
from sanitree.checker.report import check
from sanitree.invariants.catalogue import CATALOGUE
from sanitree.invariants.rules import Cost, checks
from sanitree.models.engines import workload
from sanitree.models.engines.build import EngineConfig, LiveEngine, build
from sanitree.models.engines.observe import snapshot, subject
from sanitree.models.engines.python_core import reading
from sanitree.models.engines.view import view
from sanitree.models.snapshot import read, write

# Rules of ours about what the engine's own check looks at, and then some: no key is read, no slot.
ENGINE = "engine"


def grown(version: str, components: list[str], nodes: int) -> tuple[LiveEngine, int]:
    """A Python core with a tree of about so many nodes, and how many they are."""
    config = EngineConfig(
        policy="write_through", components=tuple(components), core="python", device_tokens=2 * nodes + 64,
        mamba_slots=nodes + 64, layers=2, host_ratio=1.0,
    )  # fmt: skip
    live = build(version, config, mode="instant")
    return live, workload.grow(live, nodes)


def measure(version: str, components: list[str], nodes: int, rounds: int) -> dict[str, Any]:
    """Seconds of each way to check one tree: medians over interleaved rounds."""
    torch.set_num_threads(1)
    live, count = grown(version, components, nodes)
    now = view(live)
    checker = LiveChecker()
    compiled = checker.compiled(subject(now))
    whole = compiled.fused
    assert whole is not None
    same = compile_checks((c for c in checks(CATALOGUE, now.settings) if c.rule.cost is Cost.FIELD), reading(now))
    taken = snapshot(now)
    assert not check(taken, CATALOGUE).violations
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder, "tree.json"), Path(folder, "tree.json.gz")
        ways: dict[str, Callable[[], object]] = {
            ENGINE: live.cache.sanity_check,
            "fused": lambda: _none(same.run(now)),
            "fused with keys": lambda: _none(whole.run(now)),
            "slots": lambda: checker.nothing_violated_in_slots(subject(now)) or _fail(),
            "snapshot": lambda: snapshot(now),
            "offline check": lambda: check(taken, CATALOGUE),
            "write .json": lambda: write(taken, plain),
            "read .json": lambda: read(plain),
            "write .json.gz": lambda: write(taken, packed),
            "read .json.gz": lambda: read(packed),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        gc.collect()
        gc.disable()
        for _ in range(rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                times[name].append(time.perf_counter() - start)
        size = {"json": plain.stat().st_size, "json.gz": packed.stat().st_size}
    return {
        "nodes": count, "bytes": size, "checks": {"fused": len(same.checks), "fused with keys": len(whole.checks),
        "slots": len(compiled.on_columns)}, "seconds": {n: statistics.median(t) for n, t in times.items()},
    }  # fmt: skip


def _none(x: object) -> None:
    assert x is None, x


def _fail() -> None:
    raise AssertionError("the tree should be clean")
