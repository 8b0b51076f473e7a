"""A live cache that does operations with the model beside it: where the model is, is known after each."""

from __future__ import annotations

from collections.abc import Iterable

from sanitree.checker.hunt.play import Play
from sanitree.checker.lockstep.follow import Followed, Follower, Position
from sanitree.checker.lockstep.lockstep import explanation, model_of
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.operations import Operation
from sanitree.models.snapshot import Snapshot
from sanitree.models.step import Call


class Beside:
    """A fresh cache of a driver. fault: of the model, by name.

    followed: no call so far was one that neither the model can do nor an accepted difference explains; pure: no
    difference had to be accepted.
    """

    def __init__(self, driver: Driver, fault: str | None = None) -> None:
        self.play = Play(driver, watched=False)
        self.driver = driver
        self.first = self._state()
        self.follower = Follower(model_of(self.first, driver.setup, fault))
        self.follower.restart(self.first)
        self.followed, self.pure = True, True
        self._open: list[Call] = []
        self.end = driver.listen(self.settle, self._open.append)

    def ahead(self, call: Call) -> None:
        """Before a call is followed."""

    def heard(self, told: Followed, before: Position, after: Snapshot) -> None:
        """A call was followed: where the model was before it, and the cache's state after it."""

    def _state(self) -> Snapshot:
        return self.driver.subject(content=True).snapshot(None)

    def settle(self) -> None:
        """Follows the call that was heard last, if it was not followed yet."""
        if not self._open or not self.followed:
            return
        call, after, before = self._open.pop(), self._state(), self.follower.at
        self.ahead(call)
        told = self.follower.follow(call, after)
        if told.differences:
            self.pure = False
            self.followed = explanation(told, before, self.follower, after) is not None
        self.heard(told, before, after)

    def do(self, operations: Iterable[Operation]) -> bool:
        """Does those that can be done; whether all is well, and followed."""
        going = self.play.follow(operations)
        self.settle()
        return going and self.followed
