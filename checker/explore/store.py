"""The states that one core owns: in pieces, in the order in which they were found, and a table that finds them.

An entry of the table is 32 bits: a state's number plus 1, and in the bits that are left, of
its hash. A piece is never moved and the table never copied: it is filled again from the states.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanitree.checker.explore import kernel as k

HUGE_PAGE = 1 << 21
FULLEST = 0.75
GROWTH = 1.6
MOST = (1 << 32) - 2
"""States that one owner can number."""


class Store:
    """An owner's states. levels: where each level of them ends."""

    def __init__(self, row: NDArray[np.int64], words: int, noted: int) -> None:
        self.row, self.shape = row, (0,) * words
        self._noted = [np.empty((1, noted), np.int64) for _ in range(2)]
        self.count = 0
        self.levels = [0]
        self._pieces: list[NDArray[np.uint8]] = []
        self._addresses = np.zeros(MOST // k.CHUNK + 1, np.int64)
        row[k.PIECES] = self._addresses.ctypes.data
        self._table = np.empty(0, np.uint8)
        self._allot(1 << 12)
        self._note()

    @property
    def bytes(self) -> int:
        """What is held."""
        return int(self._table.nbytes + sum(p.nbytes for p in self._pieces) + sum(n.nbytes for n in self._noted))

    def bytes_for(self, more: int) -> int:
        """What would be held after `make_room`."""
        pieces, size = self._wanted(more)
        here, following = self._noted
        return pieces * self._piece_bytes + 4 * size + here.nbytes + self._rows(more) * following[0].nbytes

    def make_room(self, more: int) -> None:
        """Grows where so many more states might not fit."""
        pieces, size = self._wanted(more)
        while len(self._pieces) < pieces:
            piece = _pages(self._piece_bytes)
            self._addresses[len(self._pieces)] = piece.ctypes.data
            self._pieces.append(piece)
        if size > len(self._table) // 4:
            self._allot(size)
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
        piece = self._pieces[number >> k.CHUNK_BITS].view(np.int64)
        at = (number & (k.CHUNK - 1)) * len(self.shape)
        return tuple(piece[at : at + len(self.shape)].tolist())

    def level(self, number: int) -> int:
        """How many moves a state is away."""
        return int(np.searchsorted(self.levels, number, side="right")) - 1

    @property
    def _piece_bytes(self) -> int:
        return 8 * len(self.shape) * k.CHUNK

    def _wanted(self, more: int) -> tuple[int, int]:
        wanted, size = self.count + more, len(self._table) // 4
        if wanted > size * FULLEST:
            size = max(int(wanted / FULLEST) + 1, int(size * GROWTH))
        return max(len(self._pieces), -(-wanted >> k.CHUNK_BITS)), -(-min(size, MOST) // k.LINE) * k.LINE

    def _rows(self, more: int) -> int:
        """States of the next level of which something might be noted."""
        rows, wanted = len(self._noted[1]), self.count + more - self.levels[-1]
        return rows if wanted <= rows else max(wanted, int(rows * GROWTH))

    def _note(self) -> None:
        here, following = self._noted
        self.row[k.LEFT_OUT], self.row[k.NEXT_LEFT_OUT] = here.ctypes.data, following.ctypes.data
        self.row[k.FIRST], self.row[k.NEXT_FIRST] = self.levels[-2] if len(self.levels) > 1 else 0, self.levels[-1]

    def _allot(self, size: int) -> None:
        self._table = np.empty(0, np.uint8)  # let go before there is another
        self._table = _pages(4 * size)
        self.row[k.TABLE], self.row[k.LINES] = self._table.ctypes.data, size // k.LINE
        self.row[k.INDEX_BITS] = max(16, (int(size * FULLEST) + 2).bit_length())
        k.rehash(self.row, self.count, self.shape)


def _pages(size: int) -> NDArray[np.uint8]:
    """Zeros, in large pages where the system has them: what is looked up is all over the place."""
    if size < HUGE_PAGE:
        return _aligned(np.zeros(size + 4 * k.LINE, np.uint8), size, 4 * k.LINE)
    held = mmap.mmap(-1, size + HUGE_PAGE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):
            held.madvise(mmap.MADV_HUGEPAGE)
    return _aligned(np.frombuffer(held, np.uint8), size, HUGE_PAGE)


def _aligned(room: NDArray[Any], size: int, to: int) -> NDArray[np.uint8]:
    begin = -room.ctypes.data % to
    return room[begin : begin + size]
