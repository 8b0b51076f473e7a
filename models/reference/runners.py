"""Who runs the copies: at once, by hand in any order, or a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

import torch

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
    """A thread that copies in the order of submission; for a GPU, on a stream of its own. `close` ends it."""

    def __init__(self, device: str = "cpu") -> None:
        self._stream: torch.cuda.Stream | None = None
        if torch.device(device).type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._queue: deque[tuple[Transfer, torch.cuda.Event | None]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="sanitree copies", daemon=True)
        self._thread.start()

    def submit(self, transfer: Transfer) -> None:
        with self._changed:
            if self._closed:
                raise CacheError("the runner is closed: give the cache another")
            self._queue.append((transfer, self._launched()))
            self._changed.notify_all()

    def is_done(self, transfer: Transfer) -> bool:
        if not transfer.done and self._failure is not None:
            raise CacheError("a copy failed in its thread, and none runs any more") from self._failure
        return transfer.done

    def wait(self, transfer: Transfer) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.is_done(transfer))

    def close(self) -> None:
        """Runs what was submitted, then ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _launched(self) -> torch.cuda.Event | None:
        """What the caller has launched so far: a copy comes after it."""
        if self._stream is None:
            return None
        event: torch.cuda.Event = torch.cuda.current_stream(self._stream.device).record_event()
        return event

    def _copy(self, transfer: Transfer, after: torch.cuda.Event | None) -> None:
        if self._stream is None or after is None:
            transfer.copy()
            return
        self._stream.wait_event(after)
        with torch.cuda.stream(self._stream):
            transfer.copy()
        self._stream.synchronize()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                transfer, after = self._queue.popleft()
            try:
                self._copy(transfer, after)
            except BaseException as error:  # noqa: BLE001 (told to whoever waits)
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return
            with self._changed:
                transfer.done = True
                self._changed.notify_all()
