"""Which nodes an operation touches on a Python core of SGLang: heard where the engine itself changes them.

The engine changes a node in a few methods, some of which only some versions have. Each
names the nodes that it changes among its arguments, or returns them; some change all of
the way to the root. That a list is long enough is shown by a test: after every operation
the books that are kept by it equal a walk over the whole tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sanitree.models.engines.view import View

Hear = Callable[[Any, str, Callable[[Callable[..., Any]], Callable[..., Any]]], object]
"""Replaces an object's method, if it has one of that name, by what is made of it."""

_OF_THE_CORE = (
    "_split_node",
    "_add_new_node",
    "_remove_leaf_from_parent",
    "_update_evictable_leaf_sets",
    "_update_duplicate_tracking",
    "_evict_component_and_detach_lru",
    "_cascade_evict",
    "_for_each_component_lru",
    "_unregister_node",
    "mark_write_through_pending",
    "finish_write_through",
    "set_component_device_value",
    "_attach_swa_segment",
    "_inc_hit_count",
    "_inc_hit_count_and_check",
)
"""Of the tree: what is linked, its leaf sets, its register of duplicates, its marks and its counts of hits."""

_OF_COMPONENTS = (
    "commit_insert_component_data",
    "evict_component",
    "recover_after_unevict",
    "redistribute_on_node_split",
    "update_component_on_insert_overlap",
    "_restore_device_value",
    "_recover_from_incoming",
    "_release_swa_host",
)
_OF_LISTS = ("insert_mru", "insert_after", "remove_node")

_ON_PATHS = (
    "acquire_component_lock",
    "release_component_lock",
    "release_window_lock",
    "commit_hicache_transfer",
    "commit_load_back",
    "finish_load_back",
)
"""What changes nodes on the way to the root, of the tree or of components."""


class Nodes:
    """touched: the nodes that were, since they were last taken, by identity. `hear` is how methods are heard."""

    def __init__(self, view: View, hear: Hear) -> None:
        self._view, self._hear = view, hear
        self.touched: dict[int, Any] = {}
        self._ways: set[int] = set()
        """Nodes from which all of the way to the root was touched."""
        self._type = type(view.tree.root_node)
        self._arena = hasattr(view.tree, "_node_arena")
        for name in _OF_THE_CORE:
            hear(view.tree, name, self._names)
        owners = (view.tree, *components(view))
        for owner in owners[1:]:
            for name in _OF_COMPONENTS:
                hear(owner, name, self._names)
        for owner in owners:
            for name in _ON_PATHS:
                hear(owner, name, self._leads)
        hear(view.tree, "_reclaim_full_host_duplicates", self._sweeps)
        self.hear_lists()

    def hear_lists(self) -> None:
        """Hears the LRU lists, which a reset replaces."""
        for lru in lists(self._view):
            for name in _OF_LISTS:
                self._hear(lru, name, self._names)

    def take(self) -> list[Any]:
        """What was touched since; those of a path in no order."""
        found = list(self.touched.values())
        self.touched.clear()
        self._ways.clear()
        return found

    def _note(self, values: Iterable[Any], touch: Callable[[Any], None]) -> None:
        for x in values:
            kind = type(x)
            if kind is self._type:
                touch(x)
            elif kind is int:
                if self._arena and (found := self._view.tree._node_arena.get(x)) is not None:
                    touch(found)
            elif kind is list or isinstance(x, tuple):
                self._note(x, touch)

    def _names(self, method: Callable[..., Any]) -> Callable[..., Any]:
        note, touch = self._note, self._touch

        def named(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            note(args, touch)
            if kwargs:
                note(kwargs.values(), touch)
            if result is not None:
                note((result,), touch)
            return result

        return named

    def _touch(self, node: Any) -> None:
        self.touched[id(node)] = node

    def _sweeps(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Duplicates that are registered no more are dropped by id, all at once, in a loop over the register."""

        def sweeps(*args: Any, **kwargs: Any) -> Any:
            before = list(self._view.tree.full_host_duplicates.items())
            result = method(*args, **kwargs)
            left = self._view.tree.full_host_duplicates
            self.touched.update((id(node), node) for number, node in before if number not in left)
            return result

        return sweeps

    def _leads(self, method: Callable[..., Any]) -> Callable[..., Any]:
        note, touch = self._note, self._touch_way

        def leads(*args: Any, **kwargs: Any) -> Any:
            note(args, touch)
            if kwargs:
                note(kwargs.values(), touch)
            return method(*args, **kwargs)

        return leads

    def _touch_way(self, node: Any) -> None:
        touched, ways = self.touched, self._ways
        while node is not None and id(node) not in ways:
            ways.add(id(node))
            touched[id(node)] = node
            node = node.parent


def components(view: View) -> tuple[Any, ...]:
    """What manages each kind of data, in every version's own place."""
    found = getattr(view.tree, "components", ())
    return tuple(found.values()) if isinstance(found, dict) else tuple(found)


def lists(view: View) -> list[Any]:
    """Every LRU list."""
    found = [getattr(view.tree, name) for name in ("lru_lists", "host_lru_lists") if hasattr(view.tree, name)]
    return [x for f in found for x in (f.values() if isinstance(f, dict) else f) if x is not None]
