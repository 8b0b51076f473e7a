"""The model's state, brought from what one snapshot shows to what the next does by actions that the call may have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from heapq import heappop, heappush
from itertools import count

from sanitree.checker.lockstep.program import Changes, Pool, Programs, Row, State, Trie, programs
from sanitree.checker.lockstep.shown import Path, Shown, shown
from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component, Policy, Settings
from sanitree.models.protocol.pages import Pages, pages
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.calls import AT_ANY_TIME, stages_of
from sanitree.models.protocol.pages.duplicates import TRAIT, duplicates
from sanitree.models.protocol.system import System, Variable
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.step import Call

_TIERS = (DEVICE, HOST)

MANY = 1 << 20
"""Requests and transfers: as many as there are."""
_REACHED = {w.HELD_REACH: None, w.WRITE_REACH: Key("write_ends"), w.LOAD_REACH: Key("load_ends")}
"""How far a lock reached, and what says that one ends at a page: for the first, that somebody holds it."""

PATIENCE = 4000
"""States that are looked at for one call, where nobody says otherwise."""

Took = tuple[str, Path]
"""An action of the model, and the page that it was of."""


@dataclass(frozen=True, eq=False)
class Model:
    """The page model of one kind of cache, for tries of any size."""

    config: Pages
    system: System
    programs: Programs

    @property
    def variables(self) -> tuple[Variable, ...]:
        return self.system.variables

    @property
    def places(self) -> dict[Key, int]:
        return {v.key: i for i, v in enumerate(self.system.variables)}


@cache  # caches that are searched are made by the thousand
def model(settings: Settings, window: int, rooms: tuple[tuple[Pool, int], ...]) -> Model:
    """window: in pages. rooms: capacity of each pool, in pages."""
    config = Pages(
        policy=settings.policy, components=settings.components, parents=tuple(range(window)), requests=MANY,
        copies=MANY, window=window, rooms={(c.name, tier): n for (c, tier), n in rooms},
    )  # fmt: skip
    system = pages(config)
    if TRAIT in settings.traits and settings.policy is Policy.WRITE_BACK:
        system = replace(system, actions=(*system.actions, *duplicates(config)))
    return Model(config, system, programs(system))


@dataclass(frozen=True, slots=True)
class Difference:
    """A variable that the model has another number of than the cache. live: what is seen; None of a page that is not
    in the cache's tree."""

    path: Path
    key: Key
    model: int
    live: int | None


@dataclass(frozen=True, slots=True)
class Followed:
    """What the model did while the cache did a call. differences: what no sequence of its actions explains."""

    call: Call
    took: tuple[Took, ...]
    differences: tuple[Difference, ...] = ()


NOTHING = Shown({}, {}, {}, (), frozenset())
"""What is seen before anything is."""


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """Where a model is. rows: its state, of each page that has anything. seen: what was seen last. unsure: where a
    request holds a node that several have held at one time: the model does not know how far that one's lock reaches."""

    rows: Mapping[Path, Row]
    seen: Shown
    unsure: frozenset[Path]


class Follower:
    """A model that follows one cache, from a state that it takes over (`restart`). at: where it is."""

    def __init__(self, made: Model) -> None:
        self.model = made
        self.places = made.places
        self.at = Position({}, NOTHING, frozenset())

    def restart(self, at: Snapshot) -> None:
        """Takes over what is there now, whatever has been done. Raises NotAStateError where it is not seen."""
        seen = self._shown(at)
        self._arrive(self._taken_over(self.at.rows, seen), seen)

    def follow(self, call: Call, after: Snapshot, patience: int = PATIENCE) -> Followed:
        """What has been done since the last one. What the model could not follow, it takes over as it is.

        patience: states that are looked at. Raises NotAStateError for a snapshot that is none of pages; nothing was
        followed then.
        """
        seen = self._shown(after)
        part = _Part(self.model, self.at.rows, self.at.seen, seen, call.operation)
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
        part = _Part(self.model, self.at.rows, self.at.seen, self.at.seen, Operation.COPY, more)
        return part.first, part.paths

    def _arrive(self, rows: Mapping[Path, Row], seen: Shown) -> None:
        held = self.places[w.HELD]
        still = {path for path in self.at.unsure if path in seen.pages and seen.pages[path][held] != 0}
        self.at = Position(rows, seen, seen.shared | still)

    def _shown(self, s: Snapshot) -> Shown:
        return shown(s, self.places, self.model.config.window)

    def _taken_over(self, rows: Mapping[Path, Row], seen: Shown) -> dict[Path, Row]:
        """What is seen, and of what is not what there was; how far a lock reached that nobody saw, as far as now."""
        nothing = [0] * len(self.places)
        taken = {
            path: [old if new is None else new for new, old in zip(row, rows.get(path, nothing), strict=True)]
            for path, row in seen.pages.items()
        }
        part = _Part(self.model, taken, seen, seen, Operation.COPY)
        if self.model.config.windowed is not None:
            self._take_over_reaches(part, taken, seen)
        self._take_over_host_locks(part, taken, seen)
        return taken

    def _take_over_reaches(self, part: _Part, rows: Mapping[Path, Row], seen: Shown) -> None:
        defined = self.model.programs.defined
        for page, path in enumerate(part.paths[1:], 1):
            row = rows[path]
            for reached, ends in _REACHED.items():
                place = self.places[reached]
                here = row[self.places[w.HELD]] if ends is None else defined[ends](part.first, page)
                if seen.pages[path][place] is None:
                    row[place] = (row[place] or defined[w.REACH](part.first, page)) if here else 0

    def _take_over_host_locks(self, part: _Part, rows: Mapping[Path, Row], seen: Shown) -> None:
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


class _Part:
    """One call: the pages that there were and are, and what is wanted of each."""

    def __init__(
        self, m: Model, rows: Mapping[Path, Row], before: Shown, after: Shown, operation: Operation,
        more: Iterable[Path] = (),
    ) -> None:  # fmt: skip
        self.model, self.operation = m, operation
        self.places = m.places
        self.paths: list[Path] = [(), *sorted({*rows, *after.pages, *more}, key=lambda p: (len(p), p))]
        at = {path: i for i, path in enumerate(self.paths)}
        others = _others(m, rows, before, after)
        windowed = m.config.windowed if operation is Operation.INSERT else None
        if windowed is not None:  # the model's insert brings window data that the cache's does not: see _aim
            others[windowed, DEVICE] = -MANY
        trie = Trie((0, *(at[path[:-1]] for path in self.paths[1:])), others)
        nothing = [0] * len(self.places)
        self.wanted: list[Sequence[int | None]] = [nothing, *(after.pages.get(p, nothing) for p in self.paths[1:])]
        self.aim = self.wanted if windowed is None else list(map(partial(self._aim, windowed), self.wanted))
        root = [m.system.root[v.key] for v in m.variables]
        first = [list(rows.get(p, nothing)) for p in self.paths[1:]]
        self._hit(first, after)
        self.first = State(trie, [root, *first])
        self.sources = self._sources(before, after) if operation is Operation.LOAD_BACK else ()
        for page in self.sources:
            self.first.rows[page][self._source] += 1
            self.aim = [*self.aim]
            self.aim[page] = [None if i == self._source else x for i, x in enumerate(self.aim[page])]

    @property
    def _source(self) -> int:
        return self.places[Key.of("locks", FULL, HOST)]

    def _sources(self, before: Shown, after: Shown) -> tuple[int, ...]:
        """What a new load reads: it is locked while room is made for it, and by the model only when it is submitted."""
        ends = [load for load in after.loads if load not in before.loads]
        above = {load[:n] for load in ends for n in range(1, len(load) + 1)}
        return tuple(page for page, path in enumerate(self.paths) if path in above)

    def _aim(self, windowed: Component, wanted: Sequence[int | None]) -> Sequence[int | None]:
        """What to search for: window data that an insert of the model brings and that of the cache does not is no
        reason to look elsewhere. `differences` tells it."""
        copy = [self.places[Key.of(name, windowed, DEVICE)] for name in ("present", "taken", "right")]
        if wanted[copy[0]] != 0:
            return wanted
        return [None if i in copy else x for i, x in enumerate(wanted)]

    def _hit(self, rows: Sequence[Row], after: Shown) -> None:
        """Hits are the cache's: the model asks for as many as make a backup due, and is told how many there are."""
        place, most = self.places.get(w.HITS), self.model.config.hits_to_back_up
        if place is None:
            return
        hits = dict(after.hits)
        for path in sorted(hits, key=len, reverse=True):  # what is above a node is backed up before it
            hits[path[:-1]] = max(hits.get(path[:-1], 0), hits[path])
        for path, row in zip(self.paths[1:], rows, strict=True):
            if path in after.pages:
                asked = self.operation is Operation.BACK_UP  # backed up whatever it was hit by
                row[place] = most if asked else min(most, hits.get(path, most))

    def search(self, patience: int) -> tuple[State, tuple[Took, ...]]:
        """The state that is wanted and the way there; where there is none, the nearest that was met."""
        tie = count()
        start = sum(
            a != b and b is not None
            for row, aim in zip(self.first.rows[1:], self.aim[1:], strict=True)
            for a, b in zip(row, aim, strict=True)
        )
        best: tuple[int, State, tuple[Took, ...]] = (start, self.first, ())
        open_: list[tuple[float, int, int, int, State, tuple[Took, ...]]] = []
        heappush(open_, (start, next(tie), start, 0, self.first, ()))
        met: set[tuple[int, tuple[tuple[int, ...], ...]]] = set()
        for _ in range(patience):
            if not open_ or not best[0]:
                break
            _, _, far, stage, state, took = heappop(open_)
            for name, page, later in self._candidates(state, stage):
                changes = self.model.programs.actions[name].changes(state, page)
                left = far + self._gained(state, changes)
                new = state.after(changes)
                key = (later, tuple(map(tuple, new.rows)))
                if key in met:
                    continue
                met.add(key)
                way = (*took, (name, self.paths[page]))
                if left < best[0]:
                    best = (left, new, way)
                heappush(open_, (left + len(way) / 2, next(tie), left, later, new, way))
        for page in self.sources:
            best[1].rows[page][self._source] -= 1
        return best[1], best[2]

    def _candidates(self, state: State, stage: int) -> Iterator[tuple[str, int, int]]:
        """Actions that may come next, of pages near those that differ."""
        near = self._near(state)
        for name, doing in self.model.programs.actions.items():
            stages = (stage,) if name in AT_ANY_TIME else stages_of(self.operation, name)
            later = next((i for i in stages if i >= stage), None)
            if later is None:
                continue
            for page in near:
                if doing.allowed(state, page):
                    yield name, page, later

    def _near(self, state: State) -> list[int]:
        """Pages that differ, those right above, and all below."""
        trie = state.trie
        found: set[int] = set()
        for page, (row, wanted) in enumerate(zip(state.rows, self.aim, strict=True)):
            differs = any(a != b for a, b in zip(row, wanted, strict=True) if b is not None)
            if page and (differs or trie.up[page] in found):
                found.add(page)
        return sorted(found | {trie.up[page] for page in found if trie.up[page]})

    def _gained(self, state: State, changes: Changes) -> int:
        """How many variables more differ after some changes; fewer where it is below 0."""
        found = 0
        for (page, variable), value in changes.items():
            wanted = self.aim[page][variable]
            if wanted is not None:
                found += (value != wanted) - (state.rows[page][variable] != wanted)
        return found

    def differences(self, state: State) -> Iterator[Difference]:
        """What of a state is not as it is wanted."""
        for page, (row, wanted) in enumerate(zip(state.rows, self.wanted, strict=True)):
            for variable, (a, b) in enumerate(zip(row, wanted, strict=True)):
                if page and b is not None and a != b:
                    there = self.wanted[page] is not self.wanted[0]
                    yield Difference(self.paths[page], self.model.variables[variable].key, a, b if there else None)


def _others(m: Model, rows: Mapping[Path, Row], before: Shown, after: Shown) -> dict[Pool, int]:
    """Slots that no page has. Of those that change hands during a call, nobody says when: as few as before or after."""
    found = {}
    for c in m.config.components:
        for tier in _TIERS:
            place = m.places[Key.of("taken", c, tier)]
            own = sum(row[place] for row in rows.values())
            now = sum(row[place] or 0 for row in after.pages.values())
            least = (x.taken[c, tier] - n for x, n in ((before, own), (after, now)) if (c, tier) in x.taken)
            found[c, tier] = max(0, min(least, default=0))
    return found
