"""Operations to the first violation: the hunt against Hypothesis' stateful testing, fault by fault and bug by bug.

    python -m tests.bench.hunt [--seeds 3] [--most 2000] [FAULT or BUG...]

The faults are those of the reference cache, the bugs those of the track record, in the newest
engine that has them. Both searches drive the same driver, with the same operations, the same
prompts and the same choice of pool sizes, judge every rule after every call, and ask an
engine's own check. What is counted is operations that were done until something was wrong,
those that the hunt does again to get somewhere included; a search that finds nothing counts as
the most that it may do. `needs` is what the hunt shrinks the first seed's finding to: no search
can find it in fewer operations than the fewest there are.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
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
from sanitree.models.engines.process import run_in_engine
from sanitree.models.reference.faults import FAULTS
from tests.hunt.track_record import RECORD

ROOT = Path(__file__).resolve().parents[2]
IN_ENGINE = "tests.bench.hunt"
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


def own_check(on: str, setup: Setup) -> bool:
    """Whether the cache's own check may be what finds it."""
    return on != "reference" or setup.fault == "check_demands_backed_up_parents"


def by_hunt(setup: Setup, number: int, most: int, on: str = "reference", needs: list[int] | None = None) -> int:
    """Operations until a hunt finds something; how many it shrinks that to is added to `needs`."""
    told: list[Any] = []
    shrinks = needs is not None
    search(
        Task(on, setup, number, 3600.0, most=most, stop_at_first=True, own_check=own_check(on, setup), shrinks=shrinks),
        told.append,
    )
    found = [x for x in told if isinstance(x, Sighted)]
    if found and needs is not None:
        needs.append(len(found[0].shrunk.operations))
    return min(found[0].after, most) if found else min(most, sum(_last(told).operations.values()))


def _last(told: list[Any]) -> Progress:
    last = told[-1]
    assert isinstance(last, Progress)
    return last


class _Enough(BaseException):
    """Ends a search from inside."""


def by_hypothesis(setup: Setup, number: int, most: int, on: str = "reference") -> int:
    """Operations until Hypothesis finds something, with no shrinking."""
    done = [0]
    chosen = settings(
        max_examples=10**6, stateful_step_count=STEPS, deadline=None, database=None, print_blob=False,
        phases=(Phase.generate,), suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    with contextlib.suppress(_Enough, HypothesisException):
        run_state_machine_as_test(seed(number)(machine(on, setup, done, most)), settings=chosen)
    return min(done[0], most)


def machine(on: str, setup: Setup, done: list[int], most: int) -> type[RuleBasedStateMachine]:
    """The operations as rules, each with the precondition that it can be done."""
    lab = Lab(on, setup, lambda _: None)
    own = own_check(on, setup)
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


@dataclass(frozen=True, slots=True)
class Measured:
    """Operations to the first violation by each search, a number a seed; what it needs, None where nobody found it."""

    name: str
    hunt: list[int]
    hypothesis: list[int]
    needs: int | None

    @property
    def ratio(self) -> float:
        """How many times fewer the hunt takes, of the medians."""
        return statistics.median(self.hypothesis) / statistics.median(self.hunt)

    def __str__(self) -> str:
        cells = (f"{statistics.median(x):7.1f} ({min(x)} to {max(x)})".ljust(24) for x in (self.hunt, self.hypothesis))
        return f"{self.name:38} needs {self.needs or '?':>3}  hunt {'hypothesis '.join(cells)}{self.ratio:6.1f} times"


def measure(name: str, on: str, setup: Setup, seeds: int, most: int) -> Measured:
    """Both searches, with so many seeds each."""
    needs: list[int] = []
    hunts = [by_hunt(setup, n, most, on, None if needs else needs) for n in range(seeds)]
    others = [by_hypothesis(setup, n, most, on) for n in range(seeds)]
    return Measured(name, hunts, others, needs[0] if needs else None)


def in_engine(name: str, seeds: int, most: int) -> dict[str, Any]:
    """The same of a bug of the track record, in an engine's process."""
    torch.set_num_threads(1)
    where = RECORD[name]
    return asdict(measure(name, where.on, where.setup, seeds, most))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=2000)
    parser.add_argument("names", nargs="*", default=[*FAULTS, *RECORD])
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"operations to the first violation: median of {args.seeds} seeds (least to most), {args.most} at most")
    found: list[Measured] = []
    for name in args.names:
        begun = time.perf_counter()
        if name in RECORD:
            arguments = {"name": name, "seeds": args.seeds, "most": args.most}
            told = run_in_engine(RECORD[name].on, f"{IN_ENGINE}:in_engine", arguments, search=[ROOT], timeout=7200)
            found.append(Measured(**told))
        else:
            found.append(measure(name, "reference", home(name), args.seeds, args.most))
        print(f"{found[-1]} [{time.perf_counter() - begun:.0f} s]", flush=True)
    for what, some in (
        ("all", found),
        ("that need up to 4 operations", [m for m in found if m.needs is not None and m.needs <= 4]),
        ("that need 5 and more", [m for m in found if m.needs is None or m.needs > 4]),
        ("that take Hypothesis 100 and more", [m for m in found if statistics.median(m.hypothesis) >= 100]),
    ):
        if some:
            print(f"{what}: {len(some)}, {_summary(some)}")


def _summary(some: list[Measured]) -> str:
    ratios = [m.ratio for m in some]
    bounds = [statistics.median(m.hypothesis) / m.needs for m in some if m.needs]
    sums = [
        sum(statistics.median(x) for x in each) for each in zip(*((m.hunt, m.hypothesis) for m in some), strict=True)
    ]
    best = f", {statistics.median(bounds):.1f} times at best" if bounds else ""
    middle, mean = statistics.median(ratios), statistics.geometric_mean(ratios)
    sums_of = f"sums of medians {sums[0]:.0f} and {sums[1]:.0f}"
    return f"times fewer: median {middle:.2f}, geometric mean {mean:.2f}{best}; {sums_of}"


if __name__ == "__main__":
    main()
