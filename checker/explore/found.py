"""What every way to search has when it is over: what is told of it, and how runs to its states are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sanitree.checker.explore.code import Machine
from sanitree.checker.explore.results import Told

State = tuple[int, ...]
"""A state's words."""


@dataclass(frozen=True, slots=True, order=True)
class At:
    """Where a state is: how many moves away, whose it is, and its number there."""

    level: int
    owner: int
    number: int


class Outcome(NamedTuple):
    """A successor: the place of its move, the state as it is, and its normal form."""

    move: int
    state: State
    normal: State


@dataclass(frozen=True, slots=True)
class Judged:
    """stuck: the first state, by depth, of the source from which nothing leads to the goal. sources: how many of it."""

    stuck: At | None
    sources: int


class Explored(Protocol):
    """A search. violated: the place of a rule, and where. met: goals by their place. stopped: the bound that ended it.

    fired: how often each move happened. The others as in `Searched`.
    """

    m: Machine
    violated: tuple[int, At] | None
    met: dict[int, At]
    stopped: str
    expanded: int
    peak: int

    @property
    def states(self) -> int: ...
    @property
    def owned(self) -> Sequence[int]:
        """How many states each owner has."""

    @property
    def transitions(self) -> int: ...
    @property
    def levels(self) -> tuple[int, ...]: ...
    @property
    def dead(self) -> int: ...
    @property
    def first_dead(self) -> At | None: ...
    @property
    def fired(self) -> Sequence[int]: ...

    def to_the_end(self, told: Told | None) -> None:
        """Searches until there is nothing new, a rule is violated, or a bound is reached."""

    def judge(self, condition: int, moves: frozenset[int] | None) -> Judged:
        """A progress property, after a complete search: from the condition of that number to the one after it."""

    def state(self, at: At) -> State:
        """A state that was found, in normal form."""

    def leading_to(self, level: int, targets: Sequence[State]) -> Mapping[State, State]:
        """For each of these states one of a level from which a move leads to it."""

    def outcomes(self, state: State) -> list[Outcome]:
        """Every successor of a state that need not be in normal form."""

    def close(self) -> None:
        """Lets go of what it holds."""
