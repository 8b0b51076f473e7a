"""What a driver is: a live cache that does operations one by one and can be looked at in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sanitree.models.driving.operations import Operation
from sanitree.models.driving.setup import Setup
from sanitree.models.step import Ack, Call
from sanitree.models.subject import Subject


@dataclass(frozen=True, slots=True)
class Hidden:
    """What the next operations depend on and no snapshot shows.

    running: tokens of each request, whether it was finished or fetches told by what it holds. landed: transfers whose
    copy has run and whose acknowledgement nobody has taken. flying: those whose copy has not run, each by all that it
    will be acknowledged as, as a `Copy` counts them. used: when each node was last used, by id, on any clock;
    None where the cache does not tell. elsewhere: of each other rank, how many writes and how
    many loads have landed: a stream runs its copies in order.
    """

    running: tuple[tuple[int, ...], ...] = ()
    landed: frozenset[Ack] = frozenset()
    flying: tuple[frozenset[Ack], ...] = ()
    used: Mapping[int, float] | None = None
    elsewhere: tuple[tuple[int, int], ...] = ()


class Watched(Protocol):
    """A live cache whose calls can be heard."""

    def subject(self, content: bool = False) -> Subject:
        """The cache as a checker takes it; with `content` its snapshots tell what every copy holds."""

    def listen(self, before: Callable[[], None], after: Callable[[Call], None]) -> Callable[[], None]:
        """Calls `before` ahead of each public call on the cache, `after` when it has returned; returns what ends it.

        The state after a call is the one that `before` of the next one meets: between two
        calls the caller keeps its own books.
        """


class Driver(Watched, Protocol):
    """A cache of one setup that does operations.

    Copies are deferred: none runs before a `Copy`, or before the cache itself waits for it.
    The same operations on a fresh cache have the same results.
    """

    @property
    def setup(self) -> Setup: ...

    @property
    def on(self) -> str:
        """What is driven, as the command line names it: "reference", or an engine's version."""

    def fresh(self) -> None:
        """An empty cache, whatever state the last one was in; nobody hears it any more."""

    def can(self, op: Operation) -> bool:
        """Whether an operation would be legal and have something to act on now; changes nothing."""

    def do(self, op: Operation) -> str:
        """Does an operation that `can` be done, and says in a few words what came of it.

        A refusal for want of room is a result. What the cache itself raises gets out.
        """

    def hidden(self) -> Hidden:
        """What no snapshot of the cache shows."""

    def settle(self) -> None:
        """Ends every request and lock, runs and acknowledges every copy: what is left then is the tree's."""

    def oracles(self) -> Mapping[str, tuple[str, ...]]:
        """What each check that the cache, or whoever serves from it, has of its own complains about, by name; the
        first is `own_check`'s. Slower than that one."""

    def own_check(self) -> tuple[str, ...]:
        """What the cache's own sanity check complains about, a line each; none where it has no own check."""
