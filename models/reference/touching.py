"""Which nodes an operation touches on a reference cache: heard where its layers change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.nodes import Node

_METHODS = (
    "grow",
    "split",
    "split_marks",
    "detach",
    "put_device",
    "take_device",
    "put_host",
    "take_host",
    "relist",
    "refresh",
    "shift_device_lock",
    "shift_host_lock",
    "submit",
    "count_hits",
)


class Nodes:
    """The nodes that were touched since they were last taken; `stop` ends the hearing."""

    def __init__(self, cache: UnifiedRadixCache) -> None:
        self._cache = cache
        self._touched: dict[Node, None] = {}
        self._before = {name: vars(cache).get(name) for name in (*_METHODS, "acknowledge")}
        for name in self._before:
            setattr(cache, name, self._heard(getattr(cache, name)))

    def take(self) -> list[Node]:
        """What was touched since."""
        found = list(self._touched)
        self._touched.clear()
        return found

    def stop(self) -> None:
        """Gives every method back."""
        for name, before in self._before.items():
            if before is None:
                delattr(self._cache, name)
            else:
                setattr(self._cache, name, before)

    def _heard(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def heard(*args: Any, **more: Any) -> Any:
            result = method(*args, **more)
            for x in (*args, *more.values(), result):
                if isinstance(x, Node):
                    self._touched[x] = None
                elif isinstance(nodes := getattr(x, "nodes", x), list):  # a transfer's, or a list of them
                    self._touched.update((n, None) for n in nodes if isinstance(n, Node))
            return result

        return heard
