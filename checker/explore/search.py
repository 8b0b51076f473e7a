"""Every state of a model, its rules judged in each: what a search is asked and what it answers, from end to end."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sanitree.checker.explore.code import machine
from sanitree.checker.explore.results import (
    Bounds,
    Goal,
    Progress,
    Progressed,
    Reached,
    Searched,
    Told,
    Violation,
)
from sanitree.checker.explore.transitions import Transitions


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
    goals and progress must then not tell siblings apart. device: "cpu", or one of torch's.
    Raises OverflowError where an action takes a variable beyond its bounds, and ImportError
    where numba is not installed.
    """
    begun = time.perf_counter()
    try:
        from sanitree.checker.explore.native import native
        from sanitree.checker.explore.progress import judge
        from sanitree.checker.explore.run import Run
        from sanitree.checker.explore.traces import traces
    except ModuleNotFoundError as missing:
        raise ImportError(f"exploring needs {missing.name}: pip install 'sanitree[explore]'") from None
    conditions = [g.condition for g in goals] + [e for p in progress for e in (p.source, p.goal)]
    m = machine(model, symmetry, conditions)
    code = native(m)
    run = Run(m, code, len(goals), cores, bounds or Bounds())
    try:
        ready = time.perf_counter()
        run.begun = ready
        run.to_the_end(told)
        complete = run.violated is None and not run.stopped
        judged = [judge(run, len(goals) + 2 * i, p.moves) if complete else None for i, p in enumerate(progress)]
        wanted = set(run.met.values()) | {j.stuck for j in judged if j is not None and j.stuck is not None}
        if run.violated is not None:
            wanted.add(run.violated[1])
        dead = run.first_dead
        if dead is not None:
            wanted.add(dead)
        shown = traces(run, wanted)
    finally:
        run.close()
    fired = dict.fromkeys((a.name for a in model.system.actions), 0)
    for i, times in enumerate(run.fired.sum(axis=0)):
        fired[model.moves[i].action.name] += int(times)
    return Searched(
        states=run.states,
        transitions=run.transitions,
        levels=run.levels,
        expanded=run.expanded,
        complete=complete,
        violation=None
        if run.violated is None
        else Violation(model.rules[run.violated[0]].rule, shown[run.violated[1]]),
        dead=run.dead,
        deadlock=None if dead is None else shown[dead],
        fired=fired,
        unfired=tuple(name for name, times in fired.items() if not times) if complete else (),
        goals=tuple(Reached(g.name, shown[run.met[i]] if i in run.met else None) for i, g in enumerate(goals)),
        progress=tuple(
            Progressed(p.name, None)
            if j is None
            else Progressed(p.name, j.stuck is None, None if j.stuck is None else shown[j.stuck], j.sources)
            for p, j in zip(progress, judged, strict=True)
        ),
        compile_seconds=ready - begun,
        search_seconds=time.perf_counter() - ready,
        peak_bytes=run.peak,
        stopped=run.stopped,
    )
