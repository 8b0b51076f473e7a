"""What a live cache says of its calls: which methods are operations, and what comes up while one runs.

Heard of a view alone, in a server as on an engine that is driven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sanitree.invariants.calls import Operation
from sanitree.models.step import Ack, Pool

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

SAYING = ("evict", "evict_for_alloc", "write_backup", "_execute_and_commit_kv_backup", "drive_host_eviction")
"""Methods whose results say what a call has done, also where they are called inside another."""

UNSAID = ("dropped",)
"""What no call says in a server, where what drops a subtree is not heard."""

REGISTRIES: Mapping[str, bool] = {"ongoing_write_through": True, "ongoing_load_back": False}
"""Where the cache notes its transfers, and whether they are writes."""

_EVICTED = {"full": "num_tokens_evicted", "swa": "swa_num_tokens_evicted", "mamba": "mamba_num_evicted"}
_ASKED = {"full": "num_tokens", "swa": "swa_num_tokens", "mamba": "mamba_num"}


class Told:
    """What came up during one call; attributes as of `models.step.Call`.

    hears_drops: whether what drops a subtree is heard; else nobody says what is dropped.
    """

    def __init__(self, hears_drops: bool = False) -> None:
        self.dropped: dict[Pool, int] | None = {} if hears_drops else None
        self.submitted: list[Ack] = []
        self.acked: list[Ack] = []
        self.asked: Mapping[Pool, int] | None = {}
        self.evicted: dict[Pool, int] | None = {}
        self.refused: int | None = 0

    def clear(self) -> None:
        """Another call begins."""
        if self.submitted or self.acked:
            self.submitted, self.acked = [], []
        if self.asked or self.asked is None:
            self.asked = {}
        if self.evicted or self.evicted is None:
            self.evicted = {}  # another one: a call that was told keeps its own
        if self.dropped:
            self.dropped = {}
        self.refused = 0

    def result(self, name: str, args: Sequence[Any], result: Any) -> None:
        """What a call, or one inside it, says it has done."""
        if name in ("evict", "evict_for_alloc"):
            _add(self.evicted, {(c, "device"): getattr(result, said) for c, said in _EVICTED.items()})
        elif name == "drive_host_eviction":
            tracker = result.tracker if hasattr(result, "tracker") else args[1]
            _add(self.evicted, {(str(kind.name).lower(), "host"): count for kind, count in tracker.items()})
        elif name == "drop_subtree_no_host" and result.is_dropped:
            _add(self.dropped, {(str(kind.name).lower(), "device"): count for kind, count in result.tracker.items()})
        elif name in ("write_backup", "_execute_and_commit_kv_backup") and self.refused is not None:
            if result <= 0:
                self.refused += 1
            elif len(getattr(args[0], "node_ids", ())) > 1:
                self.refused = None  # it says how much was written, not what was not


def _add(to: dict[Pool, int] | None, slots: Mapping[Pool, int]) -> None:
    if to is not None:
        for pool, count in slots.items():
            to[pool] = to.get(pool, 0) + count


class Registry(dict[Any, Any]):
    """A table of transfers that tells what is entered and what is taken out. listeners: whom."""

    def __init__(self, entries: Mapping[Any, Any], is_write: bool) -> None:
        super().__init__(entries)
        self._is_write = is_write
        self.listeners: list[Told] = []

    def __setitem__(self, ack: Any, entry: Any) -> None:
        if ack not in self:  # else a split has changed what the acknowledgement publishes
            for told in self.listeners:
                told.submitted.append((self._is_write, ack))
        super().__setitem__(ack, entry)

    def __delitem__(self, ack: Any) -> None:
        super().__delitem__(ack)
        self._left(ack)

    def pop(self, ack: Any, *default: Any) -> Any:
        if ack in self:
            self._left(ack)
        return super().pop(ack, *default)

    def _left(self, ack: Any) -> None:
        for told in self.listeners:
            told.acked.append((self._is_write, ack))


def hear_transfers(cache: Any, told: Told) -> None:
    """Listens to the cache's tables of transfers, which a reset replaces."""
    for name, is_write in REGISTRIES.items():
        table = getattr(cache, name, None)
        if not isinstance(table, dict):
            continue
        if not isinstance(table, Registry):
            table = Registry(table, is_write)
            setattr(cache, name, table)
        if all(t is not told for t in table.listeners):
            table.listeners.append(told)


def unhear_transfers(cache: Any, told: Told) -> None:
    """Ends that; the last to go gives the cache plain tables back."""
    for name in REGISTRIES:
        table = getattr(cache, name, None)
        if isinstance(table, Registry):
            table.listeners = [t for t in table.listeners if t is not told]
            if not table.listeners:
                setattr(cache, name, dict(table))


def asked(name: str, args: Sequence[Any], more: Mapping[str, Any]) -> dict[Pool, int]:
    """The slots that a call is asked to free."""
    if name in ("evict", "evict_for_alloc"):
        wanted = args[0] if args else more["params"]
        return {(c, "device"): getattr(wanted, field) for c, field in _ASKED.items()}
    if name == "evict_host":
        return {(_component(args, more), "host"): args[0] if args else more["num_tokens"]}
    return {}


def _component(args: Sequence[Any], more: Mapping[str, Any]) -> str:
    kind = args[1] if len(args) > 1 else more.get("component_type")
    return "full" if kind is None else str(kind.name).lower()


def slots_asked(x: Any) -> str:
    """What an eviction is asked for, in words."""
    return "{" + ", ".join(f"{c}: {n}" for c, f in _ASKED.items() if (n := getattr(x, f))) + "}"


def slots_evicted(x: Any) -> str:
    """What an eviction says it did, in words."""
    return "{" + ", ".join(f"{c}: {n}" for c, f in _EVICTED.items() if (n := getattr(x, f))) + "}"
