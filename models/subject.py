"""A live cache as its adapter shows it: what a checker needs, whatever engine it comes from."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from sanitree.invariants.vocabulary import Settings
from sanitree.models.reading import Reading
from sanitree.models.snapshot import Key, Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What is checked.

    tree: the object that the reading's templates call `T`. kind: equal for two subjects
    that one compiled check serves; settings are part of it. reading: how the live nodes
    are read in place; None where they are no Python objects. snapshot: takes everything
    that can be observed now, or of the nodes only the wanted columns and lists.
    """

    tree: Any
    settings: Settings
    kind: Hashable
    reading: Callable[[], Reading] | None
    snapshot: Callable[[frozenset[Key] | None], Snapshot]
