"""Several ranks in lock step: the same operations, each on a cache of its own, and whether they agree.

Collective calls are carried by `models.ranks.together`. Each rank's copies land at their own
time (`CopyAt`), so ranks would go apart if they did not ask each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, cast

from sanitree.checker.agreement import Did, Heard, disagreements
from sanitree.checker.hunt.both import DifferenceError
from sanitree.checker.hunt.wrong import Kind
from sanitree.models.driving.driver import Driver, Hidden
from sanitree.models.driving.open import around_ranks, open_driver
from sanitree.models.driving.operations import Copy, CopyAt, Operation, Poll
from sanitree.models.driving.setup import Setup
from sanitree.models.ranks.together import Together, Turn
from sanitree.models.snapshot import Snapshot
from sanitree.models.step import Ack, Call
from sanitree.models.subject import Subject

T = TypeVar("T")


class DisagreementError(DifferenceError):
    """Ranks do not agree. names: rules of `checker.agreement`."""

    kind = Kind.AGREEMENT


class _Ears:
    """Hears the calls on one rank's cache, and numbers its transfers as they are submitted."""

    def __init__(self, driver: Driver) -> None:
        self.heard: list[Heard] = []
        self.before: Callable[[], None] | None = None
        self.after: Callable[[Call], None] | None = None
        self._numbers: dict[Ack, int] = {}
        driver.listen(self._before, self._after)

    def _before(self) -> None:
        if self.before is not None:
            self.before()

    def _after(self, call: Call) -> None:
        for ack in call.submitted or ():
            self._numbers[ack] = len(self._numbers) + 1
        acked = tuple((ack[0], self._numbers.get(ack, 0)) for ack in call.acked or ())
        self.heard.append(Heard(call, acked))
        if self.after is not None:
            self.after(call)

    def taken(self) -> tuple[Heard, ...]:
        """What was heard since."""
        heard, self.heard = tuple(self.heard), []
        return heard


class Ranks:
    """A driver that drives as many as its setup has ranks; watched is the first.

    Raises DisagreementError where they do not agree after an operation, and what one raises.
    """

    def __init__(self, on: str, setup: Setup) -> None:
        self.on, self.setup = on, setup
        self._together = Together(setup.ranks)
        self._together.around = around_ranks(on)
        turns = self._together.run([partial(open_driver, on, setup, member) for member in self._together.members])
        self.ranks = tuple(_came_of(turn) for turn in turns)
        self._listen()

    def fresh(self) -> None:
        """As many empty caches."""
        self._together.around = around_ranks(self.on)  # the ranks may have parted in what they have counted
        self._all(lambda _, driver: driver.fresh())
        self._listen()

    def subject(self, content: bool = False) -> Subject:
        """The first."""
        return self.ranks[0].subject(content)

    def listen(self, before: Callable[[], None], after: Callable[[Call], None]) -> Callable[[], None]:
        """To the first."""
        ears = self._ears[0]
        ears.before, ears.after = before, after

        def end() -> None:
            ears.before = ears.after = None

        return end

    def can(self, op: Operation) -> bool:
        """Whether all can; a poll is done by all where one has something in flight."""
        match op:
            case CopyAt():
                return op.rank < len(self.ranks) and self.ranks[op.rank].can(Copy(op.transfer))
            case Copy() | Poll():
                return any(d.can(op) for d in self.ranks)
        return all(d.can(op) for d in self.ranks)

    def do(self, op: Operation) -> str:
        """Does it on each rank, and compares what they did and what they have become."""
        match op:
            case CopyAt():
                return self._land(Copy(op.transfer), op.rank)
            case Copy():
                return next(x for x in [self._land(op, r) for r in range(len(self.ranks))] if x)
        turns = self._run(lambda _, driver: driver.do(op))
        return self._agreed(turns)

    def hidden(self) -> Hidden:
        """What the first one's does not show, and which copies have run on the others."""
        first, *others = (d.hidden() for d in self.ranks)
        return replace(first, elsewhere=tuple(map(_landed, others)))

    def settle(self) -> None:
        """Settles all, and compares."""
        self._agreed(self._run(_settled))

    def own_check(self) -> tuple[str, ...]:
        """What any complains about."""
        return tuple(dict.fromkeys(line for d in self.ranks for line in d.own_check()))

    def oracles(self) -> Mapping[str, tuple[str, ...]]:
        """What those of any complain about."""
        found: dict[str, tuple[str, ...]] = {}
        for told in (d.oracles() for d in self.ranks):
            for name, lines in told.items():
                found[name] = tuple(dict.fromkeys((*found.get(name, ()), *lines)))
        return found

    def states(self) -> tuple[Snapshot, ...]:
        """Each rank's cache now."""
        return tuple(d.subject().snapshot(None) for d in self.ranks)

    def _listen(self) -> None:
        self._ears = tuple(_Ears(d) for d in self.ranks)

    def _land(self, op: Copy, rank: int) -> str:
        """Runs one rank's copy, which changes no tree and decides nothing."""
        driver = self.ranks[rank]
        said = driver.do(op) if driver.can(op) else ""
        for ears in self._ears:
            ears.taken()
        return said

    def _run(self, act: Callable[[int, Driver], T]) -> list[Turn[T]]:
        return self._together.run([partial(act, rank, driver) for rank, driver in enumerate(self.ranks)])

    def _all(self, act: Callable[[int, Driver], None]) -> None:
        for turn in self._run(act):
            _came_of(turn)

    def _agreed(self, turns: Sequence[Turn[str]]) -> str:
        """What all say; raises what one has raised, and where they do not agree."""
        for turn in turns:
            if turn.error is not None:
                raise turn.error
        whole = not any(turn.stranded for turn in turns)
        did = [self._did(rank, turn, whole) for rank, turn in enumerate(turns)]
        if found := disagreements(did):
            raise DisagreementError(tuple(found), "\n".join(found.values()))
        return did[0].said

    def _did(self, rank: int, turn: Turn[str], whole: bool) -> Did:
        calls = self._ears[rank].taken()
        if not whole:
            return Did(turn.result or "", tuple(turn.calls), turn.stranded)
        driver = self.ranks[rank]
        state = driver.subject().snapshot(None)
        return Did(turn.result or "", tuple(turn.calls), False, calls, state, driver.hidden().used)


def _came_of(turn: Turn[T]) -> T:
    if turn.error is not None:
        raise turn.error
    return cast(T, turn.result)


def _settled(_: int, driver: Driver) -> str:
    driver.settle()
    return ""


def _landed(hidden: Hidden) -> tuple[int, int]:
    writes = sum(is_write for is_write, _ in hidden.landed)
    return writes, len(hidden.landed) - writes


def states_of(driver: Driver) -> tuple[Snapshot, ...]:
    """Each rank's cache now, where a driver has several."""
    return driver.states() if isinstance(driver, Ranks) else ()
