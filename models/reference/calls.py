"""Listens to a cache: each public call on it, told as step rules want to hear it.

What a cache calls of itself belongs to the call that led there. Between two calls the
caller keeps its own books (it enters what it was given, and drops what it gave away), so
the state after a call is the one that the next call meets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from sanitree.invariants.calls import Operation
from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.operations import (
    BackupResult,
    Event,
    EvictHostResult,
    EvictResult,
    InsertResult,
    Receipt,
)
from sanitree.models.reference.runners import ByHand
from sanitree.models.step import Ack, Call, Pool

OPERATIONS: Mapping[str, Operation] = {
    "match_prefix": Operation.MATCH,
    "insert": Operation.INSERT,
    "alloc": Operation.ALLOCATE,
    "alloc_host": Operation.ALLOCATE,
    "free": Operation.FREE,
    "free_host": Operation.FREE,
    "inc_lock_ref": Operation.ACQUIRE,
    "lock_host": Operation.ACQUIRE,
    "dec_lock_ref": Operation.RELEASE,
    "evict": Operation.EVICT,
    "evict_host": Operation.EVICT_HOST,
    "write_backup": Operation.BACK_UP,
    "writing_check": Operation.POLL_WRITES,
    "load_back": Operation.LOAD_BACK,
    "loading_check": Operation.POLL_LOADS,
    "insert_host": Operation.PREFETCH,
    "reset": Operation.RESET,
}
"""The public methods, and what they are called in rules."""


def listen(cache: UnifiedRadixCache, before: Callable[[], None], after: Callable[[Call], None]) -> Callable[[], None]:
    """Calls `before` ahead of each public call on the cache, and `after` when it has returned.

    Copies that are run by hand are calls too. Returns what ends it. What the cache raises
    gets out, and `after` is not called.
    """
    heard: list[Event | EvictResult | EvictHostResult] = []
    inside = False
    undo: list[Callable[[], None]] = []

    def hear(owner: Any, name: str, operation: Operation) -> None:
        method = getattr(owner, name)
        own = name in vars(owner)

        @wraps(method)
        def heard_call(*args: Any, **more: Any) -> Any:
            nonlocal inside
            if inside:
                return method(*args, **more)
            before()
            inside = True
            heard.clear()
            try:
                result = method(*args, **more)
            finally:
                inside = False
            after(told(operation, name, args, more, result, heard))
            return result

        setattr(owner, name, heard_call)
        undo.append(lambda: setattr(owner, name, method) if own else delattr(owner, name))

    for name, operation in OPERATIONS.items():
        hear(cache, name, operation)
    if isinstance(cache.runner, ByHand):
        hear(cache.runner, "run", Operation.COPY)
    cache.log = heard.append

    def end() -> None:
        cache.log = None
        for back in undo:
            back()

    return end


def told(
    operation: Operation,
    name: str,
    args: tuple[Any, ...],
    more: Mapping[str, Any],
    result: Any,
    heard: list[Event | EvictResult | EvictHostResult],
) -> Call:
    """A call as it is told to rules: what it was asked, what came of it, what was heard meanwhile."""
    evicted: Counter[Pool] = Counter()
    dropped: Counter[Pool] = Counter()
    submitted: list[Ack] = []
    acked: list[Ack] = []
    for x in heard:
        match x:
            case Event(what="submitted"):
                submitted.append((x.kind == "write", x.ack))
            case Event():
                acked.append((x.kind == "write", x.ack))
            case EvictResult():
                evicted.update({(c, "device"): n for c, n in x.evicted.items()})
                dropped.update({(c, "device"): n for c, n in x.dropped.items()})
            case EvictHostResult():
                evicted.update({(c, "host"): n for c, n in x.evicted.items()})
    return Call(
        operation, _text(name, args, more, result), _asked(operation, args, more), evicted, dropped,
        _refused(result), _request(args, result), tuple(submitted), tuple(acked),
    )  # fmt: skip


def _asked(operation: Operation, args: tuple[Any, ...], more: Mapping[str, Any]) -> dict[Pool, int]:
    if operation is Operation.EVICT:
        wanted: Mapping[str, int] = args[0] if args else more["wanted"]
        return {(c, "device"): n for c, n in wanted.items()}
    if operation is Operation.EVICT_HOST:
        count = args[0] if args else more["count"]
        return {(args[1] if len(args) > 1 else more.get("component", "full"), "host"): count}
    return {}


def _refused(result: Any) -> int:
    match result:
        case InsertResult():
            return result.backups_refused
        case BackupResult():
            return int(result.refused is not None)
    return 0


def _request(args: tuple[Any, ...], result: Any) -> int | None:
    """The number of the lock that a call takes or releases."""
    receipt = next((x for x in (*args, result) if isinstance(x, Receipt)), None)
    return None if receipt is None else receipt.number


def _text(name: str, args: tuple[Any, ...], more: Mapping[str, Any], result: Any) -> str:
    said = [_short(a) for a in args] + [f"{k}={_short(v)}" for k, v in more.items()]
    return f"{name}({', '.join(said)})" + ("" if result is None else f" → {_short(result)}")


def _short(x: Any) -> str:
    match x:
        case Receipt():
            return f"lock {x.number} of node {x.node.id}"
        case dict() | Mapping():
            return "{" + ", ".join(f"{k}: {_short(v)}" for k, v in x.items()) + "}"
    if hasattr(x, "numel"):
        return str(x.tolist())
    if hasattr(x, "children"):
        return f"node {x.id}"
    text = repr(x)
    return text if len(text) <= 200 else f"{text[:197]}..."
