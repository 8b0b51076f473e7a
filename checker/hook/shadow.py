"""The slot sanitizer's memory of one pool: what each slot is, and the operation that made it so.

    free → held          handed out by the allocator
    held → in the tree   given to the tree, or loaded into it
    held, in the tree → free

and besides, how many transfers in flight read or write it. A slot that was in use before
anybody watched is unknown, and nothing about it is a fault until it is freed.

Tables lie in numpy here, for indices on the CPU: an operation on some slots costs 0.1 to
0.4 µs there, and ten times that in torch. `device` is the same for indices on a GPU.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sanitree.checker.hook.faults import Did, Fault, Rule, Slot
from sanitree.checker.hook.stacks import Stacks

FREE, HELD, TREE, UNKNOWN, PADDING = range(5)
PADDING_BYTE = bytes((PADDING,))
NAMES = ("free", "held outside the tree", "in the tree", "in a state that nobody saw", "padding")

SHOWN = 8
"""Slots that a fault names; the others are counted."""

KEPT = 256
"""Operations that are remembered for a dump."""

_STACK_BITS = 20
"""An operation's word: its number, and in the low bits that of its stack."""

Tell = Callable[[Fault], None]
Legal = tuple[int, ...]

NOT_FREE: Legal = (HELD, TREE, UNKNOWN)
BY_REQUESTS: Legal = (FREE, HELD, UNKNOWN)
NOT_THE_TREES: Legal = (FREE, HELD, UNKNOWN)
TO_HAND_OUT: Legal = (FREE, UNKNOWN)
REST_OF_A_PAGE: Legal = (FREE, HELD, UNKNOWN)


@dataclass(frozen=True, slots=True)
class PoolShape:
    """A pool as it is tracked.

    name: as "full device". size: rows of the table, padding included. unit: indices that
    make a row, which is a page where the allocator hands out pages. padded: row 0 is no slot.
    """

    name: str
    size: int
    unit: int = 1
    padded: bool = True


class Clock:
    """Numbers the operations of one cache, and keeps where they came from. One lock for all its pools."""

    def __init__(self) -> None:
        self.serial = 0
        self.stacks = Stacks()
        self._last: deque[int] = deque(maxlen=KEPT)
        self.lock = threading.RLock()
        self.settle: Callable[[], object] = lambda: None
        """Lands the transfers that were acknowledged."""

    def now(self, skip: int = 0) -> int:
        """The word of an operation that is done now; its stack leaves out `skip` frames above the caller."""
        self.serial += 1
        word = self.serial << _STACK_BITS | self.stacks.here(skip + 1)
        self._last.append(word)
        return word

    def rest(self) -> int:
        """The word of a moment at which nothing is done."""
        return self.serial << _STACK_BITS | self.stacks.here(1)

    def last(self) -> list[Did]:
        """The last operations, oldest first."""
        return [self.did(word) for word in self._last]

    def did(self, word: int) -> Did:
        """An operation from its word."""
        return Did(word >> _STACK_BITS, self.stacks.lines(stack_of(word)))


def stack_of(word: int) -> int:
    """The number of an operation's stack."""
    return word & (1 << _STACK_BITS) - 1


class Shadow:
    """One pool whose indices are on the CPU. Each method is one operation, and tells its faults before it notes it.

    Indices are tensors of slots; `at` is the word of the operation. Safe to call from any
    thread. tree: slots that the tree took and did not free; None where that is not known.
    """

    def __init__(self, shape: PoolShape, clock: Clock, tell: Tell) -> None:
        self.shape, self._clock, self._tell = shape, clock, tell
        self._state: Any
        self._since: Any
        self._users: Any
        self._lock = clock.lock
        self._era = 0
        self.clear()

    def clear(self) -> None:
        """Everything is free, as after a reset."""
        with self._lock:
            self._era += 1  # what was in flight is not heard of again
            self.in_flight = 0
            self.tree: int | None = 0
            self._make()
            self._pad()

    def begin(self, free: Any) -> None:
        """Of a pool that is in use: these indices are free, and of the others nothing is known."""
        with self._lock:
            self.clear()
            self._state[:] = UNKNOWN
            self._state[self._rows(free)] = FREE
            self.tree = None
            self._pad()

    def take(self, slots: Any, at: int) -> None:
        """The allocator hands out slots."""
        rows = self._rows(slots)
        with self._lock:
            was = self._seen(rows, at)
            if was is None:
                return
            if was.count(FREE) != len(was):
                # Of a page that is held, the slots after its first may be handed out when they are needed.
                first = (slots % self.shape.unit == 0).numpy()
                states = np.frombuffer(was, np.uint8)
                for part, legal in ((first, TO_HAND_OUT), (~first, REST_OF_A_PAGE)):
                    self._judge(Rule.slot_is_handed_out_once, rows[part], states[part], legal, at)
            if self.in_flight:
                self._unused(Rule.slot_in_flight_is_not_handed_out, rows, at)
            self._put(rows, HELD, at, was)

    def give(self, slots: Any, at: int) -> None:
        """Somebody frees slots: what the tree holds, only the tree may."""
        rows = self._rows(slots)
        with self._lock:
            was = self._seen(rows, at)
            if was is None:
                return
            if was.count(HELD) != len(was):
                if was.count(FREE):
                    self._judge(Rule.slot_is_freed_once, rows, was, NOT_FREE, at)
                if was.count(TREE) and not self._clock.stacks.of_the_tree(stack_of(at)):
                    self._judge(Rule.tree_slot_is_freed_by_the_tree, rows, was, BY_REQUESTS, at)
            if self.in_flight:
                self._unused(Rule.slot_in_flight_is_not_freed, rows, at)
            if self.shape.unit == 1 and len(was) > 1:
                self._once(rows.tolist(), was, at)
            self._put(rows, FREE, at, was)

    def offer(self, slots: Any, prefix: int, count: int, at: int) -> Any:
        """A request gives the tree the first `count` slots, of which the first `prefix` are the tree's already.

        Returns what `adopt` takes in their place.
        """
        known = self._rows(slots)
        rows = known[:count]
        with self._lock:
            was = self._seen(rows, at)
            if was is None:
                return known
            if was.count(FREE):
                self._judge(Rule.freed_slot_is_not_used, rows, was, NOT_FREE, at)
            if was.count(TREE, prefix):
                self._judge(Rule.slot_has_one_owner, rows[prefix:], was[prefix:], NOT_THE_TREES, at)
        return known

    def adopt(self, slots: Any, prefix: int, count: int, at: int) -> None:
        """What of these slots, from `prefix` up to `count`, is not free now is the tree's."""
        rows = (slots if isinstance(slots, np.ndarray) else self._rows(slots))[prefix:count]
        with self._lock:
            was = self._seen(rows, at)
            if was is None:
                return
            if was.count(HELD) != len(was):
                states = np.frombuffer(was, np.uint8)
                rows = rows[(states == HELD) | (states == UNKNOWN)]
                was = self._state[rows].tobytes()
            self._put(rows, TREE, at, was)

    def use(self, slots: Any, at: int) -> None:
        """Slots are read: matched for a request."""
        rows = self._rows(slots)
        with self._lock:
            was = self._seen(rows, at)
            if was is not None and was.count(FREE):
                self._judge(Rule.freed_slot_is_not_used, rows, was, NOT_FREE, at)

    def fly(self, slots: Any, at: int) -> Any:
        """A transfer that is submitted reads or writes these slots; returns what `land` takes."""
        rows = self._rows(slots[:: self.shape.unit])  # whole pages are copied
        with self._lock:
            was = self._seen(rows, at)
            if was is None:
                rows = rows[:0]
            else:
                if was.count(FREE):
                    self._judge(Rule.freed_slot_is_not_used, rows, was, NOT_FREE, at)
                if was.count(PADDING):  # where a token has no window slot
                    rows = rows[rows != 0]
            rows = rows.copy()  # the engine's own may be written into again
            self._users[rows] += 1
            self.in_flight += 1
            return self._era, rows

    def land(self, flown: Any) -> None:
        """The transfer is acknowledged."""
        era, rows = flown
        with self._lock:
            if era == self._era:
                self._users[rows] -= 1
                self.in_flight -= 1

    def state(self, row: int) -> str:
        """What a row is now, as reports say it; reads back from a device."""
        return NAMES[int(self._state[row])]

    def flown(self, flown: Any) -> set[int]:
        """The rows of what `fly` returned."""
        return set(flown[1].tolist())

    def settle(self) -> None:
        """Tells what is known by now; here, everything was told at once."""

    def idle(self, at: int) -> None:
        """Nothing runs: what is held outside the tree, and in no transfer, has leaked."""
        with self._lock:
            rows = ((self._state == HELD) & (self._users == 0)).nonzero()[0]
            if len(rows):
                self._judge(Rule.idle_slots_have_owners, rows, self._state[rows], (), at)

    def miscounted(self, said: int, at: int) -> None:
        """Tells that the tree says it holds `said` slots; goes on from there."""
        assert self.tree is not None
        detail = f"the tree says {said}, and took {self.tree} that it did not free"
        off, self.tree = abs(said - self.tree), said
        self._say(Rule.tree_holds_what_it_counts, (), off, at, detail)

    # Where the tables lie.

    def _make(self) -> None:
        self._state = np.full(self.shape.size, FREE, np.uint8)
        self._since = np.zeros(self.shape.size, np.int64)
        self._users = np.zeros(self.shape.size, np.uint8)

    def _rows(self, slots: Any) -> Any:
        rows = slots.numpy()
        return rows if self.shape.unit == 1 else rows // self.shape.unit

    def _seen(self, rows: Any, at: int) -> bytes | None:
        """The states of rows, one byte each; None where the pool does not have all of them."""
        try:
            return self._state[rows].tobytes()  # type: ignore[no-any-return]
        except IndexError:
            wrong = rows[rows >= self.shape.size]
            self._say(Rule.slot_exists, (Slot(int(r), "no slot", Did(0, ())) for r in wrong[:SHOWN]), len(wrong), at)
            return None

    def _put(self, rows: Any, state: int, at: int, was: bytes) -> None:
        if self.tree is not None:
            self.tree += len(was) * (state == TREE) - was.count(TREE)
        self._state[rows] = state
        self._since[rows] = at
        if PADDING_BYTE in was:
            self._pad()

    def _pad(self) -> None:
        if self.shape.padded:
            self._state[0] = PADDING

    # What is wrong.

    def _judge(self, rule: Rule, rows: Any, was: Any, legal: Legal, at: int, since: Any = None) -> None:
        """Tells of the rows whose state is none of these. since: the operations that made it so, if not the table's."""
        states = np.frombuffer(was, np.uint8) if isinstance(was, bytes) else was
        wrong = ~np.isin(states, (*legal, PADDING))
        if wrong.any():
            found, which = np.unique(rows[wrong], return_index=True)  # a page is named by each of its slots
            did = self._since[found[:SHOWN]] if since is None else since[wrong][which]
            slots = [
                Slot(int(r), NAMES[s], self._clock.did(int(d)))
                for r, s, d in zip(found[:SHOWN], states[wrong][which], did, strict=False)
            ]
            self._say(rule, slots, len(found), at)

    def _unused(self, rule: Rule, rows: Any, at: int) -> None:
        if self._users[rows].any():
            self._clock.settle()  # it may have been acknowledged since
            rows = rows[self._users[rows] > 0]
            if len(rows):
                self._judge(rule, rows, self._state[rows], (), at)

    def _once(self, numbers: list[int], was: bytes, at: int, since: Any = None) -> None:
        """Whether one call names a slot twice: in the free list it would be there twice."""
        if len(set(numbers)) != len(numbers):
            twice = sorted(n for n, times in Counter(numbers).items() if times > 1 and (n or not self.shape.padded))
            slots = (Slot(n, NAMES[was[numbers.index(n)]], Did(0, ())) for n in twice[:SHOWN])
            if twice:
                self._say(Rule.slot_is_freed_once, slots, len(twice), at, "named twice in one call")

    def _say(self, rule: Rule, slots: Iterable[Slot], count: int, at: int, detail: str = "") -> None:
        did = self._clock.did(at)
        lag = self._clock.serial - did.serial if self.tree is None else 0
        self._tell(Fault(rule, self.shape.name, did, tuple(slots), count, detail=detail, lag=lag))
