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

    def __init__(self, row: NDArray[np.int64], words: int) -> None:
        self.row, self.shape = row, (0,) * words
        self.count = 0
        self.levels = [0]
        self._pieces: list[NDArray[np.uint8]] = []
        self._addresses = np.zeros(MOST // k.CHUNK + 1, np.int64)
        row[k.PIECES] = self._addresses.ctypes.data
        self._table = np.empty(0, np.uint8)
        self._allot(1 << 12)

    @property
    def bytes(self) -> int:
        """What is held."""
        return int(self._table.nbytes + sum(p.nbytes for p in self._pieces))

    def bytes_for(self, more: int) -> int:
        """What would be held after `make_room`."""
        pieces, size = self._wanted(more)
        return pieces * self._piece_bytes + 4 * size

    def make_room(self, more: int) -> None:
        """Grows where so many more states might not fit."""
        pieces, size = self._wanted(more)
        while len(self._pieces) < pieces:
            piece = _pages(self._piece_bytes)
            self._addresses[len(self._pieces)] = piece.ctypes.data
            self._pieces.append(piece)
        if size > self.row[k.SIZE]:
            self._allot(size)

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
        return (8 * len(self.shape) + 2) * k.CHUNK

    def _wanted(self, more: int) -> tuple[int, int]:
        wanted, size = self.count + more, int(self.row[k.SIZE])
        if wanted > size * FULLEST:
            size = max(int(wanted / FULLEST) + 1, int(size * GROWTH))
        return max(len(self._pieces), -(-wanted >> k.CHUNK_BITS)), min(size, MOST)

    def _allot(self, size: int) -> None:
        self._table = np.empty(0, np.uint8)  # let go before there is another
        self._table = _pages(4 * size)
        self.row[k.TABLE], self.row[k.SIZE] = self._table.ctypes.data, size
        self.row[k.INDEX_BITS] = max(16, (int(size * FULLEST) + 2).bit_length())
        k.rehash(self.row, self.count, self.shape)


def _pages(size: int) -> NDArray[np.uint8]:
    """Zeros, in large pages where the system has them: what is looked up is all over the place."""
    if size < HUGE_PAGE:
        return np.zeros(size, np.uint8)
    held = mmap.mmap(-1, size + HUGE_PAGE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):
            held.madvise(mmap.MADV_HUGEPAGE)
    whole: NDArray[Any] = np.frombuffer(held, np.uint8)
    begin = -whole.ctypes.data % HUGE_PAGE
    return whole[begin : begin + size]
