"""Judges step rules from call to call, by the books of one tree and what is heard of its transfers.

Between two calls the books may be brought up to date too; what changed then is no call's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from sanitree.checker.fused.ledger import Ledger
from sanitree.checker.fused.stepped import OfCall, Stepped
from sanitree.invariants.rules import Check
from sanitree.models.step import Ack

Found = tuple[Check, Any]
"""A check, and the entry of a node, the transfer or None of which it does not hold."""


class Told(Protocol):
    """What a call says of itself, as `models.step.Call` has it."""

    @property
    def submitted(self) -> Collection[Ack]: ...

    @property
    def acked(self) -> Collection[Ack]: ...


class Transfer:
    """A transfer that something happened to. was, here: whether it is in flight before and after the call.

    before, after: its ghosts then. record: as the cache had it, where it did.
    """

    __slots__ = ("ack", "acked", "after", "before", "here", "is_write", "record", "submitted", "was")

    def __init__(self, key: Ack, was: Any, here: Any) -> None:
        self.is_write, self.ack = key
        self.was, self.here = was is not None, here is not None
        self.record = here or was
        self.submitted = self.acked = 0
        self.before: tuple[int, ...] = ()
        self.after: tuple[int, ...] = ()


class History:
    """What step rules need of the past, for one tree: `end` after each call, `rest` after what is none."""

    def __init__(self, rules: Stepped, ledger: Ledger) -> None:
        self.rules, self._ledger = rules, ledger
        self.open()

    def open(self) -> None:
        """Begins anew, as the books do: what is in flight counts as submitted."""
        self._list = self._ledger.transfers
        self._flying = _by_ack(self._list)
        self._ghosts: dict[Ack, tuple[int, ...]] = {}
        self._wrong: set[Ack] = set()

    def end(self, of: OfCall | None, tree: Any, call: Told, begun: tuple[Any, ...]) -> Sequence[Found]:
        """What does not hold of a call, once the books are up to date.

        of: what is judged of its operation, if anything is. begun: what `of.of_tree` read ahead of it.
        """
        quiet = self._ledger.transfers is self._list and not (call.submitted or call.acked or self._wrong)
        moved: Sequence[Transfer] = () if quiet else self._moved(call.submitted, call.acked)
        if of is None or self._ledger.irregular:
            return ()
        now = () if of.of_tree is None else of.of_tree(tree)
        if not (moved or self._ledger.changed or of.always or now != begun):
            return ()
        found = of.run(self._ledger.changed, moved, call, begun, now)
        self._wrong = {(x.is_write, x.ack) for _, x in found if isinstance(x, Transfer) and x.here}
        return [(of.checks[i], x) for i, x in found]

    def rest(self, submitted: Collection[Ack] = (), acked: Collection[Ack] = ()) -> None:
        """Takes what happened between two calls as given."""
        self._moved(submitted, acked)

    def _moved(self, submitted: Collection[Ack], acked: Collection[Ack]) -> Sequence[Transfer]:
        """The transfers that were heard of, came or left, or were wrong before; their ghosts go on."""
        was, now = self._flying, self._ledger.transfers
        if now is not self._list:
            self._list, self._flying = now, _by_ack(now)
        here, moved = self._flying, list[Transfer]()
        times = Counter(submitted), Counter(acked)
        for key in dict.fromkeys((*submitted, *acked, *self._wrong, *(was.keys() ^ here.keys()))):
            x = Transfer(key, was.get(key), here.get(key))
            x.submitted, x.acked = (count[key] for count in times)
            x.before = self._ghosts.pop(key, ()) or self.rules.first(x)
            x.after = self.rules.following(x)
            if x.here:
                self._ghosts[key] = x.after
            moved.append(x)
        return moved


def _by_ack(records: Iterable[Any]) -> dict[Ack, Any]:
    return {(x.is_write, x.ack): x for x in records}
