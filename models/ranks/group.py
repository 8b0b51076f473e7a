"""What the ranks of a group ask of each other: collective calls, as a cache makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

MOST_RANKS = 8
"""Of one server, as far as anybody is asked to try."""

Reduction = Literal["min", "max", "sum"]
Asked = Literal["min", "max", "sum", "barrier"]


@dataclass(frozen=True, slots=True)
class Collective:
    """One collective call: the reduction, or a barrier, and how many numbers each rank brings."""

    asked: Asked
    count: int = 0

    def __str__(self) -> str:
        return self.asked if self.asked == "barrier" else f"{self.asked} of {self.count}"


class Group(Protocol):
    """The ranks that one rank is among."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def reduce(self, how: Reduction, values: Sequence[int]) -> list[int]:
        """Position by position the least, the greatest or the sum over all ranks; returns when all have come."""

    def barrier(self) -> None:
        """Returns when all have come."""


class Alone:
    """A group of one."""

    rank = 0
    size = 1

    def reduce(self, how: Reduction, values: Sequence[int]) -> list[int]:
        """What was given."""
        return list(values)

    def barrier(self) -> None:
        """Nobody else is to come."""


ALONE: Group = Alone()


def reduced(how: Reduction, brought: Sequence[Sequence[int]]) -> list[int]:
    """What a reduction of what each rank brought comes to."""
    columns = zip(*brought, strict=True)
    match how:
        case "min":
            return [min(c) for c in columns]
        case "max":
            return [max(c) for c in columns]
    return [sum(c) for c in columns]
