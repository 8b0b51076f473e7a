"""A live cache under lockstep: each call is followed, and what parts is accepted, or told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sanitree.checker.lockstep.accepted import Accepted, Met, explained
from sanitree.checker.lockstep.follow import Followed, Follower, Position
from sanitree.checker.lockstep.model import Model, model
from sanitree.checker.lockstep.program import Pool
from sanitree.checker.lockstep.shown import Path
from sanitree.invariants.vocabulary import DEVICE, HOST
from sanitree.models.driving.setup import Setup
from sanitree.models.protocol.pages.abstraction import NotAStateError
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.step import Call

PERSISTENCE = 40_000
"""States that are looked at before a call is told: one that makes much room comes to many actions."""


@dataclass
class Tally:
    """What was done in lockstep: calls by operation, actions of the model that they came to, accepted differences.

    unseen: calls that nobody could follow, because the state after them, or before, was not observed.
    """

    calls: Counter[str] = field(default_factory=Counter)
    took: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    unseen: int = 0


class Lockstep:
    """The page model beside one cache, from its first state on."""

    def __init__(self, first: Snapshot, setup: Setup, tally: Tally | None = None, made: Model | None = None) -> None:
        """made: the model, where it is not the one of this kind of cache."""
        self.tally = Tally() if tally is None else tally
        self._follower = Follower(model_of(first, setup) if made is None else made)
        self._lost = True
        self._begin(first)

    def see(self, call: Call, after: Snapshot) -> Followed | None:
        """A call that the model cannot do, for no reason that is known; None where all is well."""
        before = self._follower.at
        if self._lost:
            self._begin(after)
            self.tally.unseen += 1
            return None
        try:
            followed = self._follower.follow(call, after)
        except NotAStateError:
            self._lost = True
            self.tally.unseen += 1
            return None
        why = explanation(followed, before, self._follower, after)
        if why is None:  # perhaps there is a way, and a long one
            self._follower.at = before
            followed = self._follower.follow(call, after, PERSISTENCE)
            why = explanation(followed, before, self._follower, after)
        self.tally.calls[call.operation.value] += 1
        self.tally.took.update(name for name, _ in followed.took)
        if why is None:
            return followed
        self.tally.accepted.update(a.id for a in why)
        return None

    def _begin(self, at: Snapshot) -> None:
        """Takes over a state, if it is observed."""
        try:
            self._follower.restart(at)
            self._lost = False
        except NotAStateError:
            pass


def explanation(
    followed: Followed, before: Position, follower: Follower, after: Snapshot
) -> tuple[Accepted, ...] | None:
    """The accepted differences that explain all that a follower has just parted in, none where it has not; None where
    they do not. before: where it was before the call."""
    if not followed.differences:
        return ()
    return explained(Met(after.settings, followed, before, follower.at, follower.places), after.origin)


def told(parted: Followed) -> str:
    """What the model cannot follow, in words."""
    took = ", then ".join(f"{name} of {_named(path)}" for name, path in parted.took) or "nothing"
    lines = [f"the page model cannot do {parted.call}: it comes nearest with {took}"]
    for d in parted.differences:
        live = "the page is not in the tree" if d.live is None else f"{d.live} in the cache"
        lines.append(f"  {d.key} of {_named(d.path)}: {d.model} in the model, {live}")
    return "\n".join(lines)


def _named(path: Path) -> str:
    return "the page " + " ".join(",".join(map(str, page)) for page in path)


def model_of(first: Snapshot, setup: Setup, fault: str | None = None) -> Model:
    """The page model of a kind of cache. fault: of the model, by name.

    Raises NotAStateError where the cache's pools do not tell how large they are.
    """
    rooms: list[tuple[Pool, int]] = []
    size = first.settings.page_size
    for c in first.settings.components:
        for tier in (DEVICE, HOST):
            capacity = first.tree.columns.get(Key.of("capacity", c, tier))
            if capacity is not None:
                rooms.append(((c, tier), int(capacity.listed[0]) // (size if c.per_token else 1)))
    if not rooms:
        raise NotAStateError("its pools do not tell how large they are", "the page model needs it")
    return model(first.settings, max(1, -(-setup.window // size)), tuple(rooms), fault)
