"""Where each variable of each node lies in a state's words.

A word is a non-negative int64: 63 bits, because shifts to the right keep the sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sanitree.models.protocol.system import System

WORD = 63


@dataclass(frozen=True, slots=True)
class Place:
    """Bits of a word: `width` of them from `offset` on."""

    word: int
    offset: int
    width: int

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.offset


@dataclass(frozen=True, slots=True)
class Layout:
    """places: by variable and node, the root's left out. words: how many a state has."""

    places: dict[tuple[int, int], Place]
    words: int

    def unpacked(self, state: Sequence[int]) -> dict[tuple[int, int], int]:
        """The number of each variable of each node."""
        return {at: (state[p.word] & p.mask) >> p.offset for at, p in self.places.items()}


def layout(system: System) -> Layout:
    """A node's variables side by side, nodes one after the other; no variable in two words."""
    places: dict[tuple[int, int], Place] = {}
    word = used = 0
    for row in range(1, system.nodes + 1):
        for number, variable in enumerate(system.variables):
            if used + variable.bits > WORD:
                word, used = word + 1, 0
            places[number, row] = Place(word, used, variable.bits)
            used += variable.bits
    return Layout(places, word + 1)
