"""Tier 2: the rules about a state, after each operation, on what it touched.

Of a Python core. The books (`fused.ledger`) say after every public call of the cache which
instances of which rules are false; those that were not before are the call's. What takes
more than what was touched is left to the full walk and to dumps: slots, which tier 1
follows, and the order of LRU lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sanitree.checker.fused.codegen import IRREGULAR, compile_checks
from sanitree.checker.fused.ledger import Ledger
from sanitree.checker.fused.touched import compile_touched
from sanitree.checker.hook.faults import Broken, Did
from sanitree.checker.hook.shadow import SHOWN, Clock
from sanitree.checker.hook.wrapping import Heard, Wrapped
from sanitree.invariants.plugins import catalogue_for
from sanitree.invariants.rules import Cost, checks
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


class Incremental:
    """Watches one cache with a Python core. `tell` takes what an operation has broken, a rule at a time.

    ledger: which instances are false now. skipped: checks that are not judged here.
    """

    def __init__(
        self, view: View, clock: Clock, tell: Callable[[Sequence[Broken]], None], guard: Callable[[Heard], Heard]
    ) -> None:
        self._view, self._clock, self._tell = view, clock, tell
        self._wrapped = Wrapped()
        self._depth = 0
        self._known: set[tuple[int, object]] = set()
        self._flying: object = None
        self._flights: list[Any] = []
        wanted = checks(catalogue_for(view.settings), view.settings)
        whole = (c for c in wanted if c.rule.cost not in (Cost.SLOT, Cost.BYTES))
        compiled = compile_touched(whole, reading(view))
        self.checks = compiled.checks
        self.skipped = tuple(c for c in wanted if c not in set(compiled.checks))
        self.ledger = Ledger(view, compiled, self._transfers, None if view.requests is None else _requests)
        self._nodes = Nodes(view, self._wrapped.hear)
        self._root = view.tree.root_node
        judge = guard(self.judge)
        for name in OPERATIONS:
            self._wrapped.hear(view.cache, name, partial(self._operation, judge, name))

    def stop(self) -> None:
        """Gives every method back."""
        self._wrapped.undo()

    def judge(self, operation: str = "") -> None:
        """Judges what was touched since, and tells what that broke."""
        ledger, root = self.ledger, self._view.tree.root_node
        if root is not self._root:
            self._root, self._flying = root, None
            self._nodes.take()
            self._nodes.hear_lists()
            ledger.open(self._view)
        elif not ledger.irregular:
            ledger.judge(self._view, self._nodes.take())
            if ledger.irregular:
                self._confirm()
        if ledger.sound:
            self._known.clear()
        else:
            self._tell_news(operation)

    def _confirm(self) -> None:
        """A walk over everything must say so too; else the books are wrong, and not the tree."""
        whole = compile_checks(self.checks, reading(self._view))
        if whole.run(self._view) != IRREGULAR:
            raise RuntimeError(f"the books of touched nodes are wrong: {self.ledger.irregular}") from self.ledger.error

    def _tell_news(self, operation: str) -> None:
        found = {(i, getattr(x, "id", None)): x for i, x in self.ledger.violations()}
        if self.ledger.irregular:
            found = {(-1, None): None}
        by_check: dict[int, list[Any]] = {}
        for (i, name), x in found.items():
            if (i, name) not in self._known:
                by_check.setdefault(i, []).append(x)
        self._known = set(found)
        if by_check:
            did = self._clock.did(self._clock.now(2))
            self._tell([self._broken(i, xs, operation, did) for i, xs in by_check.items()])

    def _broken(self, i: int, elements: Sequence[Any], operation: str, did: Did) -> Broken:
        if i < 0:
            return Broken("irregular", self.ledger.irregular, operation, did, (), 1)
        check = self.checks[i]
        nodes = [x.node if hasattr(x, "node") else x for x in elements if x is not None]
        return Broken(check.name, check.rule.prose, operation, did, tuple(x.id for x in nodes[:SHOWN]), len(elements))

    def _operation(self, judge: Heard, name: str, method: Heard) -> Heard:
        def operation(*args: Any, **more: Any) -> Any:
            self._depth += 1
            try:
                result = method(*args, **more)
            finally:
                self._depth -= 1
            if not self._depth:
                judge(name)
            return result

        return operation

    def _transfers(self, view: View, books: Ledger) -> list[Any]:
        """As the cache has them, listed anew only where they may be others than before."""
        now = flying(view)
        if now or self._flights:
            where = now, books.lost
            if where != self._flying:
                self._flying = where
                self._flights = flights(view, books.holds)
        return self._flights


def _requests(view: View, books: Ledger) -> list[Any]:
    return list(requests(view, books.holds))
