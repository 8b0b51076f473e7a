"""Faults that show in no state and only in what a call did; planted into what the engine itself calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sanitree.models.engines.build import LiveEngine
from tests.hook.sometimes import sometimes


def evicts_less(live: LiveEngine) -> None:
    """An eviction that does nothing of what it is asked for."""

    def wrong(method: Callable[..., Any], params: Any) -> Any:
        return method(live.names.EvictParams(num_tokens=0))

    sometimes(live.cache, "evict", wrong, every=2)


def says_more(live: LiveEngine) -> None:
    """An eviction that says it has evicted more than it has."""

    def wrong(method: Callable[..., Any], params: Any) -> Any:
        result = method(params)
        result.num_tokens_evicted += 1
        return result

    sometimes(live.cache, "evict", wrong, every=2)


def match_locks(live: LiveEngine) -> None:
    """A match that locks what it finds."""

    def wrong(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        found = method(*args, **more)
        live.cache.inc_lock_ref(found.last_device_node)
        return found

    sometimes(live.cache, "match_prefix", wrong, every=3)


def match_evicts(live: LiveEngine) -> None:
    """A match that makes room."""

    def wrong(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        live.cache.evict(live.names.EvictParams(num_tokens=8))
        live.cache.evict_host(8)
        return method(*args, **more)

    sometimes(live.cache, "match_prefix", wrong, every=4)


def match_acknowledges(live: LiveEngine) -> None:
    """A match that polls for what has arrived."""

    def wrong(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        live.cache.writing_check()
        return method(*args, **more)

    sometimes(live.cache, "match_prefix", wrong, every=2)


def promise_forgotten(live: LiveEngine) -> None:
    """An insert that counts a hit and does not look whether it is the one that a backup was promised for."""
    for name in ("_inc_hit_count", "_inc_hit_count_and_check"):
        if hasattr(live.tree, name):

            def wrong(method: Callable[..., Any], node: Any, *more: Any) -> Any:
                node.hit_count += 1
                live.tree._update_evictable_leaf_sets(node)  # a place where the tree says that it changed a node
                return False

            sometimes(live.tree, name, wrong, every=2)


def backup_thrown_away(live: LiveEngine) -> None:
    """An eviction that takes the host copy of what it evicts from the device."""

    def wrong(method: Callable[..., Any], params: Any) -> Any:
        result = method(params)
        node = next((n for n in below(live.tree.root_node) if evicted(n)), None)
        if node is not None:
            node.component_data[0].host_value = None
            live.tree._update_evictable_leaf_sets(node)
        return result

    sometimes(live.cache, "evict", wrong, every=2)


def stops_waiting(live: LiveEngine) -> None:
    """A poll after which a node waits no more for a write that is still in flight."""
    _forgets(live, "writing_check", "write_through_pending_id", every=2)


def forgets_a_load(live: LiveEngine) -> None:
    """A poll after which a node waits no more for a load that is still in flight."""
    _forgets(live, "loading_check", "load_back_pending_id", every=1)


def _forgets(live: LiveEngine, poll: str, mark: str, every: int) -> None:
    def wrong(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        result = method(*args, **more)
        node = next((n for n in below(live.tree.root_node) if getattr(n, mark) is not None), None)
        if node is not None:
            setattr(node, mark, None)
            live.tree._update_evictable_leaf_sets(node)
        return result

    sometimes(live.cache, poll, wrong, every=every)


def below(node: Any) -> list[Any]:
    found = list(node.children.values())
    for n in found:
        found += n.children.values()
    return found


def evicted(node: Any) -> bool:
    data = node.component_data[0]
    return data.value is None and data.host_value is not None and not node.children


MISDEEDS: dict[str, Callable[[LiveEngine], None]] = {
    f.__name__: f
    for f in (
        evicts_less,
        says_more,
        match_locks,
        match_evicts,
        match_acknowledges,
        promise_forgotten,
        backup_thrown_away,
        stops_waiting,
        forgets_a_load,
    )
}
