"""What a proof is made of, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from sanitree.checker.explore.configured import Configuration, Model
from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import Move
from sanitree.checker.report import Verdict, Violation

INITIALLY = "the first state"
"""In the place of an action: what is true before anything happens."""


class Answer(Enum):
    """What a solver says of a pair."""

    PROVED = "proved"
    BROKEN = "not inductive"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Counterexample:
    """A state in which every claim holds, a move that it allows, and the state after, in which one does not.

    It was computed again without the solver. violations: as columns find them in the state after; empty for
    what only the model can say. Nobody says that the state before can be reached.
    """

    model: Model
    before: Values
    move: Move | None
    after: Values
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An action and a claim: whether the action keeps it. uses: the claims that the proof supposed of the state before.

    reason: why nothing is known.
    """

    action: str
    claim: str
    answer: Answer
    seconds: float
    uses: frozenset[str] = frozenset()
    counterexample: Counterexample | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """All pairs of a model. size: how many pages, in words. auxiliary: claims that are said of the model alone.

    idle: actions that no state allows in which every claim holds: nothing is shown of them. unsaid: what is no
    claim in a tree of any size, and why.
    """

    configuration: Configuration
    size: str
    claims: tuple[str, ...]
    auxiliary: frozenset[str]
    pairs: tuple[Pair, ...]
    idle: tuple[str, ...]
    seconds: float
    unsaid: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """HOLDS where every pair is proved and every action can happen."""
        if any(p.answer is Answer.BROKEN for p in self.pairs):
            return Verdict.VIOLATED
        if self.idle or not self.pairs or any(p.answer is Answer.UNKNOWN for p in self.pairs):
            return Verdict.INCONCLUSIVE
        return Verdict.HOLDS

    @property
    def unneeded(self) -> tuple[str, ...]:
        """Auxiliary claims that no proof of another claim supposed."""
        used = {u for p in self.pairs for u in p.uses if u != p.claim}
        return tuple(c for c in self.claims if c in self.auxiliary and c not in used)
