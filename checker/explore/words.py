"""Where each variable of each node lies in a state's words.

A word is a non-negative int64: 63 bits, because shifts to the right keep the sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def packed(self, values: Mapping[tuple[int, int], int]) -> tuple[int, ...]:
        """A state from the number of each variable of each node."""
        words = [0] * self.words
        for at, p in self.places.items():
            words[p.word] |= values[at] << p.offset
        return tuple(words)


def layout(system: System) -> Layout:
    """A node's variables side by side, and each subtree's nodes one after the other; no variable in two words."""
    places: dict[tuple[int, int], Place] = {}
    word = used = 0
    for row in _in_preorder(system.parents):
        for number, variable in enumerate(system.variables):
            if used + variable.bits > WORD:
                word, used = word + 1, 0
            places[number, row] = Place(word, used, variable.bits)
            used += variable.bits
    return Layout(places, word + 1)


def _in_preorder(parents: Sequence[int]) -> list[int]:
    found, stack = [], [0]
    while stack:
        row = stack.pop()
        found.append(row)
        stack += [child for child in range(len(parents), 0, -1) if parents[child - 1] == row]
    return found[1:]


@dataclass(frozen=True, slots=True)
class Swap:
    """Two sibling subtrees of one shape, which may change places: pairs of ranges of one width, most significant first.

    A subtree is larger by the last of its variables that differs. That says nothing of words,
    so subtrees that lie in them differently are compared alike.
    """

    parts: tuple[tuple[Place, Place], ...]


def swaps(system: System, places: Layout) -> list[Swap]:
    """In this order, exchanges that bring every state and its mirror images to one normal form.

    Innermost first, because what is compared must be in normal form itself.
    """
    children: dict[int, list[int]] = {row: [] for row in range(system.nodes + 1)}
    for row, parent in enumerate(system.parents, 1):
        children[parent].append(row)
    spans: dict[int, tuple[Place, ...]] = {}
    found: list[Swap] = []
    for row in sorted(children, reverse=True):  # a child's number is larger than its parent's
        own = tuple(places.places[v, row] for v in range(len(system.variables))) if row else ()
        spans[row] = (*own, *(p for child in children[row] for p in spans[child]))
        alike: dict[object, list[tuple[Place, ...]]] = {}
        for child in children[row]:
            alike.setdefault(_shape(child, children), []).append(spans[child])
        for group in alike.values():
            # Each pass brings the largest of those that are left to the end.
            for end in range(len(group) - 1, 0, -1):
                found += [Swap(_ranges(group[i], group[i + 1])) for i in range(end)]
    return found


def _ranges(first: Sequence[Place], second: Sequence[Place]) -> tuple[tuple[Place, Place], ...]:
    """Variables one by one, with those that are neighbours in both joined; the last comes first."""
    found: list[tuple[Place, Place]] = []
    for a, b in zip(first, second, strict=True):
        x, y = found[-1] if found else (a, b)
        if _follows(x, a) and _follows(y, b):
            found.pop()
            a, b = Place(x.word, x.offset, x.width + a.width), Place(y.word, y.offset, y.width + b.width)
        found.append((a, b))
    return tuple(reversed(found))


def _follows(a: Place, b: Place) -> bool:
    return a.word == b.word and a.offset + a.width == b.offset


def _shape(row: int, children: dict[int, list[int]]) -> tuple[object, ...]:
    return tuple(_shape(child, children) for child in children[row])
