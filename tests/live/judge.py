"""Runs inside an engine's process: a seeded workload with every rule checked after every operation."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch

from sanitree.checker.live import LiveChecker
from sanitree.checker.report import Report, check
from sanitree.invariants.catalogue import CATALOGUE
from sanitree.models.engines import drive, workload
from sanitree.models.engines.build import EngineConfig, build
from sanitree.models.engines.observe import subject
from sanitree.models.engines.view import view


@dataclass(frozen=True, slots=True)
class Case:
    """One cell of the matrix: JSON in, so that it can be sent to an engine's process."""

    version: str
    policy: str
    components: tuple[str, ...]
    page_size: int
    core: str

    @property
    def config(self) -> EngineConfig:
        """How its cache is built."""
        return EngineConfig(
            policy=self.policy, components=tuple(self.components), page_size=self.page_size, core=self.core,  # type: ignore[arg-type]
            device_tokens=96 * self.page_size,
        )  # fmt: skip

    @property
    def name(self) -> str:
        return f"{self.version} {self.core} {self.policy} {'+'.join(self.components)} page {self.page_size}"


def run(cells: list[dict[str, Any]], steps: int, seed: int) -> list[dict[str, Any]]:
    """Drives cells of one version and core, one after another, each in a cache of its own."""
    torch.set_num_threads(1)
    return [drive_cell(**cell, steps=steps, seed=seed) for cell in cells]


def drive_cell(
    version: str, policy: str, components: list[str], page_size: int, core: str, steps: int, seed: int
) -> dict[str, Any]:
    """Drives one cell; returns what was judged, violated and complained about."""
    live = build(version, Case(version, policy, tuple(components), page_size, core).config, mode="polled")
    checker = LiveChecker()
    violated: Counter[str] = Counter()
    first: dict[str, str] = {}
    seen: set[str] = set()
    unchecked: set[str] = set()
    disagreements: list[str] = []
    complaints: list[str] = []
    done = instances = 0
    crash = ""
    work = workload.steps(live, steps, seed, verify=not (policy == "write_back" and version.startswith("0.5.12")))
    try:
        for step in work:
            done += 1
            now = subject(view(live))
            report = check(now.snapshot(None), CATALOGUE)
            instances += sum(f.checked for f in report.findings)
            seen |= {f.check.rule.id for f in report.findings if f.checked}
            unchecked |= {f.check.rule.id for f in report.unchecked}
            for v in report.violations:
                violated[v.rule.id] += 1
                first.setdefault(v.rule.id, f"{step}: {v.check.name} at {v.element} {_values(v)}")
            if now.reading is not None:
                disagreements += _disagreement(checker, now, report, step)
            raw = drive.engine_sanity_check(live)
            wrong = drive.known_false_alarms(live, raw)
            complaints += [f"{step}: {line}" for line in raw if line not in wrong]
    except Exception:  # noqa: BLE001  whatever an engine raises is part of the answer
        crash = traceback.format_exc()[-1500:]
    return {
        "steps": done, "instances": instances, "violated": dict(violated), "first": first, "seen": sorted(seen),
        "unchecked": sorted(unchecked), "disagreements": disagreements[:3], "complaints": complaints[:3],
        "complained": len(complaints), "crash": crash,
    }  # fmt: skip


def _values(v: Any) -> str:
    return ", ".join(f"{e.what} = {e.value}" for e in v.evidence)


def _disagreement(checker: LiveChecker, now: Any, report: Report, step: workload.Step) -> list[str]:
    """Where the fast yes or no and the report differ."""
    false = {v.check.name for v in report.violations}
    compiled = checker.compiled(now)
    fused = compiled.fused
    assert fused is not None
    nodes = {c.name for c in fused.checks} & false
    slots = {c.name for c in compiled.on_columns} & false
    said = fused.run(now.tree)
    found = []
    wrong = said is not None and said >= 0 and fused.checks[said].name not in nodes
    if wrong or (said is None) == bool(nodes):
        found.append(f"{step}: fused says {said}, columns say {sorted(nodes)}")
    # The same columns, gathered again: now and then is enough.
    if (slots or step.number % 7 == 0) and checker.nothing_violated_in_slots(now) == bool(slots):
        found.append(f"{step}: slots hold is {not slots}, columns say {sorted(slots)}")
    return found
