"""A dump when somebody asks: by a signal, or by a file that appears. Also of a server that hangs."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from sanitree.checker.hook.telling import LOGGER

if TYPE_CHECKING:
    from sanitree.checker.hook.watcher import Watcher

EVERY = 0.5
"""Seconds between two looks at the file."""

PATIENCE = 2.0
"""Seconds that the engine has to come between two operations; then the dump is taken where it stands."""


def ask_by(watcher: Watcher, name: str | None, file: str | None) -> None:
    """Has dumps written when the signal of that name arrives, or the file is there; neither where both are None.

    Raises ValueError for no signal's name. A signal needs the main thread: elsewhere the file alone works.
    """
    if name is None and file is None:
        return
    asked = threading.Event()
    if name is not None:
        number = _signal(name)

        def handler(_number: int, _frame: FrameType | None) -> None:
            asked.set()

        if threading.current_thread() is threading.main_thread():
            signal.signal(number, handler)
        else:
            LOGGER.warning("sanitree: %s is not heard outside the main thread", name)
    threading.Thread(
        target=_look, args=(watcher, asked, None if file is None else Path(file)), name="sanitree", daemon=True
    ).start()


def _signal(name: str) -> signal.Signals:
    try:
        return signal.Signals[name]
    except KeyError:
        raise ValueError(f"there is no signal {name!r}: SIGUSR2 is one") from None


def _look(watcher: Watcher, asked: threading.Event, file: Path | None) -> None:
    seen = _stamp(file)
    while True:
        by_signal = asked.wait(EVERY)
        if watcher.off:  # another may watch this cache by now, and be asked
            return
        before, seen = seen, _stamp(file)
        if not by_signal and (seen is None or seen == before):
            continue
        asked.clear()
        watcher.request_dump("asked")
        done = watcher.dumped.wait(PATIENCE)
        if not done:
            try:
                watcher.dump("hanging")
            except Exception:  # noqa: BLE001  a torn tree may be beyond reading
                LOGGER.exception("sanitree: no dump could be written")


def _stamp(file: Path | None) -> int | None:
    """When a file was last touched; None where there is none. It stays, so that every rank sees it."""
    try:
        return None if file is None else file.stat().st_mtime_ns
    except OSError:
        return None
