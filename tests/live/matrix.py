"""Every engine version × policy × component set × page size × core, judged after each of some hundred operations.

    python -m tests.live.matrix [--versions 0.5.12 ...] [--steps 300] [--seeds 1]

A cell passes if nothing is violated but what `findings.py` lists for it, the fused check and
the columns agree after every operation, and the engine's own check is silent where we are.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sanitree.models.engines import store
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.findings import Finding, applying
from sanitree.models.engines.process import run_in_engine
from tests.live.judge import Case

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ("write_through", "write_through_selective", "write_back")
COMPONENTS = (("full",), ("full", "swa"), ("full", "mamba"))


def cases(version: str) -> Iterator[Case]:
    """The cells of a version."""
    cores = ("python", "rust") if store.at_least(version, "0.5.19") else ("python",)
    for core, policy, components, page in itertools.product(cores, POLICIES, COMPONENTS, (1, 4)):
        yield Case(version, policy, components, page, core)


def judge(cells: Sequence[Case], steps: int, seed: int, timeout: float = 3000) -> list[dict[str, Any]]:
    """Runs cells of one version and core in one engine's process."""
    told = [{**asdict(c), "components": list(c.components)} for c in cells]
    arguments = {"cells": told, "steps": steps, "seed": seed}
    answer: list[dict[str, Any]] = run_in_engine(
        cells[0].version, "tests.live.judge:run", arguments, search=[ROOT], timeout=timeout
    )
    return answer


def known_rules(case: Case) -> frozenset[str]:
    """The rules that known findings may violate in a cell."""
    return frozenset().union(*(f.rules for f in known(case)))


def crashes_as_known(case: Case, crash: str) -> bool:
    """Whether a cell ended in an exception of the engine that a known finding ends in."""
    return any(f.crash and f.crash in crash for f in known(case))


def known(case: Case) -> list[Finding]:
    """The findings that a cell may show."""
    return applying(case.version, case.config)


def problems(case: Case, answer: dict[str, Any]) -> list[str]:
    """What is wrong with a cell's outcome; empty where it passes."""
    rules = known_rules(case)
    found = [answer["first"][r] for r in answer["violated"] if r not in rules]
    found += answer["disagreements"]
    if answer["complained"] and not answer["violated"]:
        found.append(f"the engine complains and we do not: {answer['complaints'][0]}")
    if answer["crash"] and not rules & set(answer["violated"]) and not crashes_as_known(case, answer["crash"]):
        found.append(answer["crash"])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--versions", nargs="*", default=[i.version for i in store.installed()])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--cores", nargs="*", default=["python", "rust"])
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    cores = [list(cells) for v in args.versions for _, cells in itertools.groupby(cases(v), key=lambda c: c.core)]
    cores = [cells for cells in cores if cells[0].core in args.cores]
    batches = [(cells, seed) for cells in cores for seed in args.seeds]
    passed = failed = steps = instances = 0
    with ThreadPoolExecutor(args.jobs) as pool:
        runs = [(cells, seed, pool.submit(judge, cells, args.steps, seed)) for cells, seed in batches]
        for cells, seed, run in runs:
            try:
                answers = run.result()
            except EngineError as error:
                failed += len(cells)
                print(f"{cells[0].version} {cells[0].core} seed {seed}: FAILED\n    {error}", flush=True)
                continue
            for case, answer in zip(cells, answers, strict=True):
                wrong = problems(case, answer)
                passed, failed = passed + (not wrong), failed + bool(wrong)
                steps += answer["steps"]
                instances += answer["instances"]
                _tell(case, seed, answer, wrong)
    print(f"{steps} operations, {instances} instances of rules judged")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _tell(case: Case, seed: int, answer: dict[str, Any], wrong: list[str]) -> None:
    shown = sorted(set(answer["violated"]) & known_rules(case))
    note = f", known findings: {', '.join(shown)}" if shown else ", a known crash" if answer["crash"] else ""
    unchecked = f", {len(answer['unchecked'])} not everywhere checked" if answer["unchecked"] else ""
    print(
        f"{case.name} seed {seed}: {'FAILED' if wrong else 'ok'}, {answer['steps']} steps, "
        f"{answer['instances']} instances, {len(answer['seen'])} rules judged{unchecked}{note}",
        flush=True,
    )
    for line in wrong:
        print(f"    {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
