"""Live stand-ins broken in place, also as no snapshot can be drafted: cycles, shared children, stray pointers."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import torch

from sanitree.models.engines.view import NUMBER, View
from tests.backends.standin import GHOST, KINDS, LruList, Node

Poke = Callable[[View, Random], None]


def nodes_of(v: View) -> list[Node]:
    """Every node that can be reached, each once."""
    found: dict[int, Node] = {}
    stack = [v.tree.root_node]
    while stack:
        x = stack.pop()
        if id(x) not in found:
            found[id(x)] = x
            stack.extend(x.children.values())
    return list(found.values())


def some(v: View, rng: Random) -> Node:
    return rng.choice(nodes_of(v))


def shared_child(v: View, rng: Random) -> None:
    some(v, rng).children[GHOST] = some(v, rng)


def child_under_two_edges(v: View, rng: Random) -> None:
    x = some(v, rng)
    if x.children:
        x.children[GHOST] = rng.choice(list(x.children.values()))


def cycle(v: View, rng: Random) -> None:
    x = some(v, rng)
    up = x
    for _ in range(rng.randint(1, 3)):
        up = up.parent or up
    x.children[GHOST] = up


def whole_cycle(v: View, rng: Random) -> None:
    """Pointers and maps agree on a cycle."""
    x, y = some(v, rng), some(v, rng)
    x.children[GHOST], y.parent = y, x


def parent_pointer(v: View, rng: Random) -> None:
    some(v, rng).parent = rng.choice([some(v, rng), None, Node(GHOST)])


def root_with_parent(v: View, rng: Random) -> None:
    v.tree.root_node.parent = rng.choice([some(v, rng), Node(GHOST)])


def lost_child(v: View, rng: Random) -> None:
    x = some(v, rng)
    if x.children:
        del x.children[rng.choice(list(x.children))]


def renamed_edge(v: View, rng: Random) -> None:
    x = some(v, rng)
    if x.children:
        x.children[GHOST + 1] = x.children.pop(rng.choice(list(x.children)))


def key(v: View, rng: Random) -> None:
    x = some(v, rng)
    x.key.length = max(0, x.key.length + rng.choice((-1, 1, 4)))
    x.key.first += rng.choice((0, 1))


def copy(v: View, rng: Random) -> None:
    c = rng.choice(v.settings.components)
    nodes = nodes_of(v)[1:] or [None]
    x = rng.choice(nodes)
    if x is not None:
        value = rng.choice([None, torch.arange(1, 1 + rng.randint(0, 4))])
        setattr(x.component_data[NUMBER[c.name]], rng.choice(("value", "host_value")), value)


def lock(v: View, rng: Random) -> None:
    data = some(v, rng).component_data[NUMBER[rng.choice(v.settings.components).name]]
    name = rng.choice(("lock_ref", "lock_ref", "host_lock_ref"))
    setattr(data, name, getattr(data, name) + rng.choice((-1, 1)))


def leaf_set(v: View, rng: Random) -> None:
    leaves = rng.choice((v.tree.evictable_device_leaves, v.tree.evictable_host_leaves))
    leaves.symmetric_difference_update({rng.choice([some(v, rng), some(v, rng), Node(GHOST)])})


def register(v: View, rng: Random) -> None:
    tables = [getattr(v.tree, name, {}) for name in ("full_host_duplicates", "_node_arena")]
    table = rng.choice(tables)
    x = rng.choice([some(v, rng), Node(GHOST + 5)])
    if table.pop(x.id, None) is None:
        table[x.id] = x


def size(v: View, rng: Random) -> None:
    counters = rng.choice((v.tree.component_evictable_size_, v.tree.component_protected_size_))
    counters[NUMBER[rng.choice(v.settings.components).name]] += rng.choice((-1, 1))


def a_list(v: View, rng: Random) -> LruList:
    return rng.choice([*v.tree.lru_lists, *v.tree.host_lru_lists])


def lru_registry(v: View, rng: Random) -> None:
    cache, x = a_list(v, rng).cache, rng.choice([some(v, rng), Node(GHOST)])
    if cache.pop(x.id, None) is None:
        cache[x.id] = x


def lru_links(v: View, rng: Random) -> None:
    slot = rng.randrange(2 * KINDS)
    links = rng.choice(("lru_prev", "lru_next"))
    getattr(some(v, rng), links)[slot] = rng.choice([some(v, rng), None])


def mark(v: View, rng: Random) -> None:
    x = some(v, rng)
    acks: list[Any] = [None, x.id, GHOST, *v.cache.ongoing_write_through, *v.cache.ongoing_load_back]
    setattr(x, rng.choice(("write_through_pending_id", "load_back_pending_id")), rng.choice(acks))


def transfer(v: View, rng: Random) -> None:
    if v.controller is None:
        return
    registry = rng.choice((v.cache.ongoing_write_through, v.cache.ongoing_load_back))
    if registry and rng.random() < 0.5:
        del registry[rng.choice(list(registry))]
    else:
        lock = rng.choice([None, object()])
        node = rng.choice([some(v, rng), Node(GHOST)])
        registry[node.id] = (node, lock, [None]) if registry is v.cache.ongoing_write_through else (node, lock)


IRREGULAR = (shared_child, child_under_two_edges, cycle, whole_cycle, parent_pointer, root_with_parent)
REGULAR = (
    lost_child, renamed_edge, key, copy, lock, leaf_set, register, size, lru_registry, lru_links, mark, transfer,
)  # fmt: skip
