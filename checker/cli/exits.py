"""How a `sanitree` process ends, and the errors that are told to people."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import click


class Exit(IntEnum):
    """The exit code of every command. Nothing inconclusive exits 0.

    The last two are what shells report for a process that a signal ended; its work is unfinished, not wrong.
    """

    HOLDS = 0
    VIOLATED = 1
    USAGE = 2
    """The command line makes no sense, or a file is no snapshot."""
    INCONCLUSIVE = 3
    FAILED = 4
    """The tool or an engine's adapter failed: nothing was learned about the cache."""
    INTERRUPTED = 130
    """By Ctrl-C."""
    UNREAD = 141
    """Who read the output has left, as `head` does."""


# A violation is proof and stays one whatever happened to another file, so it comes last;
# a file that could not be judged at all says less than one that was judged in part.
_SEVERITY = (Exit.HOLDS, Exit.INCONCLUSIVE, Exit.USAGE, Exit.FAILED, Exit.VIOLATED)


def worst(exits: Iterable[Exit]) -> Exit:
    """The exit that speaks for several: holds < inconclusive < usage < failed < violated."""
    return max(exits, key=_SEVERITY.index, default=Exit.HOLDS)


class Trouble(click.ClickException):
    """Something a person can act on: what is wrong, where, and what to do about it."""

    def __init__(self, what: str, hint: str = "", code: Exit = Exit.USAGE, *, where: str = "") -> None:
        super().__init__(printable(f"{where}: {what}" if where else what))
        self.where, self.what, self.hint, self.code = where, what, hint, code


def printable(message: str) -> str:
    """A message on one line, without what would drive a terminal: names of files are anybody's."""
    return "".join(c if c.isprintable() else "�" for c in message.replace("\n", " "))
