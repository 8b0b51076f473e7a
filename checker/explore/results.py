"""What a search is asked, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sanitree.checker.explore.transitions import Cell, Move
from sanitree.checker.symbolic import E

Values = Mapping[Cell, int]
"""A state: the number of each cell."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a search ends without an answer: states, seconds, bytes of its arrays, moves from the first state; None is
    no bound."""

    states: int | None = None
    seconds: float | None = None
    bytes: int | None = None
    moves: int | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """A condition on a state that some reachable state ought to meet."""

    name: str
    condition: E


@dataclass(frozen=True, slots=True)
class Progress:
    """From every reachable state where `source` holds, some sequence of moves leads to where `goal` does.

    moves: the places in `Transitions.moves` that such a sequence may use; None is all of them.
    """

    name: str
    source: E
    goal: E
    moves: frozenset[int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A shortest run to a state: the moves, and every state from the first on, one more than there are moves."""

    moves: tuple[Move, ...]
    states: tuple[Values, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Violation:
    """A rule, by the name of its check, that the last state of a run violates."""

    rule: str
    trace: Trace


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """What became of a goal: a shortest run to a state that meets it; None where none was met."""

    name: str
    trace: Trace | None

    @property
    def depth(self) -> int | None:
        """How many moves away the first such state is."""
        return None if self.trace is None else len(self.trace.moves)


@dataclass(frozen=True, slots=True, eq=False)
class Progressed:
    """What became of a progress property.

    holds: None where the search did not see every state, so that nobody can tell. stuck: a
    shortest run to a state where `source` holds and from which no allowed move ever leads to
    `goal`. sources: how many states `source` holds in; 0 says that it was never exercised.
    """

    name: str
    holds: bool | None
    stuck: Trace | None = None
    sources: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """What a search came to.

    states: that were found. transitions: of those that were expanded. levels: how many states
    are first reached by 0, 1, … moves; depth: of the deepest. expanded: states whose every
    successor was looked at. complete: whether that was all of them, and none violates a rule.
    violation: the first, by depth. dead: states that allow no move; deadlock: a shortest run
    to one. fired: how often each action happened. unfired: actions that no reachable state
    allows, of a complete search. stopped: the bound that ended it, in words; "" where none did.
    """

    states: int
    transitions: int
    levels: tuple[int, ...]
    expanded: int
    complete: bool
    violation: Violation | None
    dead: int
    deadlock: Trace | None
    fired: Mapping[str, int]
    unfired: tuple[str, ...]
    goals: tuple[Reached, ...]
    progress: tuple[Progressed, ...]
    compile_seconds: float
    search_seconds: float
    peak_bytes: int
    stopped: str = ""

    @property
    def depth(self) -> int:
        """How many moves the deepest state is away."""
        return len(self.levels) - 1


@dataclass(frozen=True, slots=True)
class Sofar:
    """How far a search is: states found, transitions seen, moves to the level at work, its states not yet expanded."""

    states: int
    transitions: int
    depth: int
    queue: int
    seconds: float


Told = Callable[[Sofar], None]
"""Called between rounds, some ten times a second at most."""
