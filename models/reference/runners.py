"""Who runs the copies: at once, by hand in any order, or a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.transfers import Transfer


class Runner(Protocol):
    """Runs each submitted transfer once."""

    def submit(self, transfer: Transfer) -> None:
        """Takes a transfer; its copy runs now or later."""

    def is_done(self, transfer: Transfer) -> bool:
        """Whether its bytes have arrived."""

    def wait(self, transfer: Transfer) -> None:
        """Returns when they have."""


class AtOnce:
    """Copies before `submit` returns."""

    def submit(self, transfer: Transfer) -> None:
        transfer.copy()
        transfer.done = True

    def is_done(self, transfer: Transfer) -> bool:
        return transfer.done

    def wait(self, transfer: Transfer) -> None:
        pass


class ByHand:
    """Copies when told to. pending: what was submitted and has not run, oldest first."""

    def __init__(self) -> None:
        self.pending: list[Transfer] = []

    def submit(self, transfer: Transfer) -> None:
        self.pending.append(transfer)

    def is_done(self, transfer: Transfer) -> bool:
        return transfer.done

    def wait(self, transfer: Transfer) -> None:
        if not transfer.done:
            self.run(self.pending.index(transfer))

    def run(self, index: int = 0) -> Transfer:
        """Runs the pending transfer at `index`, and returns it."""
        transfer = self.pending.pop(index)
        transfer.copy()
        transfer.done = True
        return transfer


class Worker:
    """A thread that copies in the order of submission. `close` ends it."""

    def __init__(self) -> None:
        self._queue: deque[Transfer] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="sanitree copies", daemon=True)
        self._thread.start()

    def submit(self, transfer: Transfer) -> None:
        with self._changed:
            if self._closed:
                raise CacheError("the runner is closed: give the cache another")
            self._queue.append(transfer)
            self._changed.notify_all()

    def is_done(self, transfer: Transfer) -> bool:
        return transfer.done

    def wait(self, transfer: Transfer) -> None:
        with self._changed:
            self._changed.wait_for(lambda: transfer.done or self._failure is not None)
            if not transfer.done:
                raise CacheError("a copy failed in its thread, and none runs any more") from self._failure

    def close(self) -> None:
        """Runs what was submitted, then ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                transfer = self._queue.popleft()
            try:
                transfer.copy()
            except BaseException as error:  # noqa: BLE001 (told to whoever waits)
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return
            with self._changed:
                transfer.done = True
                self._changed.notify_all()
