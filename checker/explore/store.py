"""The states that one core owns: in pieces, in the order in which they were found, and a table that finds them.

An entry of the table is 32 bits: a state's number plus 1, and in the bits that are left, of its
hash. A table that is too full is followed by one of twice the size: what takes one bit more of a
number takes one less of the hash, since it is told by the place. So the old one is gone through
once, in order, and is let go on the way. A piece is never moved.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanitree.checker.explore import table as k

HUGE_PAGE = 1 << 21
FULLEST = 0.75
SMALLEST = 12
"""A table of 2 to the power of it entries is the first."""

PARTS = 8
"""In so many parts an old table is let go."""

MOST = (1 << 32) - 2
"""States that one owner can number."""


class Store:
    """An owner's states. levels: where each level of them ends."""

    def __init__(self, row: NDArray[np.int64], words: int, noted: int) -> None:
        self.row, self.shape = row, (0,) * words
        self._noted = [np.empty((1, noted), np.int64) for _ in range(2)]
        self.count = 0
        self.levels = [0]
        self._pieces: list[_Room] = []
        self._addresses = np.zeros(MOST // k.CHUNK + 1, np.int64)
        row[k.PIECES] = self._addresses.ctypes.data
        self._table = _Room(4 << SMALLEST)
        row[k.TABLE], row[k.INDEX_BITS] = self._table.address, SMALLEST
        k.split(row, self._table.address, 0, 0, self.shape)  # what numba compiles on its first call it compiles here
        self._note()

    @property
    def bytes(self) -> int:
        """What is held."""
        return self._table.size + len(self._pieces) * self._piece_bytes + sum(n.nbytes for n in self._noted)

    def bytes_for(self, more: int) -> int:
        """What would be held after `make_room`."""
        pieces, bits = self._wanted(more)
        here, following = self._noted
        noted = here.nbytes + self._rows(more) * following.itemsize * following.shape[1]
        return pieces * self._piece_bytes + (4 << bits) + noted

    def make_room(self, more: int) -> None:
        """Grows where so many more states might not fit."""
        pieces, bits = self._wanted(more)
        while len(self._pieces) < pieces:
            piece = _Room(self._piece_bytes)
            self._addresses[len(self._pieces)] = piece.address
            self._pieces.append(piece)
        while bits > self.row[k.INDEX_BITS]:
            self._double()
        if (rows := self._rows(more)) > len(self._noted[1]):
            before = self._noted[1]
            self._noted[1] = np.empty((rows, before.shape[1]), np.int64)
            self._noted[1][: len(before)] = before
            self._note()

    def end_level(self) -> None:
        """What is new from here on is of the next level."""
        self.levels.append(self.count)
        self._noted.reverse()
        self._note()

    def state(self, number: int) -> tuple[int, ...]:
        """One state."""
        piece = self._pieces[number >> k.CHUNK_BITS].bytes.view(np.int64)
        at = (number & (k.CHUNK - 1)) * len(self.shape)
        return tuple(piece[at : at + len(self.shape)].tolist())

    def level(self, number: int) -> int:
        """How many moves a state is away."""
        return int(np.searchsorted(self.levels, number, side="right")) - 1

    @property
    def _piece_bytes(self) -> int:
        return 8 * len(self.shape) * k.CHUNK

    def _wanted(self, more: int) -> tuple[int, int]:
        """How many pieces, and a table of which size, as a power of 2."""
        wanted, bits = self.count + more, int(self.row[k.INDEX_BITS])
        while wanted > FULLEST * (1 << bits):
            bits += 1
        return max(len(self._pieces), -(-wanted >> k.CHUNK_BITS)), bits

    def _rows(self, more: int) -> int:
        """States of the next level of which something might be noted."""
        rows, wanted = len(self._noted[1]), self.count + more - self.levels[-1]
        return rows if wanted <= rows else max(wanted, rows + rows // 4)

    def _note(self) -> None:
        here, following = self._noted
        self.row[k.LEFT_OUT], self.row[k.NEXT_LEFT_OUT] = here.ctypes.data, following.ctypes.data
        self.row[k.FIRST], self.row[k.NEXT_FIRST] = self.levels[-2] if len(self.levels) > 1 else 0, self.levels[-1]

    def _double(self) -> None:
        old = self._table
        self._table = _Room(2 * old.size)
        self.row[k.TABLE] = self._table.address
        self.row[k.INDEX_BITS] += 1
        lines = old.size // (4 * k.LINE)
        for part in range(PARTS):
            begin, end = (lines * i // PARTS for i in (part, part + 1))
            k.split(self.row, old.address, begin, end, self.shape)
            old.let_go(4 * k.LINE * (end - 1))  # whether a line is full is asked of the one after it


class _Room:
    """Zeros, in large pages where the system has them: what is looked up is all over the place."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._mapped = _mapped(size + HUGE_PAGE) if size >= HUGE_PAGE else None
        self._advise("MADV_HUGEPAGE", 0, size)
        held: Any = np.zeros(size + 4 * k.LINE, np.uint8) if self._mapped is None else self._mapped
        to = 4 * k.LINE if self._mapped is None else HUGE_PAGE
        whole: NDArray[np.uint8] = np.frombuffer(held, np.uint8)
        self._begin = -whole.ctypes.data % to
        self.bytes = whole[self._begin : self._begin + size]
        self.address = self.bytes.ctypes.data

    def let_go(self, size: int) -> None:
        """So much of it, from the beginning on, is not looked at again."""
        self._advise("MADV_DONTNEED", self._begin, size // HUGE_PAGE * HUGE_PAGE)

    def _advise(self, what: str, begin: int, size: int) -> None:
        if self._mapped is not None and size and hasattr(mmap, what):
            with contextlib.suppress(OSError):
                self._mapped.madvise(getattr(mmap, what), begin, size)


def _mapped(size: int) -> mmap.mmap:
    """What no other process shares: of shared memory there are no large pages."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
