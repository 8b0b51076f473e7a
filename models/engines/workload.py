"""Seeded work for a live cache: a step at a time, so that a caller can check after each.

Prompts share prefixes and are cut at random, from a vocabulary so small that splits,
revived nodes and evicted parents happen within some hundred steps. Copies are left in
flight for a random number of polls.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from sanitree.models.engines import content, drive, serving
from sanitree.models.engines.build import Component, LiveEngine
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.serving import Refused, Request


@dataclass(frozen=True, slots=True)
class Step:
    """One operation that was done. `result` is a short text; `number` counts from 0."""

    number: int
    op: str
    args: tuple[object, ...]
    result: str

    def __str__(self) -> str:
        return f"{self.number:4d} {self.op}({', '.join(map(str, self.args))}) → {self.result}"


class WrongContent(EngineError):  # noqa: N818 (reads as what happened)
    """The cache served bytes that belong to another prefix, or to none."""


def steps(live: LiveEngine, count: int, seed: int = 0, *, verify: bool = True, resets: bool = True) -> Iterator[Step]:
    """Does `count` random operations, yielding each when it is done.

    With `verify`, the bytes that a request's matched prefix would be served are checked
    before the request starts: `WrongContent` names the tokens. What the engine itself
    raises gets out, after the steps that led to it. Without `resets` what was there stays.
    """
    yield from _Workload(live, seed, verify, resets).run(count)


def quiesce(live: LiveEngine) -> None:
    """Finishes and releases every request and drains all copies."""
    for request in list(live.requests):
        if request.finished or serving.finish_request(live, request) is None:
            serving.release(live, request)
    drive.drain(live)


class _Workload:
    def __init__(self, live: LiveEngine, seed: int, verify: bool, resets: bool) -> None:
        self.live = live
        self.random = random.Random(seed)  # noqa: S311 (repeatable, not secret)
        self.verify = verify
        page = live.page_size
        self.stems = [
            [self.random.randrange(1, 50) * 100 + i for i in range(page * self.random.randrange(2, 6))]
            for _ in range(5)
        ]
        live.copies.polls = lambda: self.random.randrange(3)
        self.choices: list[tuple[float, Callable[[], tuple[str, tuple[object, ...], str] | None]]] = [
            (30, self.request),
            (12, self.start),
            (12, self.finish),
            (12, self.release),
            (10, self.evict),
        ]
        if resets:
            self.choices.append((1, self.reset))
        if live.controller is not None:
            self.choices += [(6, self.evict_host), (12, self.pump), (4, self.run_copy), (3, self.load)]
        if live.config.components != ("full",):
            self.choices.append((6, self.evict_component))

    def run(self, count: int) -> Iterator[Step]:
        weights = [weight for weight, _ in self.choices]
        number = 0
        while number < count:
            ((_, operation),) = self.random.choices(self.choices, weights)
            done = operation()
            if done is not None:
                yield Step(number, *done)
                number += 1

    def prompt(self) -> list[int]:
        """A cut of a stem and up to two branches, in whole pages."""
        page = self.live.page_size
        stem = self.random.choice(self.stems)
        tokens = stem[: page * self.random.randrange(1, len(stem) // page + 1)]
        for _ in range(self.random.randrange(3)):
            branch = 10_000 * self.random.randrange(1, 4)
            length = page * self.random.randrange(1, 5)
            tokens = tokens + [branch + self.random.randrange(3) for _ in range(length)]
        return tokens

    def admit(self) -> tuple[list[int], Request | Refused]:
        tokens = self.prompt()
        if self.verify:
            check(self.live, tokens)
        # A real scheduler holds only so many requests.
        while len(self.live.requests) >= 4:
            self.drop(self.live.requests[0])
        return tokens, serving.start_request(self.live, tokens, load=self.random.random() < 0.8)

    def drop(self, request: Request) -> str:
        if not request.finished:
            refused = serving.finish_request(self.live, request)
            if refused is not None:
                return _text(refused)
        serving.release(self.live, request, insert=self.random.random() < 0.5)
        return "released"

    def request(self) -> tuple[str, tuple[object, ...], str]:
        tokens, request = self.admit()
        if isinstance(request, Request):
            request = serving.finish_request(self.live, request) or request
        text = _text(request)
        if isinstance(request, Request) and self.random.random() < 0.7:
            serving.release(self.live, request, insert=self.random.random() < 0.5)
            text += ", released"
        return "request", (tokens,), text

    def start(self) -> tuple[str, tuple[object, ...], str]:
        tokens, request = self.admit()
        return "start", (tokens,), _text(request)

    def finish(self) -> tuple[str, tuple[object, ...], str] | None:
        running = [request for request in self.live.requests if not request.finished]
        if not running:
            return None
        request = self.random.choice(running)
        refused = serving.finish_request(self.live, request)
        return "finish", (request.number,), _text(refused or request)

    def release(self) -> tuple[str, tuple[object, ...], str] | None:
        if not self.live.requests:
            return None
        request = self.random.choice(self.live.requests)
        if not request.finished and self.random.random() < 0.3:
            serving.abort_request(self.live, request)
            return "abort", (request.number,), "released"
        return "release", (request.number,), self.drop(request)

    def evict(self) -> tuple[str, tuple[object, ...], str]:
        count = self.random.randrange(1, 30)
        return "evict", (count,), str(drive.evict(self.live, count))

    def evict_component(self) -> tuple[str, tuple[object, ...], str]:
        if self.live.has("swa"):
            count = self.random.randrange(1, 12)
            return "evict_swa", (count,), str(drive.evict(self.live, swa=count))
        count = self.random.randrange(1, 4)
        return "evict_mamba", (count,), str(drive.evict(self.live, mamba=count))

    def evict_host(self) -> tuple[str, tuple[object, ...], str]:
        component: Component = self.random.choice(self.live.config.components)
        count = self.random.randrange(1, 4 if component == "mamba" else 30)
        return "evict_host", (count, component), str(drive.evict_host(self.live, count, component))

    def pump(self) -> tuple[str, tuple[object, ...], str]:
        before = len(self.live.copies.pending())
        drive.pump(self.live)
        return "pump", (), f"{before} in flight, then {len(self.live.copies.pending())}"

    def run_copy(self) -> tuple[str, tuple[object, ...], str] | None:
        pending = self.live.copies.pending()
        if not pending:
            return None
        index = self.random.randrange(len(pending))
        return "run_copy", (index,), str(self.live.copies.run(index))

    def load(self) -> tuple[str, tuple[object, ...], str]:
        tokens = self.prompt()
        return "load", (tokens,), str(drive.load_back(self.live, tokens))

    def reset(self) -> tuple[str, tuple[object, ...], str] | None:
        if self.live.requests:
            return None
        drive.drain(self.live)
        drive.reset(self.live)
        return "reset", (), "empty"


def check(live: LiveEngine, tokens: Sequence[int]) -> None:
    """Raises `WrongContent` if a request for `tokens` would be served wrong bytes."""
    verdict = drive.verify_request(live, tokens)
    if not verdict:
        raise WrongContent(f"wrong bytes served for {list(tokens)}: positions {verdict.wrong}")


def check_tree(live: LiveEngine) -> None:
    """Raises `WrongContent` if what a running request reads is wrong, or any settled copy
    in a Python core's tree."""
    wrong = content.verify_requests(live) + content.verify_tree(live)
    if wrong:
        raise WrongContent("; ".join(map(str, wrong[:5])))


def _text(outcome: Request | Refused) -> str:
    if isinstance(outcome, Refused):
        return f"refused: {outcome.wanted} {outcome.component}"
    own = len(outcome.slots) - outcome.protected
    loaded = f", {outcome.loaded} loaded" if outcome.loaded else ""
    return f"request {outcome.number}: {outcome.protected} shared{loaded}, {own} own"


def grow(live: LiveEngine, nodes: int, depth: int = 10) -> int:
    """Fills a fresh cache with `nodes` nodes, for timing; returns how many there are.

    A fan of chains: each chain `depth` nodes deep, each node one page. No bytes are
    written and no request is held; a mamba state goes where there is a slot for one.
    """
    page, made, chain = live.page_size, 0, 0
    while made < nodes:
        chain += 1
        # Tokens of a chain differ from those of any other, in the first page at once.
        tokens: list[int] = []
        slots = torch.empty(0, dtype=torch.int64)
        for level in range(min(depth, nodes - made)):
            new = drive.alloc(live, page)
            state = live.mamba_allocator.alloc(1) if live.mamba_allocator is not None else None
            if new is None or (live.has("mamba") and state is None):
                raise EngineError(f"the device is full at {made} nodes: build it larger")
            tokens += [chain if level == 0 else 1_000_000 + level] * page
            before, slots = len(slots), torch.cat([slots, new])
            extra = {} if state is None else {"mamba_value": state}
            live.cache.insert(
                live.names.InsertParams(key=drive.key(live, tokens), value=slots, prev_prefix_len=before, **extra)
            )
            made += 1
        drive.drain(live)  # as a server does: tables of what is in flight stay small
    return made
