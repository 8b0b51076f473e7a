"""Every state of a model, its rules judged in each: what a search is asked and what it answers, from end to end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from sanitree.checker.explore.code import Machine, machine
from sanitree.checker.explore.found import At, Explored, Judged
from sanitree.checker.explore.results import (
    Bounds,
    Goal,
    Progress,
    Progressed,
    Reached,
    Searched,
    Told,
    Trace,
    Violation,
)
from sanitree.checker.explore.traces import traces
from sanitree.checker.explore.transitions import Transitions

INSTALL = "pip install 'sanitree[explore]'"


def search(
    model: Transitions,
    bounds: Bounds | None = None,
    *,
    cores: int = 2,
    symmetry: bool = False,
    goals: Sequence[Goal] = (),
    progress: Sequence[Progress] = (),
    told: Told | None = None,
    device: str = "cpu",
) -> Searched:
    """Every state that can be reached, level by level, up to the first violation or to a bound.

    With `symmetry`, states that differ in the order of sibling subtrees count as one; rules,
    goals and progress must then not tell siblings apart. device: "cpu", or
    one that torch has: "cuda", or "torch" for torch on the CPU.
    Raises OverflowError where an action takes a variable beyond its bounds, and ImportError
    where numba is not installed.
    """
    begun = time.perf_counter()
    conditions = [g.condition for g in goals] + [e for p in progress for e in (p.source, p.goal)]
    m = machine(model, symmetry, conditions)
    run = ready(m, len(goals), cores, bounds or Bounds(), device)
    try:
        begun_search = time.perf_counter()
        run.to_the_end(told)
        complete = run.violated is None and not run.stopped
        judged = [run.judge(len(goals) + 2 * i, p.moves) if complete else None for i, p in enumerate(progress)]
        dead, violated = run.first_dead, run.violated
        wanted = {*run.met.values(), dead, violated and violated[1], *(j.stuck for j in judged if j)}
        shown = traces(run, (at for at in wanted if at is not None))
    finally:
        run.close()
    fired = dict.fromkeys((a.name for a in model.system.actions), 0)
    for move, times in zip(model.moves, run.fired, strict=True):
        fired[move.action.name] += times
    return Searched(
        states=run.states,
        transitions=run.transitions,
        levels=run.levels,
        expanded=run.expanded,
        complete=complete,
        violation=None if violated is None else Violation(model.rules[violated[0]].rule, shown[violated[1]]),
        dead=run.dead,
        deadlock=None if dead is None else shown[dead],
        fired=fired,
        unfired=tuple(name for name, times in fired.items() if not times) if complete else (),
        goals=tuple(Reached(g.name, shown[run.met[i]] if i in run.met else None) for i, g in enumerate(goals)),
        progress=tuple(_progressed(p, j, shown) for p, j in zip(progress, judged, strict=True)),
        compile_seconds=begun_search - begun,
        search_seconds=time.perf_counter() - begun_search,
        peak_bytes=run.peak,
        stopped=run.stopped,
    )


def ready(m: Machine, goals: int, cores: int, bounds: Bounds, device: str) -> Explored:
    """A search that has not begun, its code compiled."""
    if device != "cpu":
        from sanitree.checker.explore.tensors import TensorRun

        return TensorRun(m, goals, cores, bounds, device)
    try:
        from sanitree.checker.explore.native import native
        from sanitree.checker.explore.run import Run
    except ModuleNotFoundError as missing:
        raise ImportError(f"exploring needs {missing.name}: {INSTALL}", name=missing.name) from None
    return Run(m, native(m), goals, cores, bounds)


def _progressed(p: Progress, judged: Judged | None, shown: Mapping[At, Trace]) -> Progressed:
    if judged is None:
        return Progressed(p.name, None)
    stuck = judged.stuck
    return Progressed(p.name, stuck is None, None if stuck is None else shown[stuck], judged.sources)
