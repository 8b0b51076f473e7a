"""What `sanitree demo` runs inside an engine's process: the pair of bugs that this project started from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from sanitree.checker.live import LiveChecker
from sanitree.checker.render.coverage import Coverage
from sanitree.checker.render.elements import name
from sanitree.checker.report import Report
from sanitree.models.engines import drive, serving, workload
from sanitree.models.engines.build import EngineConfig, build
from sanitree.models.engines.copies import Span
from sanitree.models.engines.observe import subject
from sanitree.models.engines.view import view
from sanitree.models.snapshot import write

BASE, LEAF, OTHERS = (1, 2), (1, 2, 500, 501), (11, 12, 13, 14, 15, 16)


def write_back_race(version: str, file: str) -> dict[str, Any]:
    """Inserts a base and a leaf, evicts the leaf's two tokens, and carries on as a server would.

    Writes a snapshot taken right after the eviction to `file`.
    """
    config = EngineConfig(policy="write_back", device_tokens=8, host_ratio=4.0, core="python")
    live = build(version, config, mode="manual")
    serving.insert(live, BASE)
    serving.insert(live, LEAF)
    evicted = drive.evict(live, 2)
    report = LiveChecker().report(subject(view(live)))
    write(report.snapshot, Path(file), tokens="raw")  # the demo's own numbers, nobody's prompt
    answer = {
        "evicted": evicted.full,
        "engine": list(drive.engine_sanity_check(live)),
        "verdict": report.verdict.value,
        "violations": violations(report),
        "flying": [_told(s) for t in live.copies.pending() for s in t.spans],
        "unchecked": len(report.unchecked),
        "checked": Coverage(report.snapshot, report.findings).extent,
    }
    # The server carries on: the free slots go to the next request before the copy has read them.
    serving.insert(live, OTHERS)
    live.copies.run_all()
    drive.evict(live, 8)
    loaded = drive.load_back(live, LEAF)
    served = drive.verify_request(live, LEAF)
    return {**answer, "loaded": loaded, "served": served.checked, "wrong": served.wrong_tokens}


def _told(span: Span) -> str:
    device, host = (", ".join(map(str, slots)) for slots in (span.device, span.host))
    return f"the write of node {span.ack_id}, {span.component} device slots {device} → host slots {host}"


def violations(report: Report) -> list[dict[str, Any]]:
    """Each violation as the rule, the element, its token path, and the values that refute the rule."""
    return [
        {
            "rule": v.check.name,
            "prose": v.rule.prose,
            "element": v.element,
            "name": name(report.snapshot, v).text,
            "tokens": list(v.tokens),
            "values": {e.what: e.value for e in v.evidence},
        }
        for v in report.violations
    ]


def large_tree(version: str, file: str, nodes: int, steps: int, seed: int) -> dict[str, Any]:
    """A tree of some thousand nodes from a seeded workload, judged live; its snapshot goes to `file`."""
    torch.set_num_threads(1)
    config = EngineConfig(
        policy="write_through", device_tokens=3 * nodes, host_ratio=1.5, layers=2, core="python", requests=64
    )
    live = build(version, config, mode="polled")
    workload.grow(live, nodes)
    done = sum(True for _ in workload.steps(live, steps, seed, resets=False))
    now = subject(view(live))
    checker = LiveChecker()
    compiled = checker.compiled(now)
    start = time.perf_counter()
    holds = checker.nothing_violated_in_place(now)
    middle = time.perf_counter()
    slots = checker.nothing_violated_in_slots(now)
    end = time.perf_counter()
    taken = now.snapshot(None)
    write(taken, Path(file), tokens="hashed")
    return {
        "steps": done,
        "nodes": len(taken.nodes),
        "holds": holds and slots,
        "node_seconds": middle - start,
        "slot_seconds": end - middle,
        "checks": len(compiled.in_place),
        "slot_checks": len(compiled.on_columns),
        "engine": list(drive.engine_sanity_check(live)),
    }
