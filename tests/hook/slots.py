"""Runs inside an engine's process: the slot sanitizer on work that is legal, and on planted faults."""

from __future__ import annotations

from typing import Any

from sanitree.checker.hook.engine import Sanitizer
from sanitree.checker.hook.faults import Fault
from sanitree.checker.hook.shadow import FREE, NAMES, TREE
from sanitree.models.engines import workload
from sanitree.models.engines.build import EngineConfig, build
from sanitree.models.engines.observe import snapshot
from sanitree.models.engines.view import View
from sanitree.models.snapshot import Key


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
        apart: list[str] = []
        try:
            for _ in workload.steps(live, steps, seed):
                done += 1
                if faults:
                    break
                if done % 10 == 0 and not on_device:
                    apart += _apart(sanitizer, View(live.cache, version))
        except (AssertionError, KeyError, AttributeError, ValueError) as error:
            crash = f"{type(error).__name__}: {error}"
        answers.append(
            {
                "config": live.config.to_json(),
                "steps": done,
                "crash": crash,
                "heard": sanitizer.clock.serial,
                "untracked": sanitizer.untracked,
                "apart": apart[:3],
                "faults": [str(f) for f in faults],
                "rules": sorted({f.rule.name for f in faults}),
            }
        )
    return answers


def _apart(sanitizer: Sanitizer, view: View) -> list[str]:
    """Where the shadows, kept by operations, differ from the whole: free lists, and what a snapshot's nodes hold."""
    taken, found, compared = snapshot(view), [], 0
    for (component, tier), shadow in sanitizer.pools.items():
        unit, first = shadow.shape.unit, int(shadow.shape.padded)
        for state, lists in ((FREE, taken.tree.lists), (TREE, taken.nodes.lists)):
            name = "free" if state == FREE else "holds"
            if (held := lists.get(Key(name, component, tier))) is None:
                continue
            ours = {row for row in range(first, shadow.shape.size) if shadow.state(row) == NAMES[state]}
            compared += 1
            whole = {slot // unit for slot in held.values.tolist()}
            if ours != whole:
                found.append(
                    f"{component} {tier} {name}: {sorted(ours - whole)} only ours, {sorted(whole - ours)} only there"
                )
    # Both lists of each pool, and of a Rust core what can be seen.
    return found if compared >= 2 * len(view.settings.components) else ["too little was compared"]
