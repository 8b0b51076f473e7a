"""Runs inside an engine's process: the slot sanitizer on work that is legal, and on planted faults."""

from __future__ import annotations

from typing import Any

from sanitree.checker.hook.engine import Sanitizer
from sanitree.checker.hook.faults import Fault
from sanitree.models.engines import workload
from sanitree.models.engines.build import EngineConfig, build
from sanitree.models.engines.view import View


def harmless(hook: Any) -> Any:
    return hook


def legal(version: str, cells: list[dict[str, Any]], steps: int, seed: int) -> list[dict[str, Any]]:
    """A seeded workload for each cell: what was found, and how much was heard."""
    answers = []
    for cell in cells:
        mode, on_device = cell.pop("mode", "polled"), cell.pop("on_device", None)
        live = build(version, EngineConfig.from_json(cell), mode=mode)
        faults: list[Fault] = []
        sanitizer = Sanitizer(View(live.cache, version), faults.append, harmless, on_device)
        crash, done = "", 0
        try:
            for _ in workload.steps(live, steps, seed):
                done += 1
                if faults:
                    break
        except (AssertionError, KeyError, AttributeError, ValueError) as error:
            crash = f"{type(error).__name__}: {error}"
        answers.append(
            {
                "config": live.config.to_json(),
                "steps": done,
                "crash": crash,
                "heard": sanitizer.clock.serial,
                "untracked": sanitizer.untracked,
                "faults": [str(f) for f in faults],
                "rules": sorted({f.rule.name for f in faults}),
            }
        )
    return answers
