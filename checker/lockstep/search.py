"""One call: a sequence of actions that it may have, from what the model is to what is seen after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count

from sanitree.checker.lockstep.model import MANY, Model
from sanitree.checker.lockstep.program import Changes, Pool, Row, State, Trie
from sanitree.checker.lockstep.shown import Path, Shown
from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.calls import AT_ANY_TIME, stages_of
from sanitree.models.snapshot import Key

_TIERS = (DEVICE, HOST)
_MAKING_ROOM = (Operation.EVICT, Operation.ALLOCATE, Operation.EVICT_HOST, Operation.LOAD_BACK)
"""Calls in which a host copy is made of a device copy alone."""

Took = tuple[str, Path]
"""An action of the model, and the page that it was of."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A variable that the model has another number of than the cache. live: what is seen; None of a page that is not
    in the cache's tree."""

    path: Path
    key: Key
    model: int
    live: int | None


class OneCall:
    """One call: the pages that there were and are, and what is wanted of each."""

    def __init__(
        self, m: Model, rows: Mapping[Path, Row], before: Shown, after: Shown, operation: Operation,
        more: Iterable[Path] = (),
    ) -> None:  # fmt: skip
        self.model, self.operation = m, operation
        self.places = m.places
        self._copies = [
            (m.places[Key.of("present", c, HOST)], m.places[Key.of("present", c, DEVICE)]) for c in m.config.components
        ]
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
        actions = self.model.programs.actions
        start = sum(
            a != b and b is not None
            for row, aim in zip(self.first.rows[1:], self.aim[1:], strict=True)
            for a, b in zip(row, aim, strict=True)
        )
        best: tuple[int, State, tuple[Took, ...]] = (start, self.first, ())
        open_: list[tuple[float, int, int, int, int, State, tuple[Took, ...]]] = []
        heappush(open_, (start, next(tie), start, 0, 0, self.first, ()))
        met: set[tuple[int, int]] = set()
        for _ in range(patience):
            if not open_ or not best[0]:
                break
            _, _, far, stage, name_of, state, took = heappop(open_)
            for name, page, later in self._candidates(state, stage):
                changes = actions[name].changes(state, page)
                name_of_new = name_of ^ _name_of(state, changes)
                if (later, name_of_new) in met:
                    continue
                met.add((later, name_of_new))
                new, left = state.after(changes), far + self._gained(state, changes)
                if self._hopeless(new, changes):
                    continue
                way = (*took, (name, self.paths[page]))
                if left < best[0]:
                    best = (left, new, way)
                heappush(open_, (left + len(way) / 2, next(tie), left, later, name_of_new, new, way))
        for page in self.sources:
            best[1].rows[page][self._source] -= 1
        return best[1], best[2]

    def _hopeless(self, state: State, changes: Changes) -> bool:
        """A host copy that is wanted has nothing left to be made of."""
        return self.operation in _MAKING_ROOM and any(
            self.aim[page][host] == 1 and not state.rows[page][host] and not state.rows[page][device]
            for page in {page for page, _ in changes}
            for host, device in self._copies
        )

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


def _name_of(state: State, changes: Changes) -> int:
    """What changes a state's name, which is the same whatever way leads there."""
    found = 0
    for (page, variable), value in changes.items():
        old = state.rows[page][variable]
        if old != value:
            found ^= hash((page, variable, old)) ^ hash((page, variable, value))
    return found


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
