"""Listens to a live engine: each public call on its cache, told as step rules want to hear it.

What the engine calls of itself belongs to the call that led there. What it does not say is
None, and a rule that needs it is not checked. Whoever drives the engine keeps its books
(`LiveEngine.locks`, `.requests`, `.prefetches`) between two calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from sanitree.invariants.calls import Operation
from sanitree.models.engines import drive
from sanitree.models.engines.build import LiveEngine
from sanitree.models.step import Ack, Call, Pool

OF_THE_CACHE: Mapping[str, Operation] = {
    "match_prefix": Operation.MATCH,
    "insert": Operation.INSERT,
    "inc_lock_ref": Operation.ACQUIRE,
    "inc_host_lock_ref": Operation.ACQUIRE,
    "dec_lock_ref": Operation.RELEASE,
    "dec_host_lock_ref": Operation.RELEASE,
    "evict": Operation.EVICT,
    "evict_for_alloc": Operation.EVICT,
    "evict_host": Operation.EVICT_HOST,
    "write_backup": Operation.BACK_UP,
    "_execute_and_commit_kv_backup": Operation.BACK_UP,
    "writing_check": Operation.POLL_WRITES,
    "load_back": Operation.LOAD_BACK,
    "loading_check": Operation.POLL_LOADS,
    "_insert_helper_host": Operation.PREFETCH,
    "reset": Operation.RESET,
}
"""Methods of the cache, in one version or another, and what they are called in rules."""

OF_THE_SLOTS: Mapping[str, Operation] = {
    "alloc": Operation.ALLOCATE,
    "alloc_state": Operation.ALLOCATE,
    "alloc_host": Operation.ALLOCATE,
    "free": Operation.FREE,
    "free_state": Operation.FREE,
    "free_host": Operation.FREE,
}

REGISTRIES: Mapping[str, bool] = {"ongoing_write_through": True, "ongoing_load_back": False}
"""Where the cache notes its transfers, and whether they are writes."""

_EVICTED = {"full": "num_tokens_evicted", "swa": "swa_num_tokens_evicted", "mamba": "mamba_num_evicted"}
_ASKED = {"full": "num_tokens", "swa": "swa_num_tokens", "mamba": "mamba_num"}


class _Registry(dict[Any, Any]):
    """A table of transfers that tells what is entered and what is taken out."""

    def __init__(self, entries: Mapping[Any, Any], is_write: bool, heard: _Heard) -> None:
        super().__init__(entries)
        self._is_write, self._heard = is_write, heard

    def __setitem__(self, ack: Any, entry: Any) -> None:
        if ack not in self:  # else a split has changed what the acknowledgement publishes
            self._heard.submitted.append((self._is_write, ack))
        super().__setitem__(ack, entry)

    def __delitem__(self, ack: Any) -> None:
        super().__delitem__(ack)
        self._heard.acked.append((self._is_write, ack))

    def pop(self, ack: Any, *default: Any) -> Any:
        if ack in self:
            self._heard.acked.append((self._is_write, ack))
        return super().pop(ack, *default)


class _Heard:
    """What came up during one call."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.submitted: list[Ack] = []
        self.acked: list[Ack] = []
        self.evicted: Counter[Pool] = Counter()
        self.refused: int | None = 0

    def result(self, name: str, args: Sequence[Any], more: Mapping[str, Any], result: Any) -> None:
        """What a call, or one inside it, says it has done."""
        if name in ("evict", "evict_for_alloc"):
            self.evicted.update({(c, "device"): getattr(result, said) for c, said in _EVICTED.items()})
        elif name == "drive_host_eviction":
            tracker = result.tracker if hasattr(result, "tracker") else args[1]
            self.evicted.update({(str(kind.name).lower(), "host"): count for kind, count in tracker.items()})
        elif name in ("write_backup", "_execute_and_commit_kv_backup") and self.refused is not None:
            if result <= 0:
                self.refused += 1
            elif len(getattr(args[0], "node_ids", ())) > 1:
                self.refused = None  # it says how much was written, not what was not


def listen(live: LiveEngine, before: Callable[[], None], after: Callable[[Call], None]) -> Callable[[], None]:
    """Calls `before` ahead of each public call on the engine's cache, and `after` when it has returned.

    Copies that are run by hand are calls too. Returns what ends it. What the engine raises
    gets out, and `after` is not called.
    """
    heard, inside = _Heard(), False
    undo: list[Callable[[], None]] = []

    def overhear(owner: Any, name: str) -> None:
        """What is only ever called inside another call."""
        method = getattr(owner, name)

        @wraps(method)
        def overheard(*args: Any, **more: Any) -> Any:
            result = method(*args, **more)
            heard.result(name, args, more, result)
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
                heard.result(name, args, more, result)
                return result
            before()
            _tell_of_transfers(live, heard)
            request = _request(live, name, args)
            inside = True
            heard.clear()
            try:
                result = method(*args, **more)
            finally:
                inside = False
            heard.result(name, args, more, result)
            after(
                Call(
                    operation, _text(name, args, more, result), _asked(name, args, more), dict(heard.evicted), None,
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
    else:
        for component in live.cache.components.values():
            overhear(component, "drive_host_eviction")
    hear(live.copies, "finish", Operation.COPY)
    _tell_of_transfers(live, heard)

    def end() -> None:
        for back in undo:
            back()
        for name in REGISTRIES:
            if isinstance(found := getattr(live.cache, name, None), _Registry):
                setattr(live.cache, name, dict(found))

    return end


def _tell_of_transfers(live: LiveEngine, heard: _Heard) -> None:
    """Listens to the cache's tables of transfers, which a reset replaces."""
    for name, is_write in REGISTRIES.items():
        table = getattr(live.cache, name, None)
        if isinstance(table, dict) and not isinstance(table, _Registry):
            setattr(live.cache, name, _Registry(table, is_write, heard))


def _request(live: LiveEngine, name: str, args: Sequence[Any]) -> int | None:
    """The number of the lock that a call takes or releases."""
    if name == "inc_lock_ref":
        return drive.next_number(live)
    if name not in ("dec_lock_ref", "dec_host_lock_ref") or len(args) < 2:
        return None
    holders = (*live.locks.values(), *live.prefetches)
    return next((h.number for h in holders if h.receipt is args[1]), None)


def _asked(name: str, args: Sequence[Any], more: Mapping[str, Any]) -> dict[Pool, int]:
    if name in ("evict", "evict_for_alloc"):
        return {(c, "device"): getattr(args[0], field) for c, field in _ASKED.items()}
    if name == "evict_host":
        return {(_component(args, more), "host"): args[0] if args else more["num_tokens"]}
    return {}


def _component(args: Sequence[Any], more: Mapping[str, Any]) -> str:
    kind = args[1] if len(args) > 1 else more.get("component_type")
    return "full" if kind is None else str(kind.name).lower()


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
        return "{" + ", ".join(f"{c}: {n}" for c, f in _ASKED.items() if (n := getattr(x, f))) + "}"
    if hasattr(x, "num_tokens_evicted"):
        return "{" + ", ".join(f"{c}: {n}" for c, f in _EVICTED.items() if (n := getattr(x, f))) + "}"
    if hasattr(x, "key") and hasattr(x.key, "token_ids"):
        return _short(x.key)
    if isinstance(x, bool | int | str):
        return str(x)
    return type(x).__name__
