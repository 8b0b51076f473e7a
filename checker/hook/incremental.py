"""Tier 2: the rules about a state and about the call that led to it, after each operation, on what it touched.

Of a Python core. The books (`fused.ledger`) say after every public call of the cache which
instances of which rules are false; those that were not before are the call's. What it did
is judged by what they kept of the nodes that it touched (`fused.history`). What takes
more than what was touched is left to the full walk and to dumps: slots, which tier 1
follows, and the order of LRU lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sanitree.checker.fused.codegen import IRREGULAR, compile_checks
from sanitree.checker.fused.history import Found, History
from sanitree.checker.fused.ledger import Ledger
from sanitree.checker.fused.stepped import OfCall, compile_steps
from sanitree.checker.fused.touched import compile_touched
from sanitree.checker.hook.faults import Broken, Did
from sanitree.checker.hook.shadow import SHOWN, Clock
from sanitree.checker.hook.wrapping import Heard, Wrapped
from sanitree.invariants.calls import Operation
from sanitree.invariants.plugins import catalogue_for, ghosts_for, step_rules_for
from sanitree.invariants.rules import Check, Cost, checks
from sanitree.models.engines.python_core import reading, requests
from sanitree.models.engines.told import OF_THE_CACHE, SAYING, UNSAID, Told, asked, hear_transfers, unhear_transfers
from sanitree.models.engines.touching import Nodes, components
from sanitree.models.engines.view import View, flights, flying, frees_later

_EVICTIONS = (Operation.EVICT, Operation.EVICT_HOST)

COMPOSITE = ("check_hicache_events",)
"""Methods that call several operations, and leave the tree whole."""


class Incremental:
    """Watches one cache with a Python core. `tell` takes what an operation has broken, a rule at a time.

    ledger: which instances are false now. of_call: what did not hold of the last call. skipped:
    checks that are not judged here.
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
        settings, read = view.settings, reading(view)
        self.steps = compile_steps(step_rules_for(settings), ghosts_for(settings), settings, read, UNSAID)
        wanted = checks(catalogue_for(settings), settings)
        whole = (c for c in wanted if c.rule.cost not in (Cost.SLOT, Cost.BYTES))
        compiled = compile_touched(whole, read, self.steps.kept)
        self.checks = compiled.checks
        self.skipped = (*(c for c in wanted if c not in set(compiled.checks)), *self.steps.skipped)
        self.ledger = Ledger(view, compiled, self._transfers, None if view.requests is None else _requests)
        self._history = History(self.steps, self.ledger)
        self._nodes = Nodes(view, self._wrapped.hear)
        self._root = view.tree.root_node
        self._told = Told()
        self.of_call: Sequence[Found] = ()
        hear_transfers(view.cache, self._told)
        self._begin, self._end = guard(self._begins), guard(self._ends)
        self._between, self._said = guard(self.judge), guard(self._told.result)
        for name, operation in OF_THE_CACHE.items():
            self._wrapped.hear(view.cache, name, partial(self._operation, name, operation))
        if view.tree is not view.cache:
            self._wrapped.hear(view.tree, "insert_host", partial(self._operation, "insert_host", Operation.PREFETCH))
        for name in COMPOSITE:
            self._wrapped.hear(view.cache, name, partial(self._composite, name))
        for owner in (view.tree, *components(view)):
            self._wrapped.hear(owner, "drive_host_eviction", partial(self._says, "drive_host_eviction"))

    def stop(self) -> None:
        """Gives every method back."""
        self._wrapped.undo()
        unhear_transfers(self._view.cache, self._told)

    def judge(self, operation: str = "") -> None:
        """Judges what was touched since the last operation, and tells what that broke."""
        self._bring()
        self._history.rest(self._told.submitted, self._told.acked)
        self._told.clear()
        self._tell_news(operation, ())

    def _bring(self) -> bool:
        """Brings the books up to date; False where they were begun anew."""
        ledger, root = self.ledger, self._view.tree.root_node
        if root is not self._root:
            self._root, self._flying = root, None
            self._nodes.take()
            self._nodes.hear_lists()
            hear_transfers(self._view.cache, self._told)
            ledger.open(self._view)
            self._history.open()
            return False
        if not ledger.irregular:
            ledger.judge(self._view, self._nodes.take())
            if ledger.irregular:
                self._confirm()
        return True

    # A call.

    def _operation(self, name: str, operation: Operation, method: Heard) -> Heard:
        begin, end, between = self._begin, self._end, self._between
        told, touched, view = self._told, self._nodes.touched, self._view
        of, asks = self.steps.of.get(operation), operation in _EVICTIONS
        of_tree = None if of is None else of.of_tree
        if name in SAYING:
            method = self._says(name, method)

        def called(*args: Any, **more: Any) -> Any:
            if self._depth:
                return method(*args, **more)
            if touched or told.submitted or told.acked:
                between()  # what changed since the last call is not this one's
            begun = ()
            if asks:
                begin(name, args, more)
            if of_tree is not None:
                try:
                    begun = of_tree(view)
                except Exception:  # noqa: BLE001  `end` finds that it is not there, and is guarded
                    begun = ()
            self._depth += 1
            try:
                result = method(*args, **more)
            finally:
                self._depth -= 1
            end(name, of, begun)
            return result

        return called

    def _composite(self, name: str, method: Heard) -> Heard:
        between, touched = self._between, self._nodes.touched

        def called(*args: Any, **more: Any) -> Any:
            result = method(*args, **more)
            if touched and not self._depth:
                between(name)
            return result

        return called

    def _says(self, name: str, method: Heard) -> Heard:
        """What is said by a result, also of a call inside another."""

        def says(*args: Any, **more: Any) -> Any:
            result = method(*args, **more)
            said(name, args, result)
            return result

        said = self._said
        return says

    def _begins(self, name: str, args: Any, more: Any) -> None:
        """An eviction is asked for something. Where frees are put off, what is available does not say what it did."""
        told, later = self._told, frees_later(self._view)
        told.clear()
        told.asked = None if later else asked(name, args, more)
        told.evicted = None if later else told.evicted

    def _ends(self, name: str, of: OfCall | None, begun: tuple[Any, ...]) -> None:
        self.of_call = self._history.end(of, self._view, self._told, begun) if self._bring() else ()
        self._told.clear()
        self._tell_news(name, self.of_call)

    def _confirm(self) -> None:
        """A walk over everything must say so too; else the books are wrong, and not the tree."""
        whole = compile_checks(self.checks, reading(self._view))
        if whole.run(self._view) != IRREGULAR:
            raise RuntimeError(f"the books of touched nodes are wrong: {self.ledger.irregular}") from self.ledger.error

    def _tell_news(self, operation: str, of_call: Sequence[Found]) -> None:
        """Tells what does not hold of a call, and what does not hold of the tree and did before it."""
        if self.ledger.sound:
            self._known.clear()
            if not of_call:
                return
        found = {(i, getattr(x, "id", None)): x for i, x in self.ledger.violations()}
        if self.ledger.irregular:
            found = {(-1, None): None}
        broken: dict[Check | None, list[Any]] = {}
        for check, x in of_call:
            broken.setdefault(check, []).append(x)
        for (i, name), x in found.items():
            if (i, name) not in self._known:
                broken.setdefault(None if i < 0 else self.checks[i], []).append(x)
        self._known = set(found)
        if broken:
            did = self._clock.did(self._clock.now(2))
            self._tell([self._broken(check, xs, operation, did) for check, xs in broken.items()])

    def _broken(self, check: Check | None, elements: Sequence[Any], operation: str, did: Did) -> Broken:
        if check is None:
            return Broken("irregular", self.ledger.irregular, operation, did, (), 1)
        nodes = tuple(_id(x) for x in elements[:SHOWN] if x is not None)
        return Broken(check.name, check.rule.prose, operation, did, nodes, len(elements), bool(check.rule.on))

    def _transfers(self, view: View, books: Ledger) -> list[Any]:
        """As the cache has them, listed anew only where they may be others than before."""
        now = flying(view)
        if now or self._flights:
            where = now, books.lost
            if where != self._flying:
                self._flying = where
                self._flights = flights(view, books.holds)
        return self._flights


def _id(x: Any) -> int:
    """Of a node, or of the node that a transfer is of; a transfer that nobody has any more is named by its ack."""
    record = getattr(x, "record", x)
    node = getattr(record, "node", record)
    return int(x.ack if node is None else node.id)


def _requests(view: View, books: Ledger) -> list[Any]:
    return list(requests(view, books.holds))
