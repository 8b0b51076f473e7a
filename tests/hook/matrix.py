"""Every engine version × policy × component set × page size × core, watched by all tiers while it does legal work.

    python -m tests.hook.matrix [--versions 0.5.12 ...] [--steps 300] [--seeds 1]

A cell passes if the watcher stays on to the end and tells nothing but what `findings.py` lists for it.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sanitree.models.engines import store
from sanitree.models.engines.build import EngineConfig
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.findings import applying
from sanitree.models.engines.process import run_in_engine
from tests.live.judge import Case
from tests.live.matrix import ROOT, cases


def watched(cells: Sequence[Case], steps: int, seed: int) -> list[dict[str, Any]]:
    """What watching cells of one version and core came to, in one engine's process."""
    where = {"version": cells[0].version, "configs": [c.config.to_json() for c in cells], "steps": steps, "seed": seed}
    answers: list[dict[str, Any]] = run_in_engine(
        cells[0].version, "tests.hook.served:works", where, search=[ROOT], timeout=3000
    )
    return answers


def problems(version: str, config: EngineConfig, answer: dict[str, Any]) -> list[str]:
    """What is wrong with a cell's outcome; empty where it passes."""
    known = applying(version, config)
    told, rules = set(answer["rules"]), frozenset().union(*(f.rules | f.slots for f in known))
    found = [*answer["lines"], *answer["broken"]] if told - rules or (answer["lines"] and not told) else []
    if answer["off"]:
        found.append(f"watched no more: {answer['off']}")
    if answer["crash"] and not told & rules and not any(f.crash and f.crash in answer["crash"] for f in known):
        found.append(answer["crash"])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--versions", nargs="*", default=[i.version for i in store.installed()])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    cores = [list(cells) for v in args.versions for _, cells in itertools.groupby(cases(v), key=lambda c: c.core)]
    passed = failed = steps = heard = 0
    with ThreadPoolExecutor(args.jobs) as pool:
        runs = [(cells, seed, pool.submit(watched, cells, args.steps, seed)) for cells in cores for seed in args.seeds]
        for cells, seed, run in runs:
            try:
                answers = run.result()
            except EngineError as error:
                failed += len(cells)
                print(f"{cells[0].version} {cells[0].core} seed {seed}: FAILED\n    {error}", flush=True)
                continue
            for case, answer in zip(cells, answers, strict=True):
                wrong = problems(case.version, case.config, answer)
                passed, failed = passed + (not wrong), failed + bool(wrong)
                steps, heard = steps + answer["steps"], heard + answer["heard"]
                _tell(case, seed, answer, wrong)
    print(f"{steps} steps, {heard} operations on slots heard")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _tell(case: Case, seed: int, answer: dict[str, Any], wrong: list[str]) -> None:
    known = f", known findings: {', '.join(answer['rules'])}" if answer["rules"] else ""
    crash = ", a known crash" if answer["crash"] else ""
    did = f"{answer['steps']} steps, {answer['heard']} operations on slots, {answer['judged']} nodes judged"
    print(f"{case.name} seed {seed}: {'FAILED' if wrong else 'ok'}, {did}{'' if wrong else known + crash}", flush=True)
    for line in wrong:
        print(f"    {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
