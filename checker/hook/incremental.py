"""Tier 2: the rules about a state, after each operation, on what it touched.

Of a Python core. The books (`fused.ledger`) say after every public call of the cache which
instances of which rules are false; those that were not before are the call's. What takes
more than what was touched is left to the full walk and to dumps: slots, which tier 1
follows, and the order of LRU lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sanitree.checker.fused.ledger import Instance, Ledger
from sanitree.checker.fused.touched import compile_touched
from sanitree.checker.hook.wrapping import Heard, Wrapped
from sanitree.invariants.plugins import catalogue_for
from sanitree.invariants.rules import Check, Cost, checks
from sanitree.models.engines.python_core import reading, requests
from sanitree.models.engines.touching import Nodes
from sanitree.models.engines.view import View, flights, flying

OPERATIONS = (
    "match_prefix",
    "insert",
    "inc_lock_ref",
    "dec_lock_ref",
    "inc_host_lock_ref",
    "dec_host_lock_ref",
    "evict",
    "evict_for_alloc",
    "evict_host",
    "write_backup",
    "_execute_and_commit_kv_backup",
    "writing_check",
    "load_back",
    "loading_check",
    "check_hicache_events",
    "_insert_helper_host",
    "reset",
)
"""Methods of a cache after which its tree is whole, unless they are called by one another."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An instance of a rule that an operation made false. node: its id in the engine; None: of the tree, or a transfer."""

    check: Check
    node: int | None
    path: tuple[int, ...]


class Incremental:
    """Watches one cache with a Python core. `tell` takes what an operation has broken."""

    def __init__(self, view: View, tell: Callable[[Sequence[Broken]], None], guard: Callable[[Heard], Heard]) -> None:
        self._view, self._tell = view, tell
        self._wrapped = Wrapped()
        self._depth = 0
        self._known: set[tuple[int, int | None]] = set()
        wanted = checks(catalogue_for(view.settings), view.settings)
        read = reading(view)
        compiled = compile_touched((c for c in wanted if c.rule.cost not in (Cost.SLOT, Cost.BYTES)), read)
        self.checks = compiled.checks
        self.skipped = tuple(c for c in wanted if c not in set(compiled.checks))
        self._seen: object = None
        self._flights: list[Any] = []
        self.ledger = Ledger(view, compiled, self._transfers, _requests)
        self._nodes = Nodes(view, self._wrapped.hear)
        self._root = view.tree.root_node
        judge = guard(self.judge)
        for name in OPERATIONS:
            self._wrapped.hear(view.cache, name, partial(self._operation, judge))

    def stop(self) -> None:
        """Gives every method back."""
        self._wrapped.undo()

    def judge(self) -> None:
        """Judges what was touched since, and tells what that broke."""
        ledger = self.ledger
        if self._view.tree.root_node is not self._root:
            self._root = self._view.tree.root_node
            self._nodes.take()
            self._nodes.hear_lists()
            ledger.open(self._view)
        else:
            ledger.judge(self._view, self._nodes.take())
        if ledger.sound:
            self._known.clear()
            return
        found = {(i, getattr(x, "id", None)): (i, x) for i, x in ledger.violations()}
        fresh = [self._broken(found[key]) for key in found if key not in self._known]
        self._known = set(found)
        if fresh:
            self._tell(fresh)

    def _operation(self, judge: Heard, method: Heard) -> Heard:
        def operation(*args: Any, **more: Any) -> Any:
            self._depth += 1
            try:
                result = method(*args, **more)
            finally:
                self._depth -= 1
            if not self._depth:
                judge()
            return result

        return operation

    def _broken(self, instance: Instance) -> Broken:
        i, x = instance
        path: list[int] = []
        node = getattr(x, "node", x)  # a transfer's
        while node is not None and len(path) < 64 and hasattr(node, "parent"):
            path.append(node.id)
            node = node.parent
        return Broken(self.checks[i], getattr(x, "id", None), tuple(reversed(path)))

    def _transfers(self, view: View, books: Ledger) -> list[Any]:
        """As the cache has them, listed anew only where they may be others than before."""
        now = flying(view), books.removed
        if now != self._seen:
            self._seen = now
            self._flights = flights(view, books.holds)
        return self._flights


def _requests(view: View, books: Ledger) -> list[Any]:
    return list(requests(view, books.holds))
