"""Snapshots of a Rust core of SGLang, 0.5.19 to 0.5.23: what it tells, and nothing that it does not.

It has no call for the locks of auxiliary data (but one that lists the window data without
any), host locks, hits, leaf sets, LRU lists, the register of duplicates, the children maps'
keys, its table of nodes: those columns are missing. Of a node without a host copy it tells no
tokens, so the lists of tokens are there only while every node has one. All that it is asked
is asked of nodes that it has just listed and of components that it has: a call for anything
else can panic, and a panic leaves the core, and the server, unusable.

Which nodes wait for a transfer is what the cache waits for: it keeps, in Python, the nodes
that each write's acknowledgement publishes, and a load's nodes are those whose device slots
it fills. The core's own marks on its nodes are not readable. So a mark without a transfer is
never seen here; the core's own check, `core_complaints`, looks for some.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Policy
from sanitree.models.engines import observe, rust_host
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.rust_listing import Listing, listing, unpoisoned
from sanitree.models.engines.view import NUMBER, Flight, View, flights
from sanitree.models.snapshot import Column, Key, Lists, Snapshot, Table

_ROOT_SLOTS = torch.zeros(0, dtype=torch.int64)


def snapshot(v: View) -> Snapshot:
    """What can be observed of a cache with a Rust core. Nothing in it changes.

    Raises `EngineError` if the core was poisoned by an earlier panic, or its listing is torn.
    """
    with unpoisoned():
        core = v.tree._binding
        seen = listing(core)
        inflight = flights(v, seen.row.__contains__)
        columns, lists = _copies(v, core, seen)
        columns |= _topology(core, seen) | _marks(v, seen, inflight, lists.get(Key.of("holds", FULL, DEVICE)))
        columns[Key.of("lock", FULL, DEVICE)] = Column(torch.tensor(seen.lock))
        columns |= _window_locks(v, core, lists[Key.of("holds", FULL, DEVICE)])
        tree = _sizes(v, core)
    nodes = Table(torch.tensor(seen.ids), columns, lists)
    pools, free = observe.pools(v)
    return Snapshot(
        observe.origin(v, "rust"),
        v.settings,
        Table(torch.zeros(1, dtype=torch.int64), {**tree, **pools}, free),
        observe.without_padding(nodes),
        observe.with_slots(v, _transfers(inflight, seen), inflight),
        None if v.requests is None else observe.with_held(v, _requests(v, seen), tuple(v.requests)),
    )


def core_complaints(v: View) -> tuple[str, ...]:
    """What the core's own check says about locks, leaf sets and LRU lists among others, line by line.

    An oracle that cannot be looked into: it sees state that a snapshot of this core lacks. As
    the cache does, it is not asked while a streaming session holds locks. Some complaints are
    false alarms; see `drive.known_false_alarms`.
    """
    session = getattr(v.cache, "session", None)
    if session is not None and session.any_holding_kv():
        return ()
    ongoing = ((getattr(v.cache, name, None) or {}) for name in ("ongoing_write_through", "ongoing_load_back"))
    pairs = ([(ack, entry.node_id) for ack, entry in entries.items()] for entries in ongoing)
    try:
        with unpoisoned():
            v.tree._binding.sanity_check(*pairs)
    except (AssertionError, EngineError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return tuple(lines[1:] if len(lines) > 1 else lines) or ("assertion without a message",)
    return ()


# Nodes.


def _topology(core: Any, seen: Listing) -> dict[Key, Column]:
    up = _parent_links(core, seen)
    named = torch.tensor([row is not None for row in up])
    return {
        Key("is_root"): Column(torch.arange(len(seen.ids)) == 0),
        Key("parent"): Column(torch.tensor(seen.parents)),
        Key("references"): Column(torch.tensor(seen.references)),
        Key("key_len"): Column(torch.tensor(seen.key_len)),
        # A link that was read is there; where none was, there may be one.
        Key("has_parent_link"): _masked(named, named),
        Key("parent_link"): _masked(torch.tensor([row or 0 for row in up]), named),
    }


def _parent_links(core: Any, seen: Listing) -> list[int | None]:
    """The row that each node's own parent pointer names; None where it cannot be read.

    Every version tells it for nodes on the device, 0.5.22 and later for all.
    """
    up: dict[int, int] = {}
    for node, length in zip(seen.ids[1:], seen.key_len[1:], strict=True):
        state = core.validate_buffer_backup(node, length)
        if state is not None:
            up[node] = state.parent_node_id
    if hasattr(core, "collect_path_info"):
        parents = set(seen.parents)
        leaves = [i for row, i in enumerate(seen.ids) if row and row not in parents and i not in up]
        for path in core.collect_path_info(leaves):
            up |= {step[0]: step[1] for step in path}
    # A pointer to a node outside the tree reads as one to the node itself: never its parent.
    return [seen.row.get(up[i], row) if i in up else None for row, i in enumerate(seen.ids)]


def _copies(v: View, core: Any, seen: Listing) -> tuple[dict[Key, Column], dict[Key, Lists]]:
    """Presence, sizes and slots of every copy; the tokens, where every node's can be read."""
    columns: dict[Key, Column] = {}
    lists: dict[Key, Lists] = {}
    device: dict[str, list[Tensor | None]] = {}
    for c in v.settings.components:
        device[c.name] = [None, *(core.get_component_device_value(i, NUMBER[c.name]) for i in seen.ids[1:])]
    backup = [None, *(core.build_storage_backup_spec(i, False) for i in seen.ids[1:])]
    full = rust_host.Copies(
        [False, *(core.node_backuped(i) for i in seen.ids[1:])], [None if b is None else b.host_value for b in backup]
    )
    host = {FULL.name: full, **rust_host.auxiliary(v, core, seen, device, full)}
    for c in v.settings.components:
        here = device[c.name]
        held = [_ROOT_SLOTS if slots is None else slots for slots in here]
        # The root holds nothing; but it counts as being on the device, and the core says so.
        on = [slots is not None for slots in here]
        on[0] = c.backbone and not core.is_full_device_evicted(seen.ids[0])
        columns[Key.of("present", c, DEVICE)] = Column(torch.tensor(on))
        columns[Key.of("tokens", c, DEVICE)] = Column(torch.tensor([len(x) for x in held]))
        lists[Key.of("holds", c, DEVICE)] = Lists.of(held)
        there = host[c.name]
        columns[Key.of("present", c, HOST)] = _masked(*there.presence())
        columns[Key.of("tokens", c, HOST)] = _masked(*there.lengths())
        if (slots := there.all_slots()) is not None:
            lists[Key.of("holds", c, HOST)] = Lists.of(slots)
    if (mirrors := _mirrors(v, device)) is not None:
        columns[Key("mirrors_full", "swa")] = Column(mirrors)
    if all(b is not None for b in backup[1:]):
        lists[Key("key")] = Lists.of([(), *(array("q", b.token_ids) for b in backup[1:])])
    return columns, lists


def _mirrors(v: View, device: dict[str, list[Tensor | None]]) -> Tensor | None:
    mapping = getattr(v.cache.token_to_kv_pool_allocator, "full_to_swa_index_mapping", None)
    if mapping is None or "swa" not in device:
        return None

    def mirrors(window: Tensor | None, full: Tensor | None) -> bool:
        if full is None:
            return window is None
        if window is None:
            return not bool(mapping[full].any())
        return len(window) == len(full) and bool((mapping[full] == window).all())

    return torch.tensor([mirrors(w, f) for w, f in zip(device["swa"], device["full"], strict=True)])


def _window_locks(v: View, core: Any, full: Lists) -> dict[Key, Column]:
    """Nodes whose window data is on the device under no lock, by the core's own walk. Others' counts are unknown.

    The walk names tokens by their full device slots, so it says nothing where nodes share one.
    """
    windows = [c for c in v.settings.components if c.name == "swa"]
    if not windows or len(torch.unique(full.values)) < len(full.values):
        return {}
    walked = core.walk_for_kv_canary(True, True).slot_indices.to("cpu", torch.int64)
    named = torch.zeros(len(full.lengths), dtype=torch.int64)
    named.index_add_(0, full.rows, torch.isin(full.values, walked).to(torch.int64))
    unlocked = (named == full.lengths) & (named > 0)
    return {Key.of("lock", windows[0], DEVICE): _masked(torch.zeros_like(named), unlocked)}


def _marks(v: View, seen: Listing, inflight: Sequence[Flight], full: Lists | None) -> dict[Key, Column]:
    """The nodes that wait for a write or a load, as the cache has it."""
    writes = [-1] * len(seen.ids)
    for ack, entry in (getattr(v.cache, "ongoing_write_through", None) or {}).items():
        for node in entry.publish_node_ids:
            if node in seen.row:
                writes[seen.row[node]] = ack
    marks = {"write": torch.tensor(writes)}
    loads = [f for f in inflight if f.is_load]
    if v.settings.policy is not Policy.WRITE_BACK:
        marks["load"] = torch.full_like(marks["write"], -1)  # only write_back marks them
    elif full is not None and all(f.writes is not None for f in loads):
        marks["load"] = torch.full_like(marks["write"], -1)
        for f in loads:
            filled = torch.tensor((f.writes or {}).get(FULL.name, ()), dtype=torch.int64)
            marks["load"][full.rows[torch.isin(full.values, filled)]] = f.ack
    columns = {}
    for name, acks in marks.items():
        columns[Key(f"{name}_ack")] = Column(acks)
        columns[Key(f"{name}_pending")] = Column(acks >= 0)
    return columns


# The rest.


def _sizes(v: View, core: Any) -> dict[Key, Column]:
    columns = {}
    for c in v.settings.components:
        for name in ("evictable_size", "protected_size"):
            size: Callable[[int], int] = getattr(core, f"component_{name}")
            columns[Key.of(name, c)] = Column(torch.tensor([size(NUMBER[c.name])]))
    return columns


def _transfers(inflight: Sequence[Flight], seen: Listing) -> Table:
    rows = [seen.row[f.node] for f in inflight]
    columns = {Key("node"): Column(torch.tensor(rows, dtype=torch.int64))}
    for name in ("is_write", "is_load", "node_in_tree", "takes_lock"):
        columns[Key(name)] = Column(torch.tensor([getattr(f, name) for f in inflight], dtype=torch.bool))
    for name in ("ack", "published", "queued"):
        columns[Key(name)] = Column(torch.tensor([getattr(f, name) for f in inflight], dtype=torch.int64))
    return Table(torch.arange(len(inflight)), columns)


def _requests(v: View, seen: Listing) -> Table:
    held = v.requests or ()
    rows = torch.tensor([seen.row.get(h.node, 0) for h in held], dtype=torch.int64)
    inside = torch.tensor([h.node in seen.row for h in held], dtype=torch.bool)
    lengths = torch.tensor([h.prefix_len for h in held], dtype=torch.int64)
    columns = {"node": rows, "node_in_tree": inside, "prefix_len": lengths}
    return Table(torch.arange(len(held)), {Key(name): Column(x) for name, x in columns.items()})


def _masked(values: Tensor, known: Tensor) -> Column:
    """A column of which `known` rows are; the others hold nothing that could be taken for a value."""
    if bool(known.all()):
        return Column(values)
    return Column(torch.where(known, values, torch.zeros_like(values)), known)
