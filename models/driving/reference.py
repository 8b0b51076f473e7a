"""The reference cache, driven: copies by hand, small pools, a fault if one is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sanitree.invariants.vocabulary import Component
from sanitree.models.driving.driver import Hidden
from sanitree.models.driving.operations import (
    BackUp,
    Copy,
    CopyAt,
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
    Prompt,
    Release,
    Reset,
    Start,
    Unlock,
    tokens_of,
)
from sanitree.models.driving.results import amounts, refusal
from sanitree.models.driving.setup import Setup
from sanitree.models.ranks.group import ALONE, Group
from sanitree.models.reference import ByHand, CacheConfig, CacheError, Receipt, Refused, UnifiedRadixCache, serving
from sanitree.models.reference.faults import inject
from sanitree.models.reference.serving import Request
from sanitree.models.reference.watched import WatchedCache
from sanitree.models.step import Call
from sanitree.models.subject import Subject


class ReferenceDriver:
    """Raises CacheError for a setup that cannot be built, or whose fault cannot show in it."""

    on = "reference"

    def __init__(self, setup: Setup, group: Group = ALONE) -> None:
        """group: the ranks that this cache is one of."""
        self.setup, self._group = setup, group
        self._config = config_of(setup)
        self.fresh()

    def fresh(self) -> None:
        """An empty cache of its own pools."""
        self._runner = ByHand()
        self.cache = UnifiedRadixCache(self._config, self._runner, self._group)
        self._locks: list[Receipt] = []
        if self.setup.fault is not None:
            inject(self.cache, self.setup.fault)

    def subject(self, content: bool = False) -> Subject:
        """The cache as a checker takes it; with `content` its snapshots tell what every copy holds."""
        return WatchedCache(self.cache).subject(content)

    def listen(self, before: Callable[[], None], after: Callable[[Call], None]) -> Callable[[], None]:
        """Calls `before` ahead of each public call on the cache, `after` when it has returned; returns what ends it."""
        return WatchedCache(self.cache).listen(before, after)

    def can(self, op: Operation) -> bool:
        """Whether an operation would be legal and have something to act on now; changes nothing."""
        requests, config = self.cache.requests, self._config
        match op:
            case Start() | Match() | Lock():
                return bool(op.prompt)
            case Finish():
                return op.request < len(requests) and not _is_prefetch(r := self._nth(op.request)) and not r.finished
            case Extend():
                return bool(op.prompt) and op.request < len(requests) and self._nth(op.request).finished
            case Release():
                return op.request < len(requests)
            case FinishPrefetch():
                return op.request < len(requests) and _is_prefetch(self._nth(op.request))
            case Unlock():
                return op.lock < len(self._locks)
            case Evict():
                return op.count > 0 and op.component in self.cache.places
            case EvictHost():
                return config.tiered and op.count > 0 and op.component in self.cache.places
            case BackUp():
                return config.writes_through and bool(op.prompt)
            case LoadBack() | Prefetch():
                return config.tiered and bool(op.prompt)
            case Poll():
                return bool(self.cache.writes.queue or self.cache.loads.queue)
            case Copy():
                return op.transfer < len(self._runner.pending)
            case CopyAt():
                return False
            case Reset():
                return not requests and not self._locks

    def do(self, op: Operation) -> str:
        """Does an operation that `can` be done, and says in a few words what came of it."""
        cache = self.cache
        match op:
            case Start():
                return _started(serving.start(cache, self._tokens(op.prompt), op.load))
            case Finish():
                request = self._nth(op.request)
                serving.finish(cache, request)
                return f"{len(request.tokens)} cached"
            case Extend():
                request = self._nth(op.request)
                refused = serving.extend(cache, request, self._tokens(op.prompt))
                return _refusal(refused) if refused else f"{len(request.tokens)} tokens now"
            case Release():
                serving.release(cache, self._nth(op.request), op.insert)
                return "released"
            case Match():
                found = cache.match_prefix(self._tokens(op.prompt))
                return f"{found.device_tokens} tokens on the device, {found.host_tokens} with the host"
            case Lock():
                found = cache.match_prefix(self._tokens(op.prompt))
                self._locks.append(cache.inc_lock_ref(found.device_node))
                return f"{found.device_tokens} tokens"
            case Unlock():
                cache.dec_lock_ref(self._locks.pop(op.lock))
                return "unlocked"
            case Evict():
                return amounts(cache.evict({op.component: op.count}).evicted)
            case EvictHost():
                return amounts({op.component: cache.evict_host(op.count, op.component).evicted[op.component]})
            case BackUp():
                return self._back_up(op.prompt)
            case LoadBack():
                return self._load_back(op.prompt)
            case Poll():
                return f"{cache.writing_check()} writes and {cache.loading_check()} loads acknowledged"
            case Copy():
                return self._copy(op.transfer)
            case CopyAt():
                raise CacheError("one rank's copy is for a driver of several")
            case Prefetch():
                fetching = serving.start_prefetch(cache, self._tokens(op.prompt))
                return _refusal(fetching) if isinstance(fetching, Refused) else "started"
            case FinishPrefetch():
                done = serving.finish_prefetch(cache, self._nth(op.request))
                return f"{done.inserted} new" + (", stopped" if done.stopped else "")
            case Reset():
                cache.reset()
                return "empty"

    def hidden(self) -> Hidden:
        """Prompts of requests, copies that have run, and the tree's clock at each node."""
        cache, landed, used = self.cache, set(), {}
        for lane in (cache.writes, cache.loads):
            landed |= {(x.kind == "write", ack) for ack, x in lane.flying.items() if x.done}
        stack = [cache.root]
        while stack:
            node = stack.pop()
            used[node.id] = float(node.last_access)
            stack += node.children.values()
        flying = tuple(frozenset({(x.kind == "write", x.ack)}) for x in self._runner.pending)
        return Hidden(tuple(tuple(r.tokens) for r in cache.requests.values()), frozenset(landed), flying, used)

    def settle(self) -> None:
        """Aborts every request, releases every lock, runs and acknowledges every copy."""
        for request in list(self.cache.requests.values()):
            serving.release(self.cache, request)
        while self._locks:
            self.cache.dec_lock_ref(self._locks.pop())
        self.cache.drain()

    def own_check(self) -> tuple[str, ...]:
        """What `sanity_check` complains about, a line each."""
        try:
            self.cache.sanity_check()
        except AssertionError as error:
            return tuple(line.strip() for line in str(error).splitlines()[1:]) or (str(error),)  # the first line counts
        return ()

    def oracles(self) -> Mapping[str, tuple[str, ...]]:
        """That alone: nothing serves from it but us."""
        return {"sanity_check": self.own_check()}

    def _tokens(self, prompt: Prompt) -> tuple[int, ...]:
        return tokens_of(prompt, self.setup.page_size)

    def _nth(self, number: int) -> Request:
        return list(self.cache.requests.values())[number]

    def _back_up(self, prompt: Prompt) -> str:
        node = self.cache.match_prefix(self._tokens(prompt)).device_node
        if node is self.cache.root:
            return "nothing there"
        done = self.cache.write_backup(node)
        if done.refused is not None:
            return _refusal(done.refused)
        return "submitted" if done.acks else "nothing to back up"

    def _load_back(self, prompt: Prompt) -> str:
        found = self.cache.match_prefix(self._tokens(prompt))
        if found.host_tokens <= found.device_tokens:
            return "nothing to load"
        done = self.cache.load_back(found.host_node)
        return _refusal(done.refused) if done.refused else amounts(done.loaded)

    def _copy(self, number: int) -> str:
        """Each stream runs its copies in order."""
        pending = self._runner.pending
        wanted = pending[number]
        for transfer in [x for x in pending[: number + 1] if x.kind == wanted.kind]:
            self._runner.run(pending.index(transfer))
        return f"{wanted.kind} of {amounts({s.component: s.device.numel() for s in wanted.spans})}"


def config_of(setup: Setup) -> CacheConfig:
    """The reference cache that a setup means, in slots."""

    def slots(c: Component, pages: int) -> int:
        if c.per_token:
            return pages * setup.page_size
        return max(1, setup.states * pages // setup.device_pages)

    components = setup.components
    return CacheConfig(
        policy=setup.policy,
        components=components,
        page_size=setup.page_size,
        device_slots={c.name: slots(c, setup.device_pages) for c in components},
        host_slots={c.name: slots(c, setup.host_pages) for c in components} if setup.host_pages else None,
        window=setup.window,
        layers=1,
        width=1,
    )


def _is_prefetch(request: Request) -> bool:
    return bool(request.own_host)


def _started(outcome: Request | Refused) -> str:
    if isinstance(outcome, Refused):
        return _refusal(outcome)
    shared = outcome.prefix.numel()
    return f"{shared} shared, {outcome.loaded} of them loaded, {len(outcome.tokens) - shared} computed"


def _refusal(refused: Refused) -> str:
    return refusal(refused.component, refused.wanted)
