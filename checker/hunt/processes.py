"""Hunts in processes of their own: one engine's version each, their noise kept out, what they tell put in a queue."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Callable, Generator, Sequence
from multiprocessing.context import SpawnProcess
from typing import Any

from sanitree.checker.hunt.confirm import Confirmed, confirm
from sanitree.checker.hunt.search import Event, Failed, Progress, Task, search, search_in_turn
from sanitree.checker.hunt.wrong import Sighting


def searches(tasks: Sequence[Task]) -> Generator[tuple[int, Event], None, None]:
    """Runs every task in a process, and yields what each tells until all are done. Closed early, it ends them."""
    with _Processes([(search, (task,)) for task in tasks]) as running:
        left = set(range(len(tasks)))
        while left:
            for number, event in running.told():
                yield number, event
                if isinstance(event, Failed) or (isinstance(event, Progress) and event.done):
                    left.discard(number)
            for number in sorted(left):
                if (death := running.death(number)) is not None:
                    left.discard(number)
                    yield number, Failed(death)


def searches_in_turn(tasks: Sequence[Task]) -> Generator[tuple[int, Event], None, None]:
    """Runs tasks of one engine one after the other in one process, and yields what each tells with its number.

    Ends early where the process dies, with why, told of the task that it died of.
    """
    at = 0
    with _Processes([(search_in_turn, (tasks,))]) as running:
        while at < len(tasks):
            for _, told in running.told():
                if isinstance(told, Failed):
                    yield at, told
                    return
                number, event = told
                at = number + (isinstance(event, Progress) and event.done)
                yield number, event
            if at < len(tasks) and (death := running.death(0)) is not None:
                yield at, Failed(death)
                return


def confirmations(on: str, sightings: Sequence[Sighting]) -> list[Confirmed | Failed]:
    """What comes of each sighting in a fresh process; `Failed` from where that process died."""
    done: list[Confirmed | Failed] = []
    with _Processes([(confirm, (on, tuple(sightings)))]) as running:
        while len(done) < len(sightings):
            done += [event for _, event in running.told()]
            if len(done) < len(sightings) and (death := running.death(0)) is not None:
                return [*done, *(Failed(death) for _ in sightings[len(done) :])]
    return done


class _Processes:
    """Each runs a function whose last argument hears what it has to tell."""

    def __init__(self, work: Sequence[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
        context = multiprocessing.get_context("spawn")
        self._queue: multiprocessing.Queue[tuple[int, Any]] = context.Queue()
        self._all: list[SpawnProcess] = [
            context.Process(target=_serve, args=(number, self._queue, act, arguments), daemon=True)
            for number, (act, arguments) in enumerate(work)
        ]

    def __enter__(self) -> _Processes:
        for process in self._all:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.join(0.2)
            if process.is_alive():
                process.terminate()
        for process in self._all:
            process.join(5)
            if process.is_alive():
                process.kill()
        self._queue.cancel_join_thread()

    def told(self) -> list[tuple[int, Any]]:
        """What was told since, after a short wait where it is nothing."""
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self._queue.get(timeout=0.2))
            while True:
                found.append(self._queue.get_nowait())
        return found

    def death(self, number: int) -> str | None:
        """How a process ended; None while it runs, or while something that it told may still be on its way."""
        process = self._all[number]
        if process.is_alive() or not self._queue.empty():
            return None
        code = process.exitcode
        return f"a process {'was killed by signal ' + str(-code) if code and code < 0 else f'ended with status {code}'}"


def _serve(number: int, told: multiprocessing.Queue[tuple[int, Any]], act: Callable[..., None], arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of a terminal's processes; the first one answers
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # engines print, a Rust core on the file descriptor itself
    os.dup2(nowhere, 2)
    import torch

    torch.set_num_threads(1)
    try:
        act(*arguments, lambda event: told.put((number, event)))
    except BaseException as error:  # noqa: BLE001  whatever it is, somebody waits for an answer
        told.put((number, Failed(f"{type(error).__name__}: {error}")))
    told.close()
    told.join_thread()
    time.sleep(0.05)
    os._exit(0)  # engines leave threads and exit hooks behind that have nothing left to say
