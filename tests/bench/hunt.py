"""Operations to the first violation: the hunt against Hypothesis' stateful testing, fault by fault.

    python -m tests.bench.hunt [--seeds 3] [--most 2000] [--only hunt|hypothesis] [FAULT...]

Both drive the same driver, with the same operations and the same choice of pool sizes, and
judge every rule after every call. What is counted is operations that were done until
something was wrong, those that the hunt does again to get somewhere included; a search
that finds nothing counts as the most that it may do.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable
from random import Random
from typing import Any

import hypothesis.strategies as st
import torch
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import HypothesisException
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from sanitree.checker.hunt.lab import Lab
from sanitree.checker.hunt.moves import any_size
from sanitree.checker.hunt.play import EVERYTHING, Play
from sanitree.checker.hunt.search import Progress, Sighted, Task, search
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Policy
from sanitree.models.driving.operations import (
    BackUp,
    Copy,
    Evict,
    EvictHost,
    Extend,
    Finish,
    FinishPrefetch,
    LoadBack,
    Lock,
    Match,
    Operation,
    Poll,
    Prefetch,
    Release,
    Reset,
    Start,
    Unlock,
)
from sanitree.models.driving.reference import config_of
from sanitree.models.driving.setup import Setup
from sanitree.models.reference.faults import FAULTS

STEPS = 40
"""Operations of a Hypothesis example; a run of the hunt has as many moves at most."""

prompts = st.lists(st.sampled_from((1, 2, 3)), min_size=1, max_size=6).map(tuple)


def home(fault: str) -> Setup:
    """The smallest kind of cache that can have a fault."""
    for policy in Policy:
        for components in ((FULL,), (FULL, SWA), (FULL, MAMBA)):
            setup = Setup(policy=policy, components=components)
            if FAULTS[fault].fits(config_of(setup)):
                return Setup(policy=policy, components=components, fault=fault)
    raise AssertionError(f"no cache can have {fault}")


def by_hunt(setup: Setup, number: int, most: int) -> int:
    """Operations until a hunt finds something."""
    told: list[Any] = []
    own = setup.fault == "check_demands_backed_up_parents"
    search(
        Task("reference", setup, number, 3600.0, most=most, stop_at_first=True, own_check=own, shrinks=False),
        told.append,
    )
    found = [x.after for x in told if isinstance(x, Sighted)]
    return min(found[0], most) if found else min(most, sum(_last(told).operations.values()))


def _last(told: list[Any]) -> Progress:
    last = told[-1]
    assert isinstance(last, Progress)
    return last


class _Enough(BaseException):
    """Ends a search from inside."""


def by_hypothesis(setup: Setup, number: int, most: int) -> int:
    """Operations until Hypothesis finds something, with no shrinking."""
    done = [0]
    chosen = settings(
        max_examples=10**6, stateful_step_count=STEPS, deadline=None, database=None, print_blob=False,
        phases=(Phase.generate,), suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    with contextlib.suppress(_Enough, HypothesisException):
        run_state_machine_as_test(seed(number)(machine(setup, done, most)), settings=chosen)
    return min(done[0], most)


def machine(setup: Setup, done: list[int], most: int) -> type[RuleBasedStateMachine]:
    """The operations as rules, each with the precondition that it can be done."""
    lab = Lab("reference", setup, lambda _: None)
    own = setup.fault == "check_demands_backed_up_parents"
    some = st.integers(0, 3)
    components = st.sampled_from([c.name for c in setup.components])
    counts = st.one_of(st.integers(1, 8), st.just(EVERYTHING))

    class Machine(RuleBasedStateMachine):
        play: Play

        @initialize(number=st.integers(0, 2**16))
        def size(self, number: int) -> None:
            self.play = Play(lab.driver(any_size(setup, Random(number))), own_check=own)

        def do(self, op: Operation) -> None:
            if not self.play.can(op):
                return
            done[0] += 1
            if not self.play.do(op) or self.play.complaints or done[0] >= most:
                raise _Enough

        def teardown(self) -> None:
            if hasattr(self, "play") and self.play.wrong is None and done[0] < most and not self.play.end():
                raise _Enough

        @rule(p=prompts, load=st.booleans())
        def start(self, p: tuple[int, ...], load: bool) -> None:
            self.do(Start(p, load))

        @rule(p=prompts)
        def serve(self, p: tuple[int, ...]) -> None:
            last = len(self.play.books.requests)
            for op in (Start(p), Finish(last), Release(last)):
                self.do(op)

        @precondition(lambda self: self.play.books.requests)
        @rule(i=some)
        def finish(self, i: int) -> None:
            self.do(Finish(i % len(self.play.books.requests)))

        @precondition(lambda self: self.play.books.requests)
        @rule(i=some, p=prompts)
        def extend(self, i: int, p: tuple[int, ...]) -> None:
            self.do(Extend(i % len(self.play.books.requests), p[:2]))

        @precondition(lambda self: self.play.books.requests)
        @rule(i=some, insert=st.booleans())
        def release(self, i: int, insert: bool) -> None:
            self.do(Release(i % len(self.play.books.requests), insert))

        @precondition(lambda self: self.play.books.requests)
        @rule(i=some)
        def finish_prefetch(self, i: int) -> None:
            self.do(FinishPrefetch(i % len(self.play.books.requests)))

        @precondition(lambda self: self.play.books.locks)
        @rule(i=some)
        def unlock(self, i: int) -> None:
            self.do(Unlock(i % len(self.play.books.locks)))

        @precondition(lambda self: self.play.books.flying)
        @rule(i=some)
        def copy(self, i: int) -> None:
            self.do(Copy(i % self.play.books.flying))

        @rule(c=components, count=counts)
        def evict(self, c: str, count: int) -> None:
            self.do(Evict(c, count))

        @rule(c=components, count=counts)
        def evict_host(self, c: str, count: int) -> None:
            self.do(EvictHost(c, count))

        @rule()
        def poll(self) -> None:
            self.do(Poll())

        @precondition(lambda self: not self.play.books.requests and not self.play.books.locks)
        @rule()
        def reset(self) -> None:
            self.do(Reset())

    for kind in (Match, Lock, BackUp, LoadBack, Prefetch):

        def act(self: Any, p: tuple[int, ...], kind: Callable[[tuple[int, ...]], Operation] = kind) -> None:
            self.do(kind(p))

        setattr(Machine, kind.__name__.lower(), rule(p=prompts)(_named(act, kind.__name__.lower())))
    Machine.__qualname__ = Machine.__name__ = "Machine"
    return Machine


def _named(function: Callable[..., None], name: str) -> Callable[..., None]:
    def act(self: Any, p: tuple[int, ...]) -> None:
        function(self, p)

    act.__name__ = act.__qualname__ = name
    return act


SEARCHES: dict[str, Callable[[Setup, int, int], int]] = {"hunt": by_hunt, "hypothesis": by_hypothesis}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=2000)
    parser.add_argument("--only", choices=tuple(SEARCHES))
    parser.add_argument("faults", nargs="*", default=list(FAULTS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = [args.only] if args.only else list(SEARCHES)
    medians: dict[str, list[float]] = {name: [] for name in names}
    print(f"operations to the first violation: median of {args.seeds} seeds (least to most), {args.most} at most")
    for fault in args.faults:
        cells = []
        begun = time.perf_counter()
        for name in names:
            counts = sorted(SEARCHES[name](home(fault), number, args.most) for number in range(args.seeds))
            medians[name].append(statistics.median(counts))
            cells.append(f"{name} {medians[name][-1]:7.1f} ({counts[0]} to {counts[-1]})".ljust(38))
        ratio = f"{medians[names[1]][-1] / medians[names[0]][-1]:6.1f} times" if len(names) > 1 else ""
        print(f"{fault:40}{''.join(cells)}{ratio} [{time.perf_counter() - begun:.0f} s]", flush=True)
    for name in names:
        print(f"{name}: median of all faults {statistics.median(medians[name]):.1f}, sum {sum(medians[name]):.0f}")
    if len(names) > 1:
        ratios = [b / a for a, b in zip(*medians.values(), strict=True)]
        middle, mean = statistics.median(ratios), statistics.geometric_mean(ratios)
        print(f"times fewer: median {middle:.2f}, geometric mean {mean:.2f}")


if __name__ == "__main__":
    main()
