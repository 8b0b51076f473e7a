"""Where commands write: results on stdout, progress on stderr."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType

PATIENCE = 1.0  # seconds before a person wants to know that something is going on


def console() -> Console:
    """A console on stdout, as wide as the terminal, 80 columns without one."""
    from rich.console import Console

    class Out(Console):
        def on_broken_pipe(self) -> None:
            # Rich would exit 1, which means "violated" here.
            raise BrokenPipeError

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 80
    return Out(highlight=False, markup=False, emoji=False, width=width)


def show(out: Console, what: RenderableType) -> None:
    """Print without the blanks that fill lines to the console's width: logs and pipes are read too.

    Nor is a line cut: a word that is longer than the width stays whole.
    """
    from rich.segment import Segment, Segments

    done: list[Segment] = []
    for line in Segment.split_lines(out.render(what)):
        kept = [s for s in line if not s.control]
        while kept and not kept[-1].text.strip():
            kept.pop()
        if kept:
            done += [*kept[:-1], Segment(kept[-1].text.rstrip(), kept[-1].style)]
        done.append(Segment.line())
    out.print(Segments(done), end="", crop=False)


def show_lockstep(out: Console) -> None:
    """With which engines the page model, which a verdict is about, was seen to keep step."""
    from rich.text import Text

    from sanitree.checker.lockstep.record import in_words

    if words := in_words():
        out.print(Text(words, style="dim"))


def print_json(data: dict[str, Any]) -> None:
    """One JSON object on stdout, on one line."""
    import orjson

    sys.stdout.write(orjson.dumps(data).decode() + "\n")


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Shows `what`, or what it is told since, if the block takes more than a second; only on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    lock, now, shown, over = threading.Lock(), [what], [], [False]

    def show() -> None:
        from rich.console import Console

        with lock:
            if not over[0]:
                shown.append(Console(stderr=True).status(now[0]))
                shown[0].start()

    def tell(line: str) -> None:
        with lock:
            now[0] = line
            if shown:
                shown[0].update(line)

    timer = threading.Timer(PATIENCE, show)
    timer.daemon = True
    timer.start()
    try:
        yield tell
    finally:
        timer.cancel()
        with lock:
            over[0] = True
            if shown:
                shown[0].stop()
