"""The explorer and SPIN on the heap preset: the same states, in turn, round by round.

SPIN runs on the exported Promela and on one written by hand, breadth and depth first,
every state stored whole; its best of these is what the explorer is held against.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sanitree.checker.explore.promela import promela
from sanitree.checker.explore.results import Bounds, Searched
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import transitions
from sanitree.invariants.vocabulary import Policy
from sanitree.models.protocol.heap import heap
from tests.explore import spin
from tests.explore.by_hand import by_hand

OPTIONS = (*spin.EXACT, "-march=native")
BREADTH = ("-DBFS",)


@dataclass
class Way:
    """A way to search, and what it took in each round: seconds of CPU and of the clock, and bytes at its peak."""

    name: str
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    bytes: int = 0
    counted: tuple[int, int] = (0, 0)

    def add(self, cpu: float, wall: float, most: int, counted: tuple[int, int]) -> None:
        assert self.counted in ((0, 0), counted), f"{self.name}: {self.counted}, then {counted}"
        self.cpu.append(cpu)
        self.wall.append(wall)
        self.bytes, self.counted = max(self.bytes, most), counted


def compare(policy: Policy, nodes: int, rounds: int, hash_bits: int, depth: int) -> None:
    """Prints what each way takes for the preset, and the ratios."""
    model = transitions(heap(policy, nodes))
    texts = {"exported": promela(model), "by hand": by_hand(policy, nodes)}
    with tempfile.TemporaryDirectory() as folder:
        runs: list[tuple[Way, Callable[[], tuple[float, float, int, tuple[int, int]]]]] = []
        build = 0.0
        for name, text in texts.items():
            for order, options in (("breadth first", BREADTH), ("depth first", ())):
                made = spin.build(text, Path(folder) / f"{name} {order}", (*OPTIONS, *options))
                build = max(build, made.build_seconds)
                arguments = (f"-w{hash_bits}", *(() if options else (f"-m{depth}",)))
                runs.append((Way(f"SPIN, {name}, {order}"), _spin(made, arguments)))
        ours = [Way(f"sanitree, {'1 core' if cores == 1 else f'{cores} cores'}") for cores in (1, 2)]
        search(model, Bounds(states=1))  # whatever is compiled once for an installation
        runs += [(way, _ours(model, cores)) for way, cores in zip(ours, (1, 2), strict=True)]
        for _ in range(rounds):
            for way, run in runs:
                way.add(*run())
        counted = {way.counted for way, _ in runs}
        assert len(counted) == 1, counted
        states, moves = counted.pop()
        print(f"\nheap, {policy.value}, {nodes} nodes: {states:,} states, {moves:,} transitions; medians of {rounds}")
        for way, _ in runs:
            cpu, wall = statistics.median(way.cpu), statistics.median(way.wall)
            print(
                f"  {way.name:32} {cpu:6.2f} s CPU  {wall:6.2f} s wall  {states / cpu / 1e6:6.2f} M states a CPU second"
                f"  {way.bytes / states:6.1f} bytes a state",
                flush=True,
            )
        theirs = [way for way, _ in runs if way not in ours]
        _ratio("states a CPU second, on one core", [w.cpu for w in theirs], ours[0].cpu, 20)
        _ratio("wall time, on two cores", [w.wall for w in theirs], ours[1].wall, 30)
        cold = _cold(policy, nodes)
        fastest = min(statistics.median(w.wall) for w in theirs)
        print(
            f"  from cold to a verdict: sanitree {cold[0]:.1f} s ({cold[1]:.1f} s CPU); "
            f"SPIN {build + fastest:.1f} s (spin and gcc {build:.1f} s of it)"
        )


def _ratio(what: str, theirs: list[list[float]], ours: list[float], goal: int) -> None:
    """How many times less ours is than the best of theirs, round by round; the median."""
    times = statistics.median(min(way[i] for way in theirs) / mine for i, mine in enumerate(ours))
    print(f"  {what}: {times:.1f} times SPIN's best (goal {goal})")


def _spin(made: spin.Verifier, arguments: tuple[str, ...]) -> Callable[[], tuple[float, float, int, tuple[int, int]]]:
    def run() -> tuple[float, float, int, tuple[int, int]]:
        found = made.run(*arguments)
        assert not found.message, found.message
        return found.cpu, found.wall, found.bytes, (found.states, found.transitions)

    return run


def _ours(model: object, cores: int) -> Callable[[], tuple[float, float, int, tuple[int, int]]]:
    """CPU seconds are those of a call less those of the same call that stops at once: its compilation."""

    def timed(bounds: Bounds) -> tuple[float, Searched]:
        begun = time.process_time()
        found = search(model, bounds, cores=cores)  # type: ignore[arg-type]
        return time.process_time() - begun, found

    def run() -> tuple[float, float, int, tuple[int, int]]:
        compiling, _ = timed(Bounds(states=1))
        cpu, found = timed(Bounds())
        assert found.complete
        return cpu - compiling, found.search_seconds, found.peak_bytes, (found.states, found.transitions)

    return run


def _cold(policy: Policy, nodes: int) -> tuple[float, float]:
    """The whole command in a process of its own: seconds of the clock, and of CPU."""
    words = ["explore", "--preset", "heap", "--policy", policy.value, "--pages", str(nodes), "--json"]
    begun = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "sanitree.checker", *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = 0
    assert status == 0, status
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime


def main(rounds: int, sizes: tuple[int, ...] = (8,)) -> None:
    """Under write_back, which has the most states."""
    if spin.MISSING:
        print(f"\nSPIN: {spin.WHY}")
        return
    for nodes in sizes:
        compare(Policy.WRITE_BACK, nodes, rounds, *{8: (22, 600_000), 9: (24, 4_000_000)}.get(nodes, (20, 200_000)))


if __name__ == "__main__":
    main(3, tuple(map(int, sys.argv[1:])) or (8,))
