"""Seeded work for a cache: any legal operation at any time, one by one, so that a caller can check after each.

Prompts share prefixes and are cut at random, from a vocabulary so small that splits,
revived nodes and evicted parents happen within some hundred operations. Any set of
components will do, also such as nobody has thought of yet:

    cache = UnifiedRadixCache(config(components=(FULL, SWA)), ByHand())
    watch = Watch(cache)  # from sanitree.checker.watch: raises where a rule is violated
    for _ in Workload(cache, seed=1).steps(2000):
        pass
    watch.end()
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Literal

from sanitree.invariants.vocabulary import FULL, Component, Policy
from sanitree.models.reference import serving
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.config import CacheConfig
from sanitree.models.reference.operations import Refused
from sanitree.models.reference.runners import ByHand
from sanitree.models.reference.serving import Request

Room = Literal["plenty", "tight host", "no host"]


def config(
    policy: Policy = Policy.WRITE_THROUGH,
    components: tuple[Component, ...] = (FULL,),
    page: int = 1,
    room: Room = "plenty",
    *,
    small: bool = False,
) -> CacheConfig:
    """A cache that is short of room now and then, as a `Workload` needs it; with `small`, as a few
    prompts of some pages do."""

    def slots(c: Component, tier: int) -> int:
        """Whole pages, or states, on the device (0) or on the host (1)."""
        if tier and room == "tight host":
            return 8 * page if c.per_token else 2
        if not c.per_token:
            return ((10, 8), (6, 4))[small][tier]
        pages = ((48, 32), (14, 10)) if c.backbone else ((36, 20), (12, 8))
        return page * pages[small][tier]

    device, host = ({c.name: slots(c, tier) for c in components} for tier in (0, 1))
    return CacheConfig(
        policy=policy, components=components, page_size=page, device_slots=device,
        host_slots=None if room == "no host" else host, window=page + 3,
    )  # fmt: skip


class Workload:
    """The same cache and seed do the same work. Copies of a runner `ByHand` are left in flight for a while."""

    def __init__(self, cache: UnifiedRadixCache, seed: int) -> None:
        self.cache = cache
        self.random = random.Random(seed)  # noqa: S311  repeatable, not secret
        page = cache.config.page_size
        self.stems = [
            tuple(self.random.randrange(1, 50) * 100 + i for i in range(page * self.random.randrange(2, 6)))
            for _ in range(5)
        ]
        self.choices: list[tuple[float, Callable[[], str | None]]] = [
            (30, self.request), (12, self.start), (12, self.finish), (12, self.release), (10, self.evict),
            (1, self.reset),
        ]  # fmt: skip
        if cache.config.tiered:
            self.choices += [
                (6, self.evict_host), (10, self.pump), (8, self.run_copy), (4, self.load),
                (4, self.start_prefetch), (4, self.finish_prefetch),
            ]  # fmt: skip
        if cache.config.writes_through:
            self.choices.append((3, self.write_backup))

    def steps(self, count: int) -> Iterator[str]:
        """Does so many operations, and yields what each did."""
        weights = [weight for weight, _ in self.choices]
        done = 0
        while done < count:
            ((_, operation),) = self.random.choices(self.choices, weights)
            told = operation()
            if told is not None:
                yield f"{done}: {operation.__name__} {told}"
                done += 1

    def quiesce(self) -> None:
        """Finishes and releases every request, and waits for every copy."""
        for request in list(self.cache.requests.values()):
            self.end(request)
        self.cache.drain()

    def prompt(self) -> tuple[int, ...]:
        """A cut of a stem and up to two branches; now and then not in whole pages."""
        page = self.cache.config.page_size
        stem = self.random.choice(self.stems)
        tokens = stem[: page * self.random.randrange(1, len(stem) // page + 1)]
        for _ in range(self.random.randrange(3)):
            branch = 10_000 * self.random.randrange(1, 4)
            tokens += tuple(branch + self.random.randrange(3) for _ in range(page * self.random.randrange(1, 5)))
        return tokens[: len(tokens) - self.random.choice((0, 0, 1))] or tokens

    # Operations: what each did, or None where it could do nothing.

    def request(self) -> str:
        tokens, request = self.admit()
        if isinstance(request, Refused):
            return f"{tokens} {request}"
        done = serving.finish(self.cache, request)
        if self.random.random() < 0.7:
            serving.release(self.cache, request)
        return f"{tokens} {request.number}, {done.known} known, {request.loaded} loaded"

    def start(self) -> str:
        tokens, request = self.admit()
        return f"{tokens} {request}"

    def admit(self) -> tuple[tuple[int, ...], Request | Refused]:
        tokens = self.prompt()
        while len(self.cache.requests) >= 4:  # a real scheduler holds only so many
            self.end(next(iter(self.cache.requests.values())))
        return tokens, serving.start(self.cache, tokens, load=self.random.random() < 0.8)

    def finish(self) -> str | None:
        running = [r for r in self.cache.requests.values() if not r.finished and not r.own_host]
        if not running:
            return None
        request = self.random.choice(running)
        serving.finish(self.cache, request)
        return str(request.number)

    def release(self) -> str | None:
        if not self.cache.requests:
            return None
        request = self.random.choice(list(self.cache.requests.values()))
        if self.random.random() < 0.3:
            serving.abort(self.cache, request)
        else:
            self.end(request)
        return str(request.number)

    def end(self, request: Request) -> None:
        if request.own_host:
            serving.finish_prefetch(self.cache, request)
            return
        if not request.finished:
            serving.finish(self.cache, request)
        serving.release(self.cache, request)

    def evict(self) -> str:
        wanted = {}
        for part in self.cache.parts:
            if self.random.random() < 0.6:
                wanted[part.name] = self.random.randrange(1, 30 if part.per_token else 4)
        return f"{wanted} {self.cache.evict(wanted)}"

    def evict_host(self) -> str:
        part = self.random.choice(self.cache.parts)
        count = self.random.randrange(1, 30 if part.per_token else 4)
        return f"{count} {part.name} {self.cache.evict_host(count, part.name)}"

    def pump(self) -> str:
        return f"{self.cache.writing_check()} writes, {self.cache.loading_check()} loads"

    def run_copy(self) -> str | None:
        runner = self.cache.runner
        if not isinstance(runner, ByHand) or not runner.pending:
            return None
        return str(runner.run(self.random.randrange(len(runner.pending))).ack)

    def load(self) -> str:
        tokens = self.prompt()
        return f"{tokens} {self.cache.load_back(self.cache.match_prefix(tokens).host_node)}"

    def write_backup(self) -> str | None:
        nodes = [n for n in self.cache.subtree(self.cache.root)[1:] if n.data[0].device is not None]
        if not nodes:
            return None
        node = self.random.choice(nodes)
        return f"{node.id} {self.cache.write_backup(node)}"

    def start_prefetch(self) -> str:
        if len(self.cache.requests) >= 4:
            self.end(next(iter(self.cache.requests.values())))
        tokens = self.prompt()
        return f"{tokens} {serving.start_prefetch(self.cache, tokens)}"

    def finish_prefetch(self) -> str | None:
        fetching = [r for r in self.cache.requests.values() if r.own_host]
        if not fetching:
            return None
        request = self.random.choice(fetching)
        return f"{request.number} {serving.finish_prefetch(self.cache, request)}"

    def reset(self) -> str | None:
        if self.cache.requests:
            return None
        self.cache.reset()
        return ""
