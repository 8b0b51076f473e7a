"""Ranks in one process, in lock step: a stand-in for the network, the same in every run.

Each rank has a thread, and one of them runs at a time: rank 0 until it is done or waits in a
collective call, then rank 1, and so on. When all wait in the same call it is answered, and
rank 0 goes on. Where one rank is done, or waits in another call, the others would wait
forever: that is told at once, and those that wait are ended.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from sanitree.models.ranks.group import Collective, Reduction, reduced

T = TypeVar("T")


class StrandedError(BaseException):
    """Raised in a rank that waits for others who never come. No Exception, so that no cache swallows it."""


@dataclass(slots=True)
class Turn(Generic[T]):
    """What came of one rank: the result or what it raised, its collective calls, and whether it was left waiting in
    the last of them."""

    result: T | None = None
    error: BaseException | None = None
    calls: list[Collective] = field(default_factory=list)
    stranded: bool = False


@dataclass(frozen=True, slots=True)
class _Waits:
    call: Collective
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Done:
    result: Any = None
    error: BaseException | None = None


_END, _STRANDED = object(), object()


class _Worker:
    """A rank's thread: does what comes in, and says what came of it."""

    def __init__(self, number: int) -> None:
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        self.outbox: SimpleQueue[_Waits | _Done] = SimpleQueue()
        arguments = (self.inbox, self.outbox)
        self.thread = threading.Thread(target=_work, args=arguments, name=f"sanitree rank {number}", daemon=True)
        self.thread.start()

    def goes_on(self, what: Any) -> _Waits | _Done:
        """Hands it something to do, or the answer it waits for; where it has got to then."""
        self.inbox.put(what)
        while True:
            try:
                return self.outbox.get(timeout=1.0)  # so that a signal for the main thread is heard
            except Empty:
                continue

    def interrupt(self) -> None:
        """Ends what it does, if that is Python and never ends by itself."""
        if self.thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self.thread.ident), ctypes.py_object(StrandedError)
            )
        self.inbox.put(_STRANDED)
        self.inbox.put(_END)


def _work(inbox: SimpleQueue[Any], outbox: SimpleQueue[Any]) -> None:
    with suppress(StrandedError):  # an interrupt may come when nothing is being done
        _serve(inbox, outbox)


def _serve(inbox: SimpleQueue[Any], outbox: SimpleQueue[Any]) -> None:
    while (act := inbox.get()) is not _END:
        if act is _STRANDED:
            continue
        try:
            done = _Done(act())
        except BaseException as error:  # noqa: BLE001  told to whoever gave it to do
            done = _Done(error=error)
        outbox.put(done)
        del act, done  # what was done holds whoever holds this thread


class Member:
    """One rank's view of a `Together`: what is given to its cache as its group."""

    def __init__(self, together: Together, rank: int) -> None:
        # Caches hold their group, and are held by what waits for them: no circle keeps threads alive.
        self._together, self.rank, self.size = weakref.proxy(together), rank, together.size

    def reduce(self, how: Reduction, values: Sequence[int]) -> list[int]:
        """Waits for the others; the least, the greatest or the sum."""
        answer: list[int] = self._together.ask(self.rank, Collective(how, len(values)), values)
        return answer

    def barrier(self) -> None:
        """Waits for the others."""
        self._together.ask(self.rank, Collective("barrier"), ())


class Together:
    """Threads for so many ranks. members: their groups. around: what is around everything that a rank does, for what
    in a process of its own would be its own; None where there is nothing of that kind."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.around: Callable[[int], AbstractContextManager[None]] | None = None
        self._workers = [_Worker(r) for r in range(size)]
        self._turns: list[Turn[Any]] = []
        self.members = tuple(Member(self, r) for r in range(size))
        weakref.finalize(self, _end, self._workers)

    def run(self, acts: Sequence[Callable[[], T]]) -> list[Turn[T]]:
        """Does one act on each rank, and says what came of each.

        Left early by an exception (of a signal), it ends what the ranks do.
        """
        turns: list[Turn[T]] = [Turn() for _ in acts]
        self._turns = turns
        now: list[_Waits | _Done] = []
        todo: list[Any] = list(acts)
        try:
            while True:
                now = [self._goes_on(rank, act) for rank, act in enumerate(todo)]
                waiting = [x for x in now if isinstance(x, _Waits)]
                if len({x.call for x in waiting}) != 1 or len(waiting) < self.size:
                    break
                answer = _answer(waiting)
                todo = [list(answer) for _ in now]
            for rank, x in enumerate(now):
                if isinstance(x, _Waits):
                    turns[rank].stranded = True
                    while isinstance(self._goes_on(rank, _STRANDED), _Waits):
                        pass
                else:
                    turns[rank].result, turns[rank].error = x.result, x.error
        except BaseException:
            for number, worker in enumerate(self._workers):
                worker.interrupt()
                self._workers[number] = _Worker(number)
            raise
        return turns

    def _goes_on(self, rank: int, what: Any) -> _Waits | _Done:
        with nullcontext() if self.around is None else self.around(rank):
            return self._workers[rank].goes_on(what)

    def ask(self, rank: int, call: Collective, values: Sequence[int]) -> list[int]:
        """A rank's collective call, from its thread."""
        self._turns[rank].calls.append(call)
        worker = self._workers[rank]
        worker.outbox.put(_Waits(call, tuple(values)))
        answer = worker.inbox.get()
        if answer is _STRANDED:
            raise StrandedError(f"rank {rank} waits in {call} for others that never come")
        found: list[int] = answer
        return found


def _answer(waiting: Sequence[_Waits]) -> list[int]:
    call = waiting[0].call
    return [] if call.asked == "barrier" else reduced(call.asked, [x.values for x in waiting])


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.inbox.put(_END)
