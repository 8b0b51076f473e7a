"""Runs inside an engine's process: the plug-in, as the engine's own loader finds it, and the engine's idle check."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sanitree.models.engines import drive, serving, workload
from sanitree.models.engines.build import EngineConfig, LiveEngine, build

BASE, LEAF = (1, 2), (1, 2, 500, 501)


class Heard(logging.Handler):
    """What sanitree logs; engines are silenced in tests, this is not."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        logging.disable(logging.NOTSET)
        logger = logging.getLogger("sanitree")
        logger.addHandler(self)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage() + (f" {record.exc_info[1]!r}" if record.exc_info else ""))


def load(mode: str, folder: str = "", **environment: str) -> Heard:
    """Sets what an operator would, and has the engine load its plug-ins as it does at start."""
    os.environ["SANITREE"] = mode
    if folder:
        os.environ["SANITREE_DUMPS"] = folder
    os.environ.update(environment)
    heard = Heard()
    importlib.import_module("sglang.srt.plugins").load_plugins()
    return heard


def idle(live: LiveEngine) -> None:
    """The scheduler's own idle check, on what it looks at of a scheduler."""
    if "sglang.srt.managers.scheduler_components.invariant_checker" in sys.modules:
        module = importlib.import_module("sglang.srt.managers.scheduler_components.invariant_checker")
        owner = module.SchedulerInvariantChecker
    else:
        owner = importlib.import_module("sglang.srt.managers.scheduler_runtime_checker_mixin")
        owner = owner.SchedulerRuntimeCheckerMixin
    owner._check_tree_cache(SimpleNamespace(tree_cache=live.cache, is_hybrid_swa=False, is_hybrid_ssm=False))


def works(version: str, configs: list[dict[str, Any]], steps: int, seed: int) -> list[dict[str, Any]]:
    """A seeded workload on a watched engine of each kind, at rest now and then."""
    heard = load("log")
    return [_works(version, config, steps, seed, heard) for config in configs]


def _works(version: str, config: dict[str, Any], steps: int, seed: int, heard: Heard) -> dict[str, Any]:
    heard.lines = []
    live = build(version, EngineConfig.from_json(config), mode="polled")
    watcher = live.cache._sanitree
    done, crash = 0, ""
    # 0.5.12 serves wrong bytes under write_back, whoever watches.
    verify = not (config["policy"] == "write_back" and version.startswith("0.5.12"))
    try:
        for step in workload.steps(live, steps, seed, verify=verify):
            done += 1
            if step.number % 20 == 0 and not live.requests:
                for _ in range(50):
                    idle(live)
        for request in list(live.requests):
            serving.abort_request(live, request)
        drive.drain(live)
        for _ in range(400):
            idle(live)
    except Exception:  # noqa: BLE001  whatever an engine raises is part of the answer
        crash = traceback.format_exc()[-1500:]
    return {
        "steps": done,
        "crash": crash,
        "rules": sorted({f.rule.name for f in watcher.faults} | {b.check.split("[")[0] for b in watcher.broken}),
        "lines": heard.lines,
        "off": watcher.off,
        "heard": watcher.sanitizer.clock.serial,
        "walks": watcher.walk.walks,
        "checks": len(watcher.walk.checks),
        "judged": 0 if watcher.rules is None else watcher.rules.ledger.judged,
        "broken": [str(b) for b in watcher.broken],
        "longest": watcher.walk.longest,
        "counters": watcher.counters.values(),
    }


def write_back_race(version: str, mode: str, folder: str = "") -> dict[str, Any]:
    """The seed's bug: what is told, and by which call."""
    heard = load(mode, folder)
    live = build(version, EngineConfig(policy="write_back", device_tokens=8, host_ratio=4.0), mode="manual")
    serving.insert(live, BASE)
    serving.insert(live, LEAF)
    before, raised = len(heard.lines), ""
    try:
        drive.evict(live, 2)
    except AssertionError as error:
        raised = str(error)
    cache, allocator = live.cache, live.full_allocator
    lost = allocator.size - allocator.available_size() - cache.full_evictable_size() - cache.full_protected_size()
    moved = sum(t.done for t in live.copies.pending())
    files = sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*")) if folder else []
    return {"before": before, "lines": heard.lines, "raised": raised, "copied": moved, "lost": lost, "files": files}


def imports_nothing(version: str) -> list[str]:
    """What the plug-in has imported of what is large, when it has nothing to do."""
    del version
    return [name for name in ("torch", "z3", "numpy") if name in sys.modules]


def asked(version: str, folder: str, hang: bool) -> list[str]:
    """A dump that somebody asks for by a file, of a server that works or hangs; what was written."""
    now = Path(folder, "now")
    load("dump", folder, SANITREE_DUMP_NOW=str(now))
    live = build(version, EngineConfig(policy="write_through"), mode="instant")
    serving.insert(live, BASE)
    time.sleep(1)
    now.touch()
    for _ in range(60):
        if not hang:
            drive.evict(live, 0)
        time.sleep(0.1)
        if found := sorted(p.name for p in Path(folder).iterdir() if p.is_dir() and not p.name.startswith(".")):
            return found
    return []


def with_a_thread(version: str, core: str | None, steps: int, seed: int) -> dict[str, Any]:
    """A seeded workload, while another thread takes host slots and gives them back, as prefetches do."""
    heard = load("log")
    config = EngineConfig(policy="write_through", core=core, host_ratio=4.0)  # type: ignore[arg-type]
    live = build(version, config, mode="polled")
    watcher, done, rounds = live.cache._sanitree, threading.Event(), 0
    group = live.cache.host_pool_group
    pool = group.anchor_entry.host_pool if hasattr(group, "anchor_entry") else group

    def prefetches() -> None:
        nonlocal rounds
        while not done.is_set():
            slots = pool.alloc(4)
            if slots is not None:
                pool.free(slots)
                rounds += 1

    thread = threading.Thread(target=prefetches)
    thread.start()
    try:
        count = sum(1 for _ in workload.steps(live, steps, seed, resets=False))
    finally:
        done.set()
        thread.join()
    return {
        "steps": count,
        "rounds": rounds,
        "lines": heard.lines,
        "off": watcher.off,
        "faults": [str(f) for f in (*watcher.faults, *watcher.broken)],
    }
