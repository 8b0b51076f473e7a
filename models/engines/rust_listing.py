"""The nodes of a Rust core, by the one call that names them: `pretty_print`, on file descriptor 1.

The binding has no call that lists children or ids. A line of the print is a node, indented
under its parent: `[id] tokens full_lock=count Full=yes|no Swa=yes|no`. The print is the core's
own, not Python's, so it is caught below `sys.stdout`.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from sanitree.models.engines.errors import EngineError

_LINE = re.compile(rb"( *)\[(\d+)\] (\d+) full_lock=(-?\d+)((?: \w+=(?:yes|no))*)")
_OURS = b" full_lock="
_TRIES = 5
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """The nodes of a Rust core, parents first, and what the print says of each, by row.

    parents: rows, the root's its own. references: lines that name the node under a parent.
    lock: count of full locks. device: for each component by name, whether its data is on
    the device; the root's is not, although it counts as being there.
    """

    ids: list[int]
    parents: list[int]
    references: list[int]
    key_len: list[int]
    lock: list[int]
    device: dict[str, list[bool]]
    row: dict[int, int]


def listing(core: Any) -> Listing:
    """Lists the nodes of a Rust core, given its binding.

    What other threads print meanwhile goes where it was meant to, a little later. Raises
    `EngineError` if the listing is not one tree, or was torn by such output again and again.
    """
    for _ in range(_TRIES):
        lines = printed(core.pretty_print).splitlines(keepends=True)
        found = [_LINE.fullmatch(line.rstrip(b"\n")) for line in lines]
        forward(b"".join(line for line, match in zip(lines, found, strict=True) if match is None and _OURS not in line))
        if not any(match is None and _OURS in line for line, match in zip(lines, found, strict=True)):
            return _parse([match for match in found if match is not None])
    raise EngineError("the Rust core's listing is torn by other output on file descriptor 1: silence it and try again")


def _parse(lines: list[re.Match[bytes]]) -> Listing:
    tree = Listing([], [], [], [], [], {}, {})
    above: list[tuple[int, int]] = []  # indent and row of each node on the way down
    repeated = -1  # indent of a node that was met before: what hangs below it was, too
    for line in lines:
        indent, node = len(line[1]), int(line[2])
        if 0 <= repeated < indent:
            continue
        repeated = -1
        while above and above[-1][0] >= indent:
            above.pop()
        if bool(above) != bool(tree.ids):
            raise EngineError(f"the Rust core lists two roots: {tree.ids[0]} and {node}")
        if node in tree.row:
            tree.references[tree.row[node]] += 1
            repeated = indent
            continue
        row = tree.row[node] = len(tree.ids)
        tree.ids.append(node)
        tree.parents.append(above[-1][1] if above else 0)
        tree.references.append(1 if above else 0)
        tree.key_len.append(int(line[3]))
        tree.lock.append(int(line[4]))
        for word in line[5].split():
            name, _, answer = word.partition(b"=")
            tree.device.setdefault(name.decode().lower(), []).append(answer == b"yes")
        above.append((indent, row))
    if not tree.ids or any(len(column) != len(tree.ids) for column in tree.device.values()):
        raise EngineError("the Rust core's listing has no nodes, or not the same columns for each")
    return tree


def printed(show: Callable[[], object]) -> bytes:
    """What `show` prints on file descriptor 1, whatever prints it.

    For that time the descriptor is this process's own file; afterwards it is what it was,
    also where it was closed and where `show` raises.
    """
    with _one_at_a_time, ExitStack() as after:
        _flush()
        try:
            saved = os.dup(1)
            after.callback(os.close, saved)
        except OSError:  # a daemon may have closed it
            saved = -1
        sink = os.memfd_create("listing")  # a Rust core is built for Linux only
        if sink == 1:  # the descriptor that was closed
            sink = os.dup(sink)
        after.callback(os.close, sink)
        os.dup2(sink, 1)
        try:
            show()
        finally:
            _flush()
            if saved >= 0:
                os.dup2(saved, 1)
            else:
                os.close(1)
        return os.pread(sink, os.lseek(sink, 0, os.SEEK_END), 0)


def _flush() -> None:
    """Empties the buffers of C's streams, so that what they hold goes where it was meant to."""
    ctypes.CDLL(None).fflush(None)


def forward(text: bytes) -> None:
    """Writes to file descriptor 1 what was caught and is not ours."""
    while text:
        try:
            text = text[os.write(1, text) :]
        except OSError:
            return  # closed, or a pipe whose reader left: nobody would have seen it


@contextmanager
def unpoisoned() -> Iterator[None]:
    """Calls into a Rust core go here: raises `EngineError` where an earlier panic left it unusable."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        # A panic is no Exception; later versions say of a poisoned core that its lock is.
        if type(error).__name__ == "PanicException" or "poison" in str(error).lower():
            raise EngineError(f"the Rust core panicked and answers no more: restart the engine ({error})") from None
        raise
