"""The same memory of a pool whose indices are on a GPU: nothing here waits for it.

Each operation asks whether a slot was in a state that it may not be in; the answer stays
on the device. Some operations later the answers are copied in one go, and read once the
copy's event has passed. Only then, and only of an operation that is at fault, rows and
states are copied as well, so a fault is told some operations after the one that it names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sanitree.checker.hook.faults import Rule
from sanitree.checker.hook.shadow import (
    BY_REQUESTS,
    FREE,
    HELD,
    NOT_FREE,
    NOT_THE_TREES,
    PADDING,
    REST_OF_A_PAGE,
    TO_HAND_OUT,
    TREE,
    UNKNOWN,
    Clock,
    Legal,
    PoolShape,
    Shadow,
    Tell,
    stack_of,
)

BATCH = 16
"""Operations whose answers are copied together."""


@dataclass(slots=True, eq=False)
class _Asked:
    """An operation whose answer is on its way, and what it takes to say what is wrong."""

    at: int
    rows: Tensor
    was: Tensor
    since: Tensor
    users: Tensor | None
    judged: tuple[tuple[Rule, Legal], ...]
    flight: Rule | None
    once: bool
    first: Tensor | None


@dataclass(slots=True, eq=False)
class _Copy:
    """Tensors on their way to the host, and what is done with them there."""

    targets: list[Tensor]
    then: Callable[[list[Any]], None]
    event: Any | None
    keep: list[Tensor] = field(default_factory=list)


class ShadowOnDevice(Shadow):
    """One pool whose indices are on a device. blocking: waits for each answer, as mode raise has to."""

    def __init__(
        self, shape: PoolShape, clock: Clock, tell: Tell, device: str = "cuda", blocking: bool = False
    ) -> None:
        self._device, self._blocking = torch.device(device), blocking
        self._cuda = self._device.type == "cuda"
        self._wrong: dict[Legal, Tensor] = {}
        self._adopted = self._table([FREE, TREE, TREE, TREE, PADDING])
        self._counting = torch.arange(0, device=self._device)
        self._asked: list[_Asked] = []
        self._copies: deque[_Copy] = deque()
        self._answers = torch.zeros(BATCH, dtype=torch.int32, device=self._device)
        super().__init__(shape, clock, tell)

    def clear(self) -> None:
        super().clear()
        self.tree = None  # that would take an answer

    def begin(self, free: Any) -> None:
        with self._lock:
            self.clear()
            self._state.fill_(UNKNOWN)
            self._state.index_fill_(0, self._rows(free.to(self._device)), FREE)
            self._pad()

    def take(self, slots: Any, at: int) -> None:
        rows = self._rows(slots)
        with self._lock:
            first = None if self.shape.unit == 1 else slots.remainder(self.shape.unit) == 0
            rule = Rule.slot_is_handed_out_once
            self._ask(rows, at, ((rule, TO_HAND_OUT),), Rule.slot_in_flight_is_not_handed_out, first=first)
            self._set(rows, HELD, at)

    def give(self, slots: Any, at: int) -> None:
        rows = self._rows(slots)
        with self._lock:
            judged: tuple[tuple[Rule, Legal], ...] = ((Rule.slot_is_freed_once, NOT_FREE),)
            if not self._clock.stacks.of_the_tree(stack_of(at)):
                judged = (*judged, (Rule.tree_slot_is_freed_by_the_tree, BY_REQUESTS))
            once = self.shape.unit == 1 and rows.shape[0] > 1
            self._ask(rows, at, judged, Rule.slot_in_flight_is_not_freed, once=once)
            self._set(rows, FREE, at)

    def offer(self, slots: Any, prefix: int, count: int, at: int) -> Any:
        rows = self._rows(slots)
        with self._lock:
            self._ask(rows[:count], at, ((Rule.freed_slot_is_not_used, NOT_FREE),))
            self._ask(rows[prefix:count], at, ((Rule.slot_has_one_owner, NOT_THE_TREES),))
        return slots

    def adopt(self, slots: Any, prefix: int, count: int, at: int) -> None:
        rows = self._rows(slots)[prefix:count]
        with self._lock:
            was = self._state.index_select(0, rows)
            since = self._since.index_select(0, rows)
            self._since.index_copy_(0, rows, torch.where((was == HELD) | (was == UNKNOWN), at, since))
            self._state.index_copy_(0, rows, self._adopted.index_select(0, was))

    def use(self, slots: Any, at: int) -> None:
        with self._lock:
            self._ask(self._rows(slots), at, ((Rule.freed_slot_is_not_used, NOT_FREE),))

    def fly(self, slots: Any, at: int) -> Any:
        rows = self._rows(slots[:: self.shape.unit])  # whole pages are copied
        with self._lock:
            self._ask(rows, at, ((Rule.freed_slot_is_not_used, NOT_FREE),))
            self._users.index_add_(0, rows, torch.ones_like(rows, dtype=torch.int32))
            self.in_flight += 1
            return self._era, rows

    def land(self, flown: Any) -> None:
        era, rows = flown
        with self._lock:
            if era == self._era:
                ones = torch.ones_like(rows, dtype=torch.int32)
                self._users.index_add_(0, rows, ones, alpha=-1)
                self.in_flight -= 1

    def flown(self, flown: Any) -> set[int]:
        """Nothing: reading it back would wait."""
        return set()

    def settle(self) -> None:
        """Sends for the answers that are left, and tells those that have arrived."""
        with self._lock:
            self._send()
            self._receive()

    def idle(self, at: int) -> None:
        """Nothing runs: copies the tables; what they tell comes later."""
        with self._lock:
            self._copy([self._state, self._since, self._users], lambda tables: self._leaks(tables, at))
            self._receive()

    def _leaks(self, tables: list[Any], at: int) -> None:
        state, since, users = tables
        rows = ((state == HELD) & (users == 0)).nonzero()[0]
        if len(rows):
            self._judge(Rule.idle_slots_have_owners, rows, state[rows], (), at, since[rows])

    # Where the tables lie.

    def _make(self) -> None:
        size, device = self.shape.size, self._device
        self._state = torch.full((size,), FREE, dtype=torch.int32, device=device)
        self._since = torch.zeros(size, dtype=torch.int64, device=device)
        self._users = torch.zeros(size, dtype=torch.int32, device=device)
        self._mark = torch.zeros(size, dtype=torch.int64, device=device)

    def _table(self, values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int32, device=self._device)

    def _rows(self, slots: Any) -> Any:
        """Rows of our own: the engine's indices may be views that it writes into again."""
        rows = slots.to(torch.int64)
        return rows.clone() if self.shape.unit == 1 else rows.div(self.shape.unit, rounding_mode="floor")

    def _set(self, rows: Tensor, state: int, at: int) -> None:
        self._state.index_fill_(0, rows, state)
        self._since.index_fill_(0, rows, at)
        self._pad()

    def _pad(self) -> None:
        if self.shape.padded:
            self._state[:1].fill_(PADDING)

    # Questions and answers.

    def _ask(
        self,
        rows: Tensor,
        at: int,
        judged: tuple[tuple[Rule, Legal], ...],
        flight: Rule | None = None,
        once: bool = False,
        first: Tensor | None = None,
    ) -> None:
        was = self._state.index_select(0, rows)
        since = self._since.index_select(0, rows)
        wrong = None
        for _, legal in judged:
            found = self._lookup(legal).index_select(0, was)
            if first is not None:
                found = torch.where(first, found, self._lookup(REST_OF_A_PAGE).index_select(0, was))
            wrong = found if wrong is None else wrong | found
        assert wrong is not None
        users = None
        if flight is not None and self.in_flight:
            self._clock.settle()
            users = self._users.index_select(0, rows)
            wrong = wrong | users
        if once:
            order = self._order(rows.shape[0])
            self._mark.index_copy_(0, rows, order)
            wrong = wrong | ((self._mark.index_select(0, rows) != order) & (rows != 0)).to(torch.int32)
        if not rows.shape[0]:
            return
        self._answers[len(self._asked)].copy_(wrong.amax())
        self._asked.append(_Asked(at, rows, was, since, users, judged, flight, once, first))
        if len(self._asked) == BATCH or self._blocking:
            self._send()
        if self._copies:
            self._receive()

    def _lookup(self, legal: Legal) -> Tensor:
        """1 for each state that is not legal."""
        if legal not in self._wrong:
            self._wrong[legal] = self._table([int(s not in (*legal, PADDING)) for s in range(PADDING + 1)])
        return self._wrong[legal]

    def _order(self, count: int) -> Tensor:
        if self._counting.shape[0] < count:
            self._counting = torch.arange(2 * count, device=self._device)
        return self._counting[:count]

    def _send(self) -> None:
        if self._asked:
            asked, self._asked = self._asked, []
            self._copy([self._answers], lambda answers: self._answered(asked, answers[0]))
            self._answers = torch.zeros_like(self._answers)

    def _answered(self, asked: list[_Asked], answers: Any) -> None:
        for question, answer in zip(asked, answers, strict=False):
            if answer:
                q = question
                tensors = [q.rows, q.was, q.since, *(t for t in (q.users, q.first) if t is not None)]
                self._copy(tensors, lambda arrays, q=q: self._explain(q, arrays))  # type: ignore[misc]

    def _explain(self, q: _Asked, arrays: list[Any]) -> None:
        rows, was, since, *more = arrays
        was = was.astype(np.uint8)
        users = more.pop(0) if q.users is not None else None
        first = more.pop(0) if q.first is not None else np.ones(len(rows), bool)
        for rule, legal in q.judged:
            self._judge(rule, rows[first], was[first], legal, q.at, since[first])
            if not first.all():
                self._judge(rule, rows[~first], was[~first], REST_OF_A_PAGE, q.at, since[~first])
        if users is not None and q.flight is not None and users.any():
            self._judge(q.flight, rows[users > 0], was[users > 0], (), q.at, since[users > 0])
        if q.once:
            self._once(rows.tolist(), was.tobytes(), q.at)

    def _copy(self, tensors: list[Any], then: Callable[[list[Any]], None]) -> None:
        """Starts copies to the host; `then` gets them as arrays, once they are there."""
        targets = []
        for t in tensors:
            target = torch.empty(t.shape, dtype=t.dtype, pin_memory=self._cuda)
            target.copy_(t, non_blocking=True)
            targets.append(target)
        event = None
        if self._cuda:
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        # The sources live until then: the caching allocator would hand their memory out again.
        self._copies.append(_Copy(targets, then, event, list(tensors)))
        if self._blocking:
            self._receive()

    def _receive(self) -> None:
        while self._copies:
            copy = self._copies[0]
            if copy.event is not None:
                if self._blocking:
                    copy.event.synchronize()
                elif not copy.event.query():
                    return
            self._copies.popleft()
            copy.then([t.numpy() for t in copy.targets])
