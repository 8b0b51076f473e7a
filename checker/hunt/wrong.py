"""What can go wrong with a cache while it is driven, and a trace that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sanitree.models.driving.operations import Operation
from sanitree.models.driving.setup import Setup


class Kind(Enum):
    """What sort of thing went wrong."""

    RULE = "rule"
    """A state or a step violates rules."""
    EXCEPTION = "exception"
    """The cache raised: an assertion of its own, or anything else."""
    LEAK = "leak"
    """Slots are left when every request has ended, every copy has landed and everything is evicted."""
    COMPLAINT = "complaint"
    """The cache's own check complains of a state in which every rule holds."""
    DIFFERENCE = "difference"
    """Two implementations do the same operations with other results."""
    DIVERGENCE = "divergence"
    """The model cannot do what the cache did."""
    AGREEMENT = "agreement"
    """The ranks of one server do not agree."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something that went wrong at one point.

    names: ids of the rules violated, the catalogue's first one first; the type of an
    exception; pools that leak; columns that differ; rules of agreement. place: where in the cache's code an
    exception came from. call: the call on the cache that it was seen after. text: for people.
    """

    kind: Kind
    names: tuple[str, ...]
    place: str = ""
    call: str = ""
    text: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What two sightings of one thing have in common."""
        return (self.kind.value, self.names[0], self.place)

    def shows(self, other: Wrong) -> bool:
        """Whether this is a sighting of another one: the same kind and place, its first name among these."""
        return self.kind is other.kind and self.place == other.place and other.names[0] in self.names


@dataclass(frozen=True, slots=True)
class Sighting:
    """Operations on a fresh cache, the last of which showed something wrong (`Wrong.LEAK`: what came after it)."""

    setup: Setup
    operations: tuple[Operation, ...]
    wrong: Wrong
