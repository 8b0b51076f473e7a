"""What a snapshot says of a state of the page model: `abstracted` works it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from sanitree.invariants.vocabulary import DEVICE, HOST
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.snapshot import Key

BOTH = (DEVICE, HOST)

OF_SLOTS = {"": "taken", " twice": "free_twice"}

_STRAYS = {"requests": w.HELD, "writes": w.IN_WRITE, "loads": w.IN_LOAD}

Cell = tuple[Key, int]
"""A variable of a page."""


class NotAStateError(ValueError):
    """A snapshot that the page model has no state for. hint: what can be done."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, eq=False)
class Abstraction:
    """A part of a snapshot as pages.

    known: the number of each variable that the snapshot shows; what is missing is open. pages_of: for each row that is
    shown its pages, from the top. spare: pages that are not in the tree. strays: of each pool slots that nobody has and
    slots that are free twice, of "requests", "writes" and "loads" those whose node is not in the tree: spare pages may
    account for them.
    left_out: what is shown otherwise than it is, in words.
    """

    model: Pages
    known: Mapping[Cell, int]
    pages_of: Mapping[int, tuple[int, ...]]
    spare: tuple[int, ...]
    strays: Mapping[str, int]
    left_out: tuple[str, ...]

    def somebody(self) -> list[list[Cell]]:
        """Groups of variables, of each of which one at least is not 0: what strays is somebody's.

        Requests and transfers are a spare page's; slots may be those of a copy that went.
        """
        found = [[(key, page) for page in self.spare] for what, key in _STRAYS.items() if self.strays[what]]
        for c in self.model.components:
            for tier in BOTH:
                for what, name in OF_SLOTS.items():
                    if self.strays[f"{c.name} {tier.value}{what}"]:
                        key = Key.of(name, c, tier)
                        pages = range(1, self.model.count + 1)
                        found.append([(key, page) for page in pages if (key, page) not in self.known])
        return found

    @cached_property
    def row_of(self) -> Mapping[int, int]:
        """The row of the node that each page is of."""
        return {page: row for row, pages in self.pages_of.items() for page in pages}
