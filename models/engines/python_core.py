"""How the fields of a Python core of SGLang are read, for every version from 0.5.12.

An access reads a node in place, so that one description serves the generated check,
which walks live nodes, and the snapshot, which copies them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE, FIELDS, HOST, Component, Field, Sort, Tier
from sanitree.models.engines import store
from sanitree.models.engines.view import NUMBER, Flight, View, device_allocator, flights, is_attached, named
from sanitree.models.reading import ELEMENT, Access, Reading, Where

_KEY = Access("{0}.key", (ELEMENT,))
_KEY_LEN = Access("len({0})", (_KEY,))
_ID = Access("{0}.id", (ELEMENT,))


def reading(v: View) -> Reading:
    """The reading of a Python core: of every view with this one's version, settings and knowledge of requests."""
    return _reading(v.version, v.settings.components, v.settings.page_size, v.requests is not None)


@cache  # one for each kind of cache, so that what is generated from it is too
def _reading(version: str, components: tuple[Component, ...], page_size: int, knows_requests: bool) -> Reading:
    marks = store.at_least(version, "0.5.13")
    fields: dict[Field, Where] = {
        _node("key_len"): _plain("{0}", _KEY_LEN),
        _node("first_page"): _plain(
            f"({{0}}.child_key({page_size}) if {{1}} >= {page_size} else None)", _KEY, _KEY_LEN
        ),
        _node("hits"): _plain("{0}.hit_count", ELEMENT),
        _node("present"): lambda c, t: Access("({0} is not None)", (_value(c, t),)),
        _node("tokens"): lambda c, t: Access("(0 if {0} is None else {0}.numel())", (_value(c, t),)),
        _node("lock"): lambda c, t: Access("{0}." + ("lock_ref" if t is DEVICE else "host_lock_ref"), (_data(c),)),
        _node("in_lru"): lambda c, t: Access(f"({{0}} in {_lru(c, t)})", (_ID,)),
        _node("lru_rank"): lambda c, t: Access(f"{_rank(c, t)}.get({{0}}, -1)", (_ID,)),
        _node("lru_prev_rank"): _prev_rank,
        _node("in_device_leaves"): _plain("({0} in device_leaves)", ELEMENT),
        _node("in_host_leaves"): _plain("({0} in host_leaves)", ELEMENT),
        _node("mirrors_full"): lambda c, t: Access("mirrors({0}, {1})", (_value(c, DEVICE), _value(None, DEVICE))),
        _tree("evictable_size"): lambda c, t: Access(f"{{0}}.tree.component_evictable_size_[{_n(c)}]", (ELEMENT,)),
        _tree("protected_size"): lambda c, t: Access(f"{{0}}.tree.component_protected_size_[{_n(c)}]", (ELEMENT,)),
        # Of host slots nobody says it in place: transfer threads may take some meanwhile.
        _tree("available"): lambda c, t: Access(f"{_pool(c)}.available_size()") if t is DEVICE else None,
        _tree("lru_size"): lambda c, t: Access(f"len({_lru(c, t)})"),
        _tree("lru_length"): lambda c, t: Access(f"({_rank(c, t)}.length)"),
        _tree("device_leaves"): _plain("len(device_leaves)", ELEMENT),
        _tree("host_leaves"): _plain("len(host_leaves)", ELEMENT),
        **{f: _attribute(f.name) for f in FIELDS.values() if f.owner is Sort.TRANSFER and f.name in Flight.__slots__},
        **{f: _attribute(f.name) for f in FIELDS.values() if f.owner is Sort.REQUEST and f.name in Request.__slots__},
    }
    if marks:
        pending = Access("{0}.write_through_pending_id", (ELEMENT,))
        fields[_node("write_pending")] = _plain("({0} is not None)", pending)
        fields[_node("write_ack")] = _plain("(-1 if {0} is None else {0})", pending)
    else:
        fields[_node("write_pending")] = _plain("({0} in pending_writes)", _ID)
        fields[_node("write_ack")] = _plain("({0} if {0} in pending_writes else -1)", _ID)
    if store.at_least(version, "0.5.18"):
        loading = Access("{0}.load_back_pending_id", (ELEMENT,))
        fields[_node("load_pending")] = _plain("({0} is not None)", loading)
        fields[_node("load_ack")] = _plain("(-1 if {0} is None else {0})", loading)
        fields[_node("in_host_duplicates")] = _plain("({0} in host_duplicates)", _ID)
        fields[_tree("host_duplicates")] = _plain("len(host_duplicates)", ELEMENT)
    if store.at_least(version, "0.5.17"):
        fields[_tree("registered_nodes")] = _plain("len({0}.tree._node_arena)", ELEMENT)
    return Reading(
        fields=fields,
        root="T.tree.root_node",
        children=Access("{0}.children", (ELEMENT,)),
        parent=Access("{0}.parent", (ELEMENT,)),
        prepare=_prepared(components),
        transfers=lambda v: flights(v, partial(is_attached, v)),
        requests=(lambda v: requests(v, partial(is_attached, v))) if knows_requests else None,
        linked=lambda v: all(is_linked(_list(v, c, t)) for c in components if not c.backbone for t in Tier),
        lists={"key": _tokens, "holds": lambda c, t: _value(c, t)},
    )


def _node(name: str) -> Field:
    return FIELDS[Sort.NODE, name]


def _tree(name: str) -> Field:
    return FIELDS[Sort.TREE, name]


def _n(c: Component | None) -> int:
    return NUMBER[c.name if c else "full"]


def _plain(template: str, *parts: Access) -> Where:
    access = Access(template, parts)
    return lambda c, t: access


def _attribute(name: str) -> Where:
    return _plain(f"{{0}}.{name}", ELEMENT)


def _data(c: Component | None) -> Access:
    return Access(f"{{0}}[{_n(c)}]", (Access("{0}.component_data", (ELEMENT,)),))


def _value(c: Component | None, t: Tier | None) -> Access:
    return Access("{0}." + ("value" if t is DEVICE else "host_value"), (_data(c),))


def _tokens(c: Component | None, t: Tier | None) -> Access:
    return Access("tokens_of({0})", (_KEY,))


def _lru(c: Component | None, t: Tier | None) -> str:
    assert c and t
    return f"lru_{c.name}_{t.value}"


def _pool(c: Component | None) -> str:
    return f"pool_{c.name if c else 'full'}"


def _rank(c: Component | None, t: Tier | None) -> str:
    return f"rank_{_lru(c, t)}"


def _prev_rank(c: Component | None, t: Tier | None) -> Access:
    # Pointer slots: a component's own number, then the same again for the host lists.
    slot = f"slot_{_lru(c, t)}"
    prev = Access(f"{{0}}.lru_prev[{slot}]", (ELEMENT,))
    return Access(f"(-2 if {{0}} is None else {_rank(c, t)}.get({{0}}.id, -2))", (prev,))


def _prepared(components: tuple[Component, ...]) -> Mapping[str, Callable[[View], object]]:
    found: dict[str, Callable[[View], object]] = {
        "device_leaves": lambda v: v.tree.evictable_device_leaves,
        "host_leaves": lambda v: v.tree.evictable_host_leaves,
        "host_duplicates": lambda v: v.tree.full_host_duplicates,
        "pending_writes": lambda v: v.cache.ongoing_write_through if v.controller is not None else {},
        "mirrors": _mirrors,
        "tokens_of": lambda v: _tokens_of,
    }
    for c in components:
        found[_pool(c)] = partial(device_allocator, component=c)
        for t in (DEVICE, HOST):
            found[_lru(c, t)] = lambda v, c=c, t=t: _list(v, c, t).cache  # type: ignore[misc]
            found[_rank(c, t)] = lambda v, c=c, t=t: ranks(_list(v, c, t))  # type: ignore[misc]
            found[f"slot_{_lru(c, t)}"] = lambda v, c=c, t=t: _list(v, c, t)._pt  # type: ignore[misc]
    return found


def _list(v: View, c: Component, t: Tier) -> Any:
    lists = v.tree.lru_lists if t is DEVICE else v.tree.host_lru_lists
    return lists[_n(c)]


class Ranks(dict[int, int]):
    """The rank of each node of an LRU list by id, along the next pointers from the head, whose own is -1.

    length: nodes met from the head to the tail; -1 where the walk does not end there.
    """

    length: int


def ranks(lru: Any) -> Ranks:
    """Walks a list. Sentinels inside it, which mark its partition from 0.5.17, have the rank of the node before."""
    slot, tail, marks = lru._pt, lru.tail, _marks(lru)
    found = Ranks({lru.head.id: -1})
    rank, x = 0, lru.head.lru_next[slot]
    while x is not None and x is not tail and x.id not in found:
        if id(x) in marks:
            found[x.id] = rank - 1
        else:
            found[x.id] = rank
            rank += 1
        x = x.lru_next[slot]
    # Eviction starts at the tail: the way back must start there.
    found.length = rank if x is tail and _rank_of(tail.lru_prev[slot], found) == rank - 1 else -1
    return found


def _rank_of(node: Any, found: Ranks) -> int:
    return -2 if node is None else found.get(node.id, -2)


def _marks(lru: Any) -> set[int]:
    return {id(m) for m in (getattr(lru, "mid", None), getattr(lru, "cursor", None)) if m is not None}


def is_linked(lru: Any) -> bool:
    """Whether a walk from head to tail meets just the registered nodes, and every prev pointer leads back."""
    slot, tail, registered = lru._pt, lru.tail, lru.cache
    marks = _marks(lru)
    if lru.head.id in registered:
        return False
    # Each prev pointer leads back where the walk came from, so it can enter no node twice: it ends.
    count, prev, x = 0, lru.head, lru.head.lru_next[slot]
    while x is not tail:
        if x is None or x.lru_prev[slot] is not prev:
            return False
        if x.id in registered:
            count += 1
        elif id(x) not in marks:
            return False
        prev, x = x, x.lru_next[slot]
    return count == len(registered) and tail.lru_prev[slot] is prev


def _mirrors(v: View) -> Callable[[Tensor | None, Tensor | None], bool]:
    mapping = getattr(v.cache.token_to_kv_pool_allocator, "full_to_swa_index_mapping", None)

    def mirrors(window: Tensor | None, full: Tensor | None) -> bool:
        if mapping is None or full is None:
            return window is None
        if window is None:
            return not bool(mapping[full].any())
        return len(window) == len(full) and bool((mapping[full] == window).all())

    return mirrors


def _tokens_of(key: Any) -> list[int]:
    raw = key.raw_token_ids() if hasattr(key, "raw_token_ids") else key.token_ids
    return list(raw)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that holds a lock. Attributes are the vocabulary's fields of a request."""

    node: Any
    node_in_tree: bool
    prefix_len: int


def requests(v: View, inside: Callable[[Any], bool]) -> list[Request]:
    """The requests that hold locks; `inside` says whether a node is in the tree."""
    found = []
    for held in v.requests or ():
        node = named(v, held.node)
        here = node is not None and inside(node)
        found.append(Request(node if here else v.tree.root_node, here, held.prefix_len))
    return found
