"""The explorer: states per second, bytes a state, compilation, and what symmetry saves.

    python -m tests.bench.explore [--rounds 5] [--cores 1 2] [--large] [--torch] [--only WORDS]

Models take turns, and a figure is the median over the rounds. CPU is the process's own time,
of all its threads: on a shared machine it says more than the wall clock. --large: the ones
of some 10^7 and 10^8 states too; --only takes those with WORDS in their names. --torch: the
same search on tensors, on the CPU and where there is one on a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from sanitree.checker.explore.code import machine
from sanitree.checker.explore.results import Bounds
from sanitree.checker.explore.search import ready, search
from sanitree.checker.explore.transitions import Transitions, transitions
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.protocol.heap import heap
from sanitree.models.protocol.pages import Pages, binary, pages

MODELS: dict[str, Callable[[], Transitions]] = {
    "heap, write_back, 8": lambda: transitions(heap(Policy.WRITE_BACK, 8)),
    "pages, write_back, full, 8": lambda: _pages(Policy.WRITE_BACK, (FULL,), 8),
    "pages, write_through, full+swa, 5": lambda: _pages(Policy.WRITE_THROUGH, (FULL, SWA), 5),
    "pages, write_back, full+mamba, 5": lambda: _pages(Policy.WRITE_BACK, (FULL, MAMBA), 5),
}
LARGE: dict[str, Callable[[], Transitions]] = {
    "heap, write_back, 9": lambda: transitions(heap(Policy.WRITE_BACK, 9)),
    "heap, write_through, 12": lambda: transitions(heap(Policy.WRITE_THROUGH, 12)),
    "heap, write_through, 15": lambda: transitions(heap(Policy.WRITE_THROUGH, 15)),
}
TENSORS: dict[str, Callable[[], Transitions]] = {"heap, write_back, 7": lambda: transitions(heap(Policy.WRITE_BACK, 7))}
LARGE_TENSORS = {name: LARGE[name] for name in ("heap, write_back, 9", "heap, write_through, 15")}


def _pages(policy: Policy, components: tuple[Component, ...], count: int) -> Transitions:
    return transitions(pages(Pages(policy, components, binary(count))))


@dataclass(frozen=True, slots=True)
class Row:
    """One search. compiling, searching: seconds by the clock, and of CPU."""

    states: int
    transitions: int
    peak: int
    compiling: tuple[float, float]
    searching: tuple[float, float]


def measured(model: Transitions, cores: int, symmetry: bool, device: str) -> Row:
    def now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    begun = now()
    run = ready(machine(model, symmetry), 0, cores, Bounds(), device)
    compiled = now()
    run.to_the_end(None)
    done = now()
    row = Row(run.states, run.transitions, run.peak, _since(begun, compiled), _since(compiled, done))
    run.close()
    return row


def _since(begun: tuple[float, float], done: tuple[float, float]) -> tuple[float, float]:
    return done[0] - begun[0], done[1] - begun[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--only", default="")
    args = parser.parse_args()

    def asked(models: dict[str, Callable[[], Transitions]]) -> dict[str, Callable[[], Transitions]]:
        return {name: make for name, make in models.items() if args.only in name}

    ways = [("cpu", c, symmetry) for c in args.cores for symmetry in (False, True)]
    table(asked(MODELS | (LARGE if args.large else {})), args.rounds, ways)
    if args.torch:
        devices = ["torch", *(["cuda"] if torch.cuda.is_available() else [])]
        table(
            asked(TENSORS | (LARGE_TENSORS if args.large else {})),
            args.rounds,
            [(d, c, False) for d in ("cpu", *devices) for c in args.cores],
        )


def table(models: dict[str, Callable[[], Transitions]], rounds: int, ways: list[tuple[str, int, bool]]) -> None:
    """One line a model and way."""
    built = {name: make() for name, make in models.items()}
    rows: dict[tuple[str, tuple[str, int, bool]], list[Row]] = {}
    for model in built.values():
        for way in ways:
            search(model, Bounds(states=1), cores=way[1], device=way[0])  # the loops are compiled once an installation
    for _ in range(rounds):
        for name, model in built.items():
            for way in ways:
                rows.setdefault((name, way), []).append(measured(model, way[1], way[2], device=way[0]))
    for (name, (device, cores, symmetry)), each in rows.items():
        compiling, searching = (
            [statistics.median(getattr(r, what)[i] for r in each) for i in range(2)]
            for what in ("compiling", "searching")
        )
        states, wall, cpu = each[0].states, *searching
        how = f"{'numba' if device == 'cpu' else device}, {cores} core{'s' * (cores > 1)}{', symmetry' * symmetry}"
        print(
            f"{name}; {how}\n"
            f"  {states:,} states, {each[0].transitions:,} transitions, {each[0].peak / states:.1f} bytes a state\n"
            f"  compiling {compiling[0]:.2f} s (CPU {compiling[1]:.2f}); searching {wall:.2f} s (CPU {cpu:.2f}): "
            f"{states / wall:,.0f} states/s, {states / cpu:,.0f} a CPU second",
            flush=True,
        )


if __name__ == "__main__":
    main()
