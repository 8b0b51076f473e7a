"""What a snapshot shows of the model's state, by names that stay the same from call to call: pages by their tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sanitree.checker.lockstep.program import Pool
from sanitree.invariants.vocabulary import DEVICE, HOST
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.abstracted import UNMARKED, abstracted
from sanitree.models.protocol.pages.abstraction import NotAStateError
from sanitree.models.protocol.pages.strays import is_write, references
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.step import Ack

Path = tuple[tuple[int, ...], ...]
"""A page by the tokens of each page that leads to it, and its own."""

LONGEST = 1 << 30

_HOST_LOCKS = ("locks", "below_zero")
"""The model's loads take them, SGLang's do not; SGLang's prefetches do while they fetch, the model's are one action."""


@dataclass(frozen=True, eq=False)
class Shown:
    """pages: of each page of the tree the variables that are seen, None where one is open. taken: slots of each pool
    that are handed out, in pages. hits: of each page, where the cache counts them. flights: where transfers in flight
    end. shared: where several requests have locked one node, and how far each of them did is not seen."""

    pages: Mapping[Path, Sequence[int | None]]
    taken: Mapping[Pool, int]
    hits: Mapping[Path, int]
    flights: Mapping[Ack, Path]
    shared: frozenset[Path]

    @property
    def loads(self) -> tuple[Path, ...]:
        """Where loads in flight end."""
        return tuple(path for (is_write, _), path in self.flights.items() if not is_write)

    @property
    def writes(self) -> tuple[Path, ...]:
        """Where writes in flight end."""
        return tuple(path for (is_write, _), path in self.flights.items() if is_write)


def shown(s: Snapshot, places: Mapping[Key, int], window: int) -> Shown:
    """window: in pages. Raises NotAStateError for a tree that is none of pages."""
    if Key("key") not in s.nodes.lists:
        raise NotAStateError("the tokens of nodes were not observed", "pages are told apart by them")
    for c in (c for c in s.settings.components if not c.backbone):
        for key in (Key.of("lock", c, DEVICE), Key.of("present", c, DEVICE), Key.of("present", c, HOST)):
            column = s.nodes.columns.get(key)
            if column is None or (column.mask is not None and not all(column.mask[1:])):
                raise NotAStateError(f"{key} was not observed of every node", "the model would have to guess")
    a = abstracted(s, range(1, len(s.nodes)), longest=LONGEST, window=window)
    size = s.settings.page_size
    keys, above = s.nodes.lists[Key("key")].each, s.nodes.columns[Key("parent")].listed
    hits = s.nodes.columns.get(w.HITS)
    paths: dict[int, Path] = {0: ()}
    path_of: dict[int, Path] = {}
    counted: dict[Path, int] = {}
    for row, pages in a.pages_of.items():
        path = paths[above[row]]
        tokens = keys[row]
        for i, page in enumerate(pages):
            path = (*path, tuple(tokens[i * size : (i + 1) * size]))
            path_of[page] = path
            if hits is not None:
                counted[path] = int(hits.listed[row])
        paths[row] = path
    found: dict[Path, list[int | None]] = {path: [None] * len(places) for path in path_of.values()}
    own_host_locks = s.origin.engine not in UNMARKED
    for (key, page), value in a.known.items():
        if page in path_of and key in places and (own_host_locks or key.name not in _HOST_LOCKS):
            found[path_of[page]][places[key]] = value
    return Shown(found, _taken(s), counted, _flights(s, paths), _shared(s, paths))


def _flights(s: Snapshot, paths: Mapping[int, Path]) -> dict[Ack, Path]:
    if s.transfers is None:
        return {}
    acks = s.transfers.columns[Key("ack")].listed
    nodes = enumerate(references(s.transfers))
    return {(is_write(s, i), int(acks[i])): paths[row] for i, (row, there) in nodes if there}


def _shared(s: Snapshot, paths: Mapping[int, Path]) -> frozenset[Path]:
    if s.requests is None or not any(c.per_token and not c.backbone for c in s.settings.components):
        return frozenset()
    held = Counter(row for row, there in references(s.requests) if there)
    return frozenset(paths[row] for row, requests in held.items() if requests > 1)


def _taken(s: Snapshot) -> dict[Pool, int]:
    found = {}
    for c in s.settings.components:
        size = s.settings.page_size if c.per_token else 1
        for tier in (DEVICE, HOST):
            capacity, left = (s.tree.columns.get(Key.of(name, c, tier)) for name in ("capacity", "available"))
            if capacity is None or left is None or left.known is not None:
                continue
            found[c, tier] = int(capacity.listed[0]) // size - int(left.listed[0]) // size
    return found
