"""A Hypothesis state machine over a reference cache: any operation at any time, every rule after each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sanitree.checker.live import InvariantViolated
from sanitree.checker.watch import Watch
from sanitree.invariants.vocabulary import Component, Policy
from sanitree.models.reference import AtOnce, ByHand, Node, Receipt, Refused, Runner, UnifiedRadixCache, Worker, serving
from sanitree.models.reference.faults import inject
from sanitree.models.step import Call
from tests.reference.workload import config

OF_THE_CHECK = ("check_demands_backed_up_parents",)
"""Faults that are not the cache's but its check's: to find one, the check is asked."""

Failed = Callable[[Exception, list[Call]], None]

RUNNERS: dict[str, Callable[[], Runner]] = {"by hand": ByHand, "at once": AtOnce, "worker": Worker}

SYMBOLS = (1, 2, 3)
prompts = st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=7)
"""A page each; few symbols, so that prompts share prefixes and leave each other halfway."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What kind of cache: one cell of the matrix."""

    policy: Policy
    components: tuple[Component, ...]
    page: int
    runner: str
    fault: str | None = None

    def __str__(self) -> str:
        names = "+".join(c.name for c in self.components)
        return f"{self.policy.value} {names} page {self.page} {self.runner}" + (f" {self.fault}" if self.fault else "")


def machine(
    cell: Cell,
    seen: Counter[str] | None = None,
    failed: Failed = lambda error, calls: None,
    at_step: Callable[[], None] = lambda: None,
) -> type[RuleBasedStateMachine]:
    """The machine of a cell; `seen` counts what happened, for floors on coverage, `failed` hears what goes wrong
    and the calls that led there; `at_step` is called before each step, and may end it all."""
    counts: Counter[str] = Counter() if seen is None else seen
    page = cell.page

    def tokens(symbols: list[int], cut: int = 0) -> tuple[int, ...]:
        whole = tuple(10 * s + i for s in symbols for i in range(page))
        return whole[: max(1, len(whole) - cut)]

    def judged(operation: Callable[..., None]) -> Callable[..., None]:
        """An operation, and what every rule says after it."""

        @wraps(operation)
        def step(self: Any, *args: Any, **more: Any) -> None:
            counts["steps"] += 1
            at_step()
            try:
                operation(self, *args, **more)
                self.watch.settle()
                if cell.fault in OF_THE_CHECK:
                    self.cache.sanity_check()
            except Exception as error:
                failed(error, self.watch.calls)
                raise

        return step

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.cache = UnifiedRadixCache(
                config(cell.policy, cell.components, page, small=True), RUNNERS[cell.runner]()
            )
            if cell.fault is not None:
                inject(self.cache, cell.fault)
            self.locks: list[Receipt] = []
            count(self.cache, counts)
            self.watch = Watch(self.cache)

        # Requests.

        @initialize(symbols=prompts)
        @judged
        def first(self, symbols: list[int]) -> None:
            self.serve(tokens(symbols))

        @rule(symbols=prompts, cut=st.sampled_from((0, 0, 1)))
        @judged
        def whole_request(self, symbols: list[int], cut: int) -> None:
            self.serve(tokens(symbols, cut))

        def serve(self, prompt: tuple[int, ...]) -> None:
            self.make_room()
            request = serving.start(self.cache, prompt)
            if not isinstance(request, Refused):
                serving.finish(self.cache, request)
                serving.release(self.cache, request)

        @rule(i=st.integers(0, 20), symbols=prompts)
        @judged
        def serve_more(self, i: int, symbols: list[int]) -> None:
            """A prompt that is there goes on, as the next turn of a conversation."""
            if nodes := self.nodes():
                self.serve(self.prompt_of(nodes[i % len(nodes)]) + tokens(symbols[:2]))

        @rule(symbols=prompts, load=st.booleans())
        @judged
        def start(self, symbols: list[int], load: bool) -> None:
            self.make_room()
            serving.start(self.cache, tokens(symbols), load=load)

        def make_room(self) -> None:
            while len(self.cache.requests) >= 3:
                self.end(next(iter(self.cache.requests.values())))

        def end(self, request: serving.Request) -> None:
            if request.own_host:
                serving.finish_prefetch(self.cache, request)
                return
            if not request.finished:
                serving.finish(self.cache, request)
            serving.release(self.cache, request)

        def nth(self, i: int) -> serving.Request:
            requests = list(self.cache.requests.values())
            return requests[i % len(requests)]

        @precondition(lambda self: self.cache.requests)
        @rule(i=st.integers(0, 3))
        @judged
        def finish(self, i: int) -> None:
            request = self.nth(i)
            if request.own_host:
                serving.finish_prefetch(self.cache, request)
            elif not request.finished:
                serving.finish(self.cache, request)

        @precondition(lambda self: self.cache.requests)
        @rule(i=st.integers(0, 3))
        @judged
        def release(self, i: int) -> None:
            serving.release(self.cache, self.nth(i))

        # Looking, and holding on.

        @rule(symbols=prompts)
        @judged
        def match(self, symbols: list[int]) -> None:
            self.cache.match_prefix(tokens(symbols))

        @rule(i=st.integers(0, 20), pages=st.integers(1, 3))
        @judged
        def match_less(self, i: int, pages: int) -> None:
            """What leaves a node that is there halfway, and so splits it."""
            if nodes := self.nodes():
                self.leave_halfway(nodes[i % len(nodes)], pages)

        @precondition(lambda self: self.moving())
        @rule(i=st.integers(0, 20))
        @judged
        def match_less_of_what_moves(self, i: int) -> None:
            """The same of a node that is being written or loaded."""
            nodes = self.moving()
            self.leave_halfway(nodes[i % len(nodes)], 1)

        def leave_halfway(self, node: Node, pages: int) -> None:
            prompt = self.prompt_of(node)
            self.cache.match_prefix(prompt[: max(page, len(prompt) - pages * page)])

        def moving(self) -> list[Node]:
            return [n for n in self.nodes() if (n.write_ack, n.load_ack) != (None, None) and len(n.key) > page]

        def prompt_of(self, node: Node) -> tuple[int, ...]:
            return tuple(t for n in node.path() for t in n.key)

        def nodes(self) -> list[Node]:
            return self.cache.subtree(self.cache.root)[1:]

        @precondition(lambda self: len(self.locks) < 3)
        @rule(symbols=prompts)
        @judged
        def lock(self, symbols: list[int]) -> None:
            self.locks.append(self.cache.inc_lock_ref(self.cache.match_prefix(tokens(symbols)).device_node))

        @precondition(lambda self: self.locks)
        @rule(i=st.integers(0, 2))
        @judged
        def unlock(self, i: int) -> None:
            self.cache.dec_lock_ref(self.locks.pop(i % len(self.locks)))

        # Eviction.

        @rule(i=st.integers(0, 2), count=st.integers(1, 12))
        @judged
        def evict(self, i: int, count: int) -> None:
            part = self.cache.parts[i % len(self.cache.parts)]
            self.cache.evict({part.name: count})

        @rule()
        @judged
        def quiet_then_pressure(self) -> None:
            """Nothing happened for a while, so all writes have landed; then a large request comes."""
            self.cache.writing_check(wait=True)
            self.cache.evict({self.cache.parts[0].name: 10**6})

        @precondition(lambda self: self.cache.config.tiered)
        @rule(i=st.integers(0, 2), count=st.integers(1, 12))
        @judged
        def evict_host(self, i: int, count: int) -> None:
            self.cache.evict_host(count, self.cache.parts[i % len(self.cache.parts)].name)

        # The other tier.

        @precondition(lambda self: self.cache.config.writes_through)
        @rule(i=st.integers(0, 20))
        @judged
        def write_backup(self, i: int) -> None:
            nodes = [n for n in self.nodes() if n.data[0].device is not None]
            if nodes:
                self.cache.write_backup(nodes[-1 - i % len(nodes)])  # the deepest first

        @precondition(lambda self: self.cache.config.tiered)
        @rule(i=st.integers(0, 20))
        @judged
        def load_back(self, i: int) -> None:
            """As for a request for a prefix of which the host has more than the device."""
            if nodes := [n for n in self.nodes() if n.data[0].device is None]:
                prompt = self.prompt_of(nodes[i % len(nodes)])
                self.cache.load_back(self.cache.match_prefix(prompt).host_node)

        @precondition(lambda self: self.cache.config.tiered)
        @rule(symbols=prompts)
        @judged
        def start_prefetch(self, symbols: list[int]) -> None:
            self.make_room()
            serving.start_prefetch(self.cache, tokens(symbols))

        @rule()
        @judged
        def poll(self) -> None:
            self.cache.writing_check()
            self.cache.loading_check()

        @precondition(lambda self: isinstance(self.cache.runner, ByHand) and self.cache.runner.pending)
        @rule(i=st.integers(0, 5))
        @judged
        def run_copy(self, i: int) -> None:
            runner = self.cache.runner
            assert isinstance(runner, ByHand)
            runner.run(i % len(runner.pending))

        @precondition(lambda self: not self.cache.requests and not self.locks)
        @rule()
        @judged
        def reset(self) -> None:
            self.cache.reset()

        def teardown(self) -> None:
            try:
                self.drain()
            finally:
                if isinstance(self.cache.runner, Worker):
                    self.cache.runner.close()

        @judged
        def drain(self) -> None:
            """Everything is released and evicted: nothing may be left."""
            for request in list(self.cache.requests.values()):
                self.end(request)
            for receipt in self.locks:
                self.cache.dec_lock_ref(receipt)
            self.cache.writing_check(wait=True)
            self.cache.loading_check(wait=True)
            assert not self.cache.receipts, "a lock is left when nobody holds one"
            self.cache.evict({p.name: 10**6 for p in self.cache.parts})
            if self.cache.config.tiered:
                self.cache.evict_host(10**6)
            self.watch.settle()
            left = [p.capacity - p.available for p in (*self.cache.device_pools, *self.cache.host_pools)]
            assert not any(left), f"slots are left when everything is evicted: {left}"

    Machine.__qualname__ = Machine.__name__ = "Machine"
    return Machine


def count(cache: UnifiedRadixCache, seen: Counter[str]) -> None:
    """Counts on one cache what a run must have met."""

    def wrap(name: str, look: Callable[..., Callable[[Any], None] | None]) -> None:
        method = getattr(cache, name)

        def counted(*args: Any, **more: Any) -> Any:
            later = look(*args, **more)
            result = method(*args, **more)
            if later is not None:
                later(result)
            return result

        setattr(cache, name, counted)

    loading = [False]

    def split(node: Any, at: int) -> None:
        seen["split"] += 1
        seen["split while a write is pending"] += node.write_ack is not None
        seen["split while a load is pending"] += node.load_ack is not None
        seen["lock across a split"] += any(c.lock for c in node.data)

    def put_device(node: Any, i: int, slots: Any) -> None:
        seen["tombstone refilled"] += i > 0 and node.hits > 0 and node.data[0].device is not None

    def alloc_host(component: str, count: int) -> Callable[[Any], None]:
        def later(result: Any) -> None:
            seen["full host"] += result is None

        return later

    def load_back(node: Any) -> Callable[[Any], None]:
        loading[0] = True

        def later(result: Any) -> None:
            loading[0] = False
            seen["load back refused"] += result.refused is not None

        return later

    def evict(wanted: Any) -> None:
        seen["load back during eviction"] += loading[0] or bool(cache.loads.flying)
        seen["eviction while a write is pending"] += bool(cache.writes.flying)

    wrap("split", split)
    wrap("put_device", put_device)
    wrap("alloc_host", alloc_host)
    wrap("load_back", load_back)
    wrap("evict", evict)


__all__ = ["Cell", "InvariantViolated", "machine"]
