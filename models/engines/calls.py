"""Listens to a live engine: each public call on its cache, told as step rules want to hear it.

What the engine calls of itself belongs to the call that led there. What it does not say is
None, and a rule that needs it is not checked. Whoever drives the engine keeps its books
(`LiveEngine.locks`, `.requests`, `.prefetches`) between two calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from sanitree.invariants.calls import Operation
from sanitree.models.engines import drive
from sanitree.models.engines.build import LiveEngine
from sanitree.models.engines.told import (
    OF_THE_CACHE,
    Told,
    asked,
    hear_transfers,
    slots_asked,
    slots_evicted,
    unhear_transfers,
)
from sanitree.models.step import Call

OF_THE_SLOTS: Mapping[str, Operation] = {
    "alloc": Operation.ALLOCATE,
    "alloc_state": Operation.ALLOCATE,
    "alloc_host": Operation.ALLOCATE,
    "free": Operation.FREE,
    "free_state": Operation.FREE,
    "free_host": Operation.FREE,
}


def listen(live: LiveEngine, before: Callable[[], None], after: Callable[[Call], None]) -> Callable[[], None]:
    """Calls `before` ahead of each public call on the engine's cache, and `after` when it has returned.

    Copies that are run by hand are calls too. Returns what ends it. What the engine raises
    gets out, and `after` is not called.
    """
    heard, inside = Told(hears_drops=hasattr(live.tree, "drop_subtree_no_host")), False
    undo: list[Callable[[], None]] = []

    def overhear(owner: Any, name: str) -> None:
        """What is only ever called inside another call."""
        method = getattr(owner, name)

        @wraps(method)
        def overheard(*args: Any, **more: Any) -> Any:
            result = method(*args, **more)
            heard.result(name, args, result)
            return result

        setattr(owner, name, overheard)
        undo.append(lambda: delattr(owner, name))

    def hear(owner: Any, name: str, operation: Operation) -> None:
        method = getattr(owner, name, None)
        if method is None:
            return

        @wraps(method)
        def heard_call(*args: Any, **more: Any) -> Any:
            nonlocal inside
            if inside:
                result = method(*args, **more)
                heard.result(name, args, result)
                return result
            before()
            hear_transfers(live.cache, heard)
            request = _request(live, name, args)
            inside = True
            heard.clear()
            try:
                result = method(*args, **more)
            finally:
                inside = False
            heard.result(name, args, result)
            after(
                Call(
                    operation, _text(name, args, more, result), asked(name, args, more), heard.evicted, heard.dropped,
                    heard.refused, request, tuple(heard.submitted), tuple(heard.acked),
                )
            )  # fmt: skip
            return result

        setattr(owner, name, heard_call)
        undo.append(lambda: delattr(owner, name))

    for name, operation in OF_THE_CACHE.items():
        hear(live.cache, name, operation)
    for name, operation in OF_THE_SLOTS.items():
        hear(live.slots, name, operation)
    if live.tree is not live.cache:
        hear(live.tree, "insert_host", Operation.PREFETCH)
        overhear(live.tree, "drive_host_eviction")
        if heard.dropped is not None:
            overhear(live.tree, "drop_subtree_no_host")
    else:
        for component in live.cache.components.values():
            overhear(component, "drive_host_eviction")
    hear(live.copies, "finish", Operation.COPY)
    hear_transfers(live.cache, heard)

    def end() -> None:
        for back in undo:
            back()
        unhear_transfers(live.cache, heard)

    return end


def _request(live: LiveEngine, name: str, args: Sequence[Any]) -> int | None:
    """The number of the lock that a call takes or releases."""
    if name == "inc_lock_ref":
        return drive.next_number(live)
    if name not in ("dec_lock_ref", "dec_host_lock_ref") or len(args) < 2:
        return None
    holders = (*live.locks.values(), *live.prefetches)
    return next((h.number for h in holders if h.receipt is args[1]), None)


def _text(name: str, args: Sequence[Any], more: Mapping[str, Any], result: Any) -> str:
    said = [_short(a) for a in args] + [f"{k}={_short(v)}" for k, v in more.items()]
    told = "" if result is None else f" → {_short(result)}"
    return f"{name}({', '.join(s for s in said if s)}){told}"


def _short(x: Any) -> str:
    """A value as a reader wants it: the engine's own types print more than fits a line."""
    if hasattr(x, "numel"):
        return str(x.tolist())
    if hasattr(x, "token_ids"):
        return str(list(x.token_ids))
    if hasattr(x, "component_data"):
        return f"node {x.id}"
    if hasattr(x, "num_tokens") and hasattr(x, "mamba_num"):
        return slots_asked(x)
    if hasattr(x, "num_tokens_evicted"):
        return slots_evicted(x)
    if hasattr(x, "key") and hasattr(x.key, "token_ids"):
        return _short(x.key)
    if isinstance(x, bool | int | str):
        return str(x)
    return type(x).__name__
