"""Makes a sighting small: fewer operations, smaller arguments, a smaller cache.

Operations go as in ddmin (Zeller, Hildebrandt, TSE 2002): chunks of half of them, of a
quarter, down to single ones. Then each argument is made smaller, then the setup, and all
over again until nothing helps. A smaller one is taken if the same thing goes wrong.
Operations that cannot be done any more are left out: places name who is there now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, cast

from sanitree.checker.hunt.wrong import Sighting
from sanitree.models.driving.operations import Operation, Prompt
from sanitree.models.driving.setup import Setup

Replay = Callable[[Setup, Sequence[Operation]], "Sighting | None"]
"""Does operations on a fresh cache; what goes wrong, after those that could be done."""


class _Smaller:
    """The smallest sighting so far; so many more attempts are left, and time until `deadline`."""

    def __init__(self, first: Sighting, replay: Replay, attempts: int, deadline: float) -> None:
        self.best, self._wanted, self._replay = first, first.wrong, replay
        self._attempts, self._deadline = attempts, deadline
        self._tried: set[tuple[Setup, tuple[Operation, ...]]] = set()

    def takes(self, operations: Sequence[Operation], setup: Setup | None = None) -> bool:
        """Whether a candidate shows the same; then it is the best so far."""
        setup = setup or self.best.setup
        candidate = (setup, tuple(operations))
        if candidate in self._tried or self._attempts <= 0 or time.monotonic() > self._deadline:
            return False
        self._tried.add(candidate)
        self._attempts -= 1
        found = self._replay(setup, candidate[1])
        if found is None or not found.wrong.shows(self._wanted) or not _is_less(found, self.best):
            return False
        self.best = found
        return True


def shrink(first: Sighting, replay: Replay, attempts: int = 600, seconds: float = 20.0) -> Sighting:
    """The smallest sighting of the same thing that so many replays, in so much time, come to."""
    smaller = _Smaller(first, replay, attempts, time.monotonic() + seconds)
    before = None
    while before != (smaller.best.setup, smaller.best.operations):
        before = (smaller.best.setup, smaller.best.operations)
        _fewer_operations(smaller)
        _smaller_arguments(smaller)
        _fewer_symbols(smaller)
        _smaller_setup(smaller)
    return smaller.best


def _fewer_operations(s: _Smaller) -> None:
    size = len(s.best.operations)
    while size:
        at = 0
        while at < len(s.best.operations):
            # From the end: what comes late depends on what came early.
            end = len(s.best.operations) - at
            ops = s.best.operations
            begin = max(0, end - size)
            if not s.takes(ops[:begin] + ops[end:]) and not s.takes(ops[:begin] + _one_request_less(ops[end:])):
                at += size
        size //= 2


def _one_request_less(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """Operations after one that began a request has gone: what spoke of later requests speaks of them by one less."""
    return tuple(_with(op, "request", n - 1) if (n := getattr(op, "request", 0)) else op for op in operations)


def _smaller_arguments(s: _Smaller) -> None:
    at = 0
    while at < len(s.best.operations):
        ops = s.best.operations
        at = at if any(s.takes((*ops[:at], op, *ops[at + 1 :])) for op in _simpler(ops[at])) else at + 1


def _simpler(op: Operation) -> Iterator[Operation]:
    """An operation with one argument made smaller, the boldest first."""
    for f in fields(op):
        value = getattr(op, f.name)
        match value:
            case bool() if value is not f.default:
                yield _with(op, f.name, f.default)
            case bool():
                pass
            case int():
                yield from (_with(op, f.name, v) for v in _less(value, 1 if f.name == "count" else 0))
            case tuple():
                yield from (_with(op, f.name, p) for p in _shorter(value))


def _less(value: int, least: int) -> Iterator[int]:
    yield from dict.fromkeys(v for v in (least, 2, 4, value // 2, value - 1) if least <= v < value)


def _shorter(prompt: Prompt) -> Iterator[Prompt]:
    yield from dict.fromkeys(
        p for p in (prompt[:1], prompt[: len(prompt) // 2], prompt[:-1]) if 0 < len(p) < len(prompt)
    )
    yield from (prompt[:i] + prompt[i + 1 :] for i in range(len(prompt) - 1))


def _fewer_symbols(s: _Smaller) -> None:
    """Symbols are numbered as they come; then two of them are made one."""
    s.takes([_with_symbols(op, _order(s.best.operations)) for op in s.best.operations])
    symbols = sorted(set(_order(s.best.operations)))
    for high in reversed(symbols):
        for low in symbols:
            if low < high and s.takes([_with_symbols(op, {high: low}) for op in s.best.operations]):
                break
    s.takes([_with_symbols(op, _order(s.best.operations)) for op in s.best.operations])


def _order(operations: Sequence[Operation]) -> dict[int, int]:
    names: dict[int, int] = {}
    for op in operations:
        for symbol in getattr(op, "prompt", ()):
            names.setdefault(symbol, len(names) + 1)
    return names


def _with_symbols(op: Operation, names: dict[int, int]) -> Operation:
    prompt: Prompt | None = getattr(op, "prompt", None)
    if prompt is None:
        return op
    return _with(op, "prompt", tuple(names.get(x, x) for x in prompt))


def _with(op: Operation, name: str, value: object) -> Operation:
    changed: Operation = replace(cast(Any, op), **{name: value})
    return changed


def _smaller_setup(s: _Smaller) -> None:
    for make in (_two_ranks, _page_of_one, _fewer_components, _default_sizes, _smaller_pools):
        while any(s.takes(_of_component(s.best.operations, setup), setup) for setup in make(s.best.setup)):
            pass


def _two_ranks(setup: Setup) -> Iterator[Setup]:
    if setup.ranks > 2:
        yield replace(setup, ranks=2)


def _page_of_one(setup: Setup) -> Iterator[Setup]:
    if setup.page_size > 1:
        yield replace(setup, page_size=1, window=max(1, setup.window // setup.page_size))


def _fewer_components(setup: Setup) -> Iterator[Setup]:
    for c in setup.components[:0:-1]:
        yield replace(setup, components=tuple(x for x in setup.components if x is not c))


def _of_component(operations: Sequence[Operation], setup: Setup) -> Sequence[Operation]:
    names = {c.name for c in setup.components}
    return [op for op in operations if getattr(op, "component", setup.components[0].name) in names]


def _default_sizes(setup: Setup) -> Iterator[Setup]:
    yield replace(setup, states=Setup().states)
    yield replace(setup, window=Setup().window * setup.page_size)


def _smaller_pools(setup: Setup) -> Iterator[Setup]:
    for name in ("host_pages", "device_pages"):
        for v in _less(getattr(setup, name), 1):
            yield replace(setup, host_pages=v) if name == "host_pages" else replace(setup, device_pages=v)


def _is_less(found: Sighting, best: Sighting) -> bool:
    return measure(found) <= measure(best) and (found.setup, found.operations) != (best.setup, best.operations)


def measure(s: Sighting) -> tuple[int, ...]:
    """What makes one sighting smaller than another: operations first, then what stands in them, then the cache."""
    arguments = [getattr(op, f.name) for op in s.operations for f in fields(op)]
    prompts = [x for x in arguments if isinstance(x, tuple)]
    numbers = [x for x in arguments if type(x) is int]
    flags = [getattr(op, f.name) != f.default for op in s.operations for f in fields(op) if f.type == "bool"]
    symbols = {x for p in prompts for x in p}
    size = s.setup.page_size, len(s.setup.components)
    pools = s.setup.device_pages + s.setup.host_pages
    return (
        len(s.operations), *size, sum(map(len, prompts)), sum(flags), sum(numbers), len(symbols),
        sum(sum(p) for p in prompts), pools,
    )  # fmt: skip
