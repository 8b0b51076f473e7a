"""The model's state, brought from what one snapshot shows to what the next does by actions that the call may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sanitree.checker.lockstep.model import Model
from sanitree.checker.lockstep.program import Row, State
from sanitree.checker.lockstep.search import Difference, OneCall, Took
from sanitree.checker.lockstep.shown import Path, Shown, shown
from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST
from sanitree.models.protocol.pages import words as w
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.step import Ack, Call

_REACHED = {w.HELD_REACH: None, w.WRITE_REACH: Key("write_ends"), w.LOAD_REACH: Key("load_ends")}
"""How far a lock reached, and what says that one ends at a page: for the first, that somebody holds it."""

PATIENCE = 4000
"""States that are looked at for one call, where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What the model did while the cache did a call. differences: what no sequence of its actions explains."""

    call: Call
    took: tuple[Took, ...]
    differences: tuple[Difference, ...] = ()


NOTHING = Shown({}, {}, {}, {}, frozenset())
"""What is seen before anything is."""


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """Where a model is. rows: its state, of each page that has anything. seen: what was seen last.

    Where somebody holds a node and the model does not know how far his lock reaches, shared: as others have held the
    node at the same time; old: as he held it before anything was followed. crossing: where loads in flight end that
    have begun with a page of another's, while that one was in flight: what is of which, the model does not know.
    gaps: where writes in flight end that were submitted when the device had no window data of a page near there.
    """

    rows: Mapping[Path, Row]
    seen: Shown
    shared: frozenset[Path] = frozenset()
    old: frozenset[Path] = frozenset()
    crossing: frozenset[Path] = frozenset()
    gaps: frozenset[Path] = frozenset()


class Follower:
    """A model that follows one cache, from a state that it takes over (`restart`). at: where it is."""

    def __init__(self, made: Model) -> None:
        self.model = made
        self.places = made.places
        self.at = Position({}, NOTHING)
        copies = [(c, tier) for c in made.config.components for tier in (DEVICE, HOST)]
        self._copies = [tuple(self.places[Key.of(name, *copy)] for name in ("right", "present")) for copy in copies]

    def restart(self, at: Snapshot) -> None:
        """Takes over what is there now, whatever has been done. Raises NotAStateError where it is not seen."""
        seen = self._shown(at)
        self._arrive(self._taken_over({}, seen), seen)
        if self.model.config.windowed is not None:
            self.at = replace(self.at, old=frozenset(p for p in seen.pages if self._is_held(seen, p)))

    def follow(self, call: Call, after: Snapshot, patience: int = PATIENCE) -> Followed:
        """What has been done since the last one. What the model could not follow, it takes over as it is.

        patience: states that are looked at. Raises NotAStateError for a snapshot that is none of pages; nothing was
        followed then.
        """
        seen = self._shown(after)
        part = OneCall(self.model, self.at.rows, self.at.seen, seen, call.operation)
        state, took = part.search(patience)
        differences = tuple(part.differences(state))
        rows: Mapping[Path, Row] = {}
        if call.operation is Operation.RESET:
            took, differences = (), ()
        else:
            rows = {path: row for path, row in zip(part.paths, state.rows, strict=True) if path and any(row)}
        self._arrive(self._taken_over(rows, seen) if differences or not rows else rows, seen)
        return Followed(call, took, differences)

    def state(self, more: Iterable[Path] = ()) -> tuple[State, list[Path]]:
        """The model's state now, and the path of each of its pages. more: paths of pages that are not in the tree, to
        be there too, each after what is above it."""
        part = OneCall(self.model, self.at.rows, self.at.seen, self.at.seen, Operation.COPY, more)
        return part.first, part.paths

    def _arrive(self, rows: Mapping[Path, Row], seen: Shown) -> None:
        shared, old = ({p for p in before if self._is_held(seen, p)} for before in (self.at.shared, self.at.old))
        begins = Counter(load[:1] for load in seen.loads)
        crossing = {load for load in seen.loads if begins[load[:1]] > 1 or load in self.at.crossing}
        gaps = {path for ack, path in seen.flights.items() if ack[0] and self._over_a_gap(ack, path, seen)}
        self.at = Position(rows, seen, seen.shared | shared, frozenset(old), frozenset(crossing), frozenset(gaps))

    def _over_a_gap(self, ack: Ack, path: Path, seen: Shown) -> bool:
        """A write that has just been submitted, or was over one before."""
        if ack in self.at.seen.flights or self.model.config.windowed is None:
            return path in self.at.gaps
        near = [seen.pages[path[:n]] for n in range(len(path), max(0, len(path) - self.model.config.window), -1)]
        copies = [self.places[Key.of("present", c, DEVICE)] for c in (FULL, self.model.config.windowed)]
        return any([row[place] for place in copies] == [1, 0] for row in near)

    def _is_held(self, seen: Shown, path: Path) -> bool:
        """A request, a write or a load has locked the page's node."""
        row = seen.pages.get(path)
        return row is not None and any(row[self.places[key]] != 0 for key in (w.HELD, w.IN_WRITE, w.IN_LOAD))

    def _shown(self, s: Snapshot) -> Shown:
        return shown(s, self.places, self.model.config.window)

    def _taken_over(self, rows: Mapping[Path, Row], seen: Shown) -> dict[Path, Row]:
        """What is seen, and of what is not what there was; how far a lock reached that nobody saw, as far as now."""
        taken = {path: self._row(row, rows.get(path)) for path, row in seen.pages.items()}
        part = OneCall(self.model, taken, seen, seen, Operation.COPY)
        if self.model.config.windowed is not None:
            self._take_over_reaches(part, taken, seen)
        self._take_over_host_locks(part, taken, seen)
        return taken

    def _row(self, seen: Sequence[int | None], had: Row | None) -> Row:
        """What is not seen of a page is as it was; of one that is new a copy holds the bytes that it should."""
        if had is None:
            had = [0] * len(self.places)
            for right, present in self._copies:
                had[right] = seen[present] or 0
        return [old if new is None else new for new, old in zip(seen, had, strict=True)]

    def _take_over_reaches(self, part: OneCall, rows: Mapping[Path, Row], seen: Shown) -> None:
        defined = self.model.programs.defined
        for page, path in enumerate(part.paths[1:], 1):
            row = rows[path]
            for reached, ends in _REACHED.items():
                place = self.places[reached]
                here = row[self.places[w.HELD]] if ends is None else defined[ends](part.first, page)
                if seen.pages[path][place] is None:
                    row[place] = (row[place] or defined[w.REACH](part.first, page)) if here else 0

    def _take_over_host_locks(self, part: OneCall, rows: Mapping[Path, Row], seen: Shown) -> None:
        """Where nobody sees them: those of the loads in flight, which are all that the model has."""
        of = {c: self.places[Key.of("locks", c, HOST)] for c in self.model.config.components}
        open_ = [(c, at) for c, at in of.items() if all(page[at] is None for page in seen.pages.values())]
        below = [self.places[Key.of("below_zero", c, HOST)] for c, _ in open_]
        for row in rows.values():
            for at in (*(at for _, at in open_), *below):
                row[at] = 0
        ends = self.model.programs.defined[_REACHED[w.LOAD_REACH]]  # type: ignore[index]
        for page, path in enumerate(part.paths[1:], 1):
            if not ends(part.first, page):
                continue
            for c, at in open_:
                far = len(path) if c.backbone else rows[path][self.places[w.LOAD_REACH]] if c.per_token else 1
                for length in range(len(path), max(0, len(path) - far), -1):
                    rows[path[:length]][at] += 1
