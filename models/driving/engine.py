"""A fetched engine, driven: copies by hand, small pools. One version a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sanitree.invariants.vocabulary import Policy, Settings
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
from sanitree.models.engines import calls, drive, oracles, prefetch, serving, store
from sanitree.models.engines.build import COMPONENTS, Core, EngineConfig, LiveEngine, build
from sanitree.models.engines.content import Digests
from sanitree.models.engines.content import columns as bytes_of
from sanitree.models.engines.copies import TransferEvent
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.observe import subject
from sanitree.models.engines.serving import Refused, Request
from sanitree.models.engines.view import View, view
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.step import Ack, Call
from sanitree.models.subject import Subject


class EngineDriver:
    """Raises EngineError for a setup that this version cannot be built with, and what `shims.activate` raises.

    Prefetches are of caches with full attention alone, from 0.5.13 on: see `models.engines.prefetch`.
    """

    def __init__(self, version: str, setup: Setup, group: Any = None) -> None:
        """group: as in `models.engines.build.build`."""
        if setup.fault is not None:
            raise EngineError(f"the fault {setup.fault!r} is planted in the reference cache alone")
        self.on, self.setup = version, setup
        self._config = config_of(version, setup)
        self._group = group
        self._expected: Digests = {}
        self.fresh()

    def fresh(self) -> None:
        """An empty cache with pools and controller of its own: nothing of the last one is left in it."""
        self.live: LiveEngine = build(self.on, self._config, "manual", self._group)
        self._view: View | None = None
        self._with_bytes: Settings | None = None
        self._requests: list[Request | prefetch.Prefetch] = []
        self._locks: list[drive.Lock] = []

    def subject(self, content: bool = False) -> Subject:
        """The cache as a checker takes it; with `content` its snapshots tell what every copy holds."""
        self._view = view(self.live, self._view)
        seen = subject(self._view)
        if not content:
            return seen
        if self._with_bytes is None:
            self._with_bytes = replace(seen.settings, traits=seen.settings.traits | {"reads_bytes"})
        settings = self._with_bytes

        def taken(wanted: frozenset[Key] | None) -> Snapshot:
            s = seen.snapshot(wanted)
            nodes = replace(s.nodes, columns={**s.nodes.columns, **bytes_of(self.live, s, self._expected)})
            return replace(s, settings=settings, nodes=nodes)

        return replace(seen, settings=settings, kind=(seen.kind, "bytes"), snapshot=taken)

    def listen(self, before: Callable[[], None], after: Callable[[Call], None]) -> Callable[[], None]:
        """Calls `before` ahead of each public call on the cache, `after` when it has returned; returns what ends it."""
        return calls.listen(self.live, before, after)

    def can(self, op: Operation) -> bool:
        """Whether an operation would be legal and have something to act on now; changes nothing."""
        config, requests = self._config, self._requests
        match op:
            case Start() | Match() | Lock():
                return bool(op.prompt)
            case Finish():
                return op.request < len(requests) and isinstance(r := requests[op.request], Request) and not r.finished
            case Extend():
                there = bool(op.prompt) and op.request < len(requests)
                return there and isinstance(r := requests[op.request], Request) and r.finished
            case Release():
                return op.request < len(requests)
            case FinishPrefetch():
                return op.request < len(requests) and isinstance(requests[op.request], prefetch.Prefetch)
            case Unlock():
                return op.lock < len(self._locks)
            case Evict():
                return op.count > 0 and op.component in config.components
            case EvictHost():
                return config.host_tier and op.count > 0 and op.component in config.components
            case BackUp():
                return config.host_tier and self.setup.policy is not Policy.WRITE_BACK and bool(op.prompt)
            case LoadBack():
                return config.host_tier and bool(op.prompt)
            case Prefetch():
                return bool(op.prompt) and prefetch.possible(self.live)
            case Poll():
                return any(self._in_flight())
            case Copy():
                return op.transfer < len(self.live.copies.pending())
            case CopyAt():
                return False
            case Reset():
                return not requests and not self._locks

    def do(self, op: Operation) -> str:
        """Does an operation that `can` be done, and says in a few words what came of it."""
        live = self.live
        match op:
            case Start():
                return self._start(op)
            case Finish():
                return self._finish(op.request)
            case Extend():
                request = self._request(op.request)
                refused = serving.extend_request(live, request, self._tokens(op.prompt))
                return _refusal(refused) if refused else f"{len(request.tokens)} tokens now"
            case Release():
                return self._release(op.request, op.insert)
            case Match():
                found = drive.match(live, self._tokens(op.prompt))
                count = len(found.slots)
                return f"{count} tokens on the device, {count + found.host_hit} with the host"
            case Lock():
                found = drive.match(live, self._tokens(op.prompt))
                self._locks.append(drive.lock(live, found.device_node))
                return f"{len(found.slots)} tokens"
            case Unlock():
                drive.unlock(live, self._locks.pop(op.lock))
                return "unlocked"
            case Evict():
                done = drive.evict(live, **{op.component: op.count})
                return amounts({c: getattr(done, c) for c in self._config.components})
            case EvictHost():
                component = next(c for c in self._config.components if c == op.component)
                return amounts({component: drive.evict_host(live, op.count, component)})
            case BackUp():
                return self._back_up(op.prompt)
            case LoadBack():
                return self._load_back(op.prompt)
            case Poll():
                before = self._in_flight()
                drive.pump(live)
                writes, loads = (a - b for a, b in zip(before, self._in_flight(), strict=True))
                return f"{writes} writes and {loads} loads acknowledged"
            case Copy():
                copied = live.copies.run(op.transfer)
                return f"{copied.stream} of {amounts({s.component: len(s.device) for s in copied.spans})}"
            case CopyAt():
                raise EngineError("one rank's copy is for a driver of several")
            case Prefetch():
                return self._prefetch(op.prompt)
            case FinishPrefetch():
                fetched = self._requests.pop(op.request)
                assert isinstance(fetched, prefetch.Prefetch), "asked first"
                new, dropped = prefetch.finish(live, fetched)
                return "dropped" if dropped else f"{new} new"
            case Reset():
                drive.reset(live)
                return "empty"

    def hidden(self) -> Hidden:
        """Prompts of requests; copies that have run; how long ago the nodes of a Python core were used."""
        running = tuple(tuple(r.tokens) for r in self._requests)
        landed: set[Ack] = set()
        if (controller := self.live.controller) is not None:
            for is_write, queue in ((True, controller.ack_write_queue), (False, controller.ack_load_queue)):
                for ack in queue:
                    event = ack.finish_event
                    if isinstance(event, TransferEvent) and event.transfer.done:
                        landed.update((is_write, i) for i in ack.node_ids)
        flying = tuple(frozenset((t.stream == "write", i) for i in t.ack_ids) for t in self.live.copies.pending())
        return Hidden(running, frozenset(landed), flying, None if self.live.rust else self._used())

    def _used(self) -> dict[int, float]:
        used: dict[int, float] = {}
        stack = [self.live.tree.root_node]
        while stack:
            node = stack.pop()
            used[node.id] = node.last_access_time
            stack += node.children.values()
        return used

    def settle(self) -> None:
        """Aborts every request, releases every lock, runs and acknowledges every copy."""
        while self._requests:
            self._release(0, insert=False)
        while self._locks:
            drive.unlock(self.live, self._locks.pop())
        drive.drain(self.live)

    def own_check(self) -> tuple[str, ...]:
        """What the engine's `sanity_check` complains about, a line each; also where it errs."""
        return drive.engine_sanity_check(self.live)

    def oracles(self) -> Mapping[str, tuple[str, ...]]:
        """That, and what the scheduler's accounting would say."""
        return oracles.oracles(self.live)

    def _tokens(self, prompt: Prompt) -> tuple[int, ...]:
        return tokens_of(prompt, self.setup.page_size)

    def _request(self, number: int) -> Request:
        request = self._requests[number]
        assert isinstance(request, Request), "asked first"
        return request

    def _in_flight(self) -> tuple[int, int]:
        """Writes and loads that are not acknowledged."""
        if self.live.controller is None:
            return 0, 0
        return len(self.live.cache.ongoing_write_through), len(self.live.cache.ongoing_load_back)

    def _start(self, op: Start) -> str:
        request = serving.start_request(self.live, self._tokens(op.prompt), op.load)
        if isinstance(request, Refused):
            return _refusal(request)
        self._requests.append(request)
        shared = request.protected
        return f"{shared} shared, {request.loaded} of them loaded, {len(request.tokens) - shared} computed"

    def _finish(self, number: int) -> str:
        request = self._request(number)
        refused = serving.finish_request(self.live, request)
        if refused is not None:
            del self._requests[number]
            return _refusal(refused)
        return f"{len(request.tokens)} cached"

    def _release(self, number: int, insert: bool) -> str:
        request = self._requests.pop(number)
        if isinstance(request, prefetch.Prefetch):
            prefetch.abort(self.live, request)
        elif request.finished:
            serving.release(self.live, request, insert)
        else:
            serving.abort_request(self.live, request)
        return "released"

    def _back_up(self, prompt: Prompt) -> str:
        node = drive.match(self.live, self._tokens(prompt)).device_node
        if node == drive.root(self.live):
            return "nothing there"
        if drive.is_backed_up(self.live, node):
            return "nothing to back up"
        return "submitted" if drive.write_backup(self.live, node) > 0 else "refused"

    def _load_back(self, prompt: Prompt) -> str:
        before = len(self.live.cache.ongoing_load_back)
        drive.load_back(self.live, self._tokens(prompt))
        return "submitted" if len(self.live.cache.ongoing_load_back) > before else "nothing loaded"

    def _prefetch(self, prompt: Prompt) -> str:
        fetching = prefetch.start(self.live, self._tokens(prompt))
        if fetching is None:
            return "nothing to fetch"
        if isinstance(fetching, Refused):
            return _refusal(fetching)
        self._requests.append(fetching)
        return "started"


def config_of(version: str, setup: Setup) -> EngineConfig:
    """The engine that a setup means.

    A host pool is one page larger than the ratio says, and up to 0.5.14 an engine insists
    that it is larger than the device's: then it gets one page more than that has.
    """
    pages, page = setup.host_pages, setup.page_size
    if pages and not store.at_least(version, "0.5.15"):
        pages = max(pages, setup.device_pages + 1)
    unknown = [c.name for c in setup.components if c.name not in COMPONENTS]
    if unknown:
        raise EngineError(f"an engine has no component {', '.join(unknown)}: only {', '.join(COMPONENTS)}")
    return EngineConfig(
        policy=setup.policy.value,
        components=tuple(c for c in COMPONENTS if c in {own.name for own in setup.components}),
        page_size=page,
        core=_core(setup.core),
        device_tokens=setup.device_pages * page,
        host_ratio=(pages - 1 + 0.5 / page) / setup.device_pages if pages else 1.0,
        host_tier=bool(pages),
        window=setup.window,
        layers=2,
        mamba_slots=setup.states,
    )


def _core(name: str | None) -> Core | None:
    match name:
        case None:
            return None
        case "python":
            return "python"
        case "rust":
            return "rust"
    raise EngineError(f"no core {name!r}: python or rust")


def _refusal(refused: Refused) -> str:
    return refusal(refused.component, refused.wanted)
