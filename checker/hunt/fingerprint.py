"""A fingerprint of a state: equal for two states that differ in names only.

Nodes, slots, acknowledgements, requests and tokens have names that no operation's outcome
depends on. What is left: the tree's shape, lengths of keys, which copies are where, locks,
marks, orders of use, leaf sets, counters, who holds how much and what of it is the same,
and transfers in their order. Tokens go altogether: which children a node has is its shape,
and a running request's prompt, which no tree holds yet, is said by where it leaves the
tree, and by how far it goes along with every other.

Siblings are ordered by the digest of their subtrees, as in the canonical form of a rooted
tree (Aho, Hopcroft, Ullman 1974, 3.2). Two siblings with equal digests are taken in any
order: where something beyond their subtrees tells them apart, one state may have two
fingerprints, never two states one.
"""

from __future__ import annotations

import marshal
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import combinations, pairwise
from typing import Any

from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.snapshot import Column, Key, Lists, Snapshot, Table
from sanitree.models.step import Ack

HITS = 3
"""Hits from here on are alike: no policy counts further than two."""

_UNKNOWN = 1 << 62
_SHAPE = frozenset({"is_root", "parent", "references", "first_page", "edge", "parent_link"})
_RENAMED = frozenset({"bytes", "own_bytes", "write_ack", "load_ack", "hits"})


Prompts = Sequence[Sequence[int]]


def fingerprint(
    s: Snapshot,
    running: Prompts = (),
    recent: Prompts = (),
    landed: Collection[Ack] = (),
    used: Mapping[int, float] | None = None,
    elsewhere: Sequence[tuple[int, int]] = (),
) -> int:
    """64 bits. What no snapshot shows can be told besides, in tokens as the snapshot's keys have them.

    running: prompts of running requests, in any order. landed: transfers whose copy has run,
    elsewhere: how many writes and loads have on each other rank. used: when each node was last used, by id; where
    nobody knows, recent: prompts that were looked up or inserted, newest first, which say nearly the same.
    """
    return _number(canonical(s, running, recent, landed, used, elsewhere))


def canonical(
    s: Snapshot,
    running: Prompts = (),
    recent: Prompts = (),
    landed: Collection[Ack] = (),
    used: Mapping[int, float] | None = None,
    elsewhere: Sequence[tuple[int, int]] = (),
) -> tuple[Any, ...]:
    """What a fingerprint is made of: plain data without a name in it."""
    rows = len(s.nodes)
    parent = list(s.nodes.columns[Key("parent")].listed)
    children: list[list[int]] = [[] for _ in range(rows)]
    for row in range(1, rows):
        children[parent[row]].append(row)
    paths = _Paths(s, children) if running or recent else None
    left = [] if paths is None else _left(paths, running)
    ages = _ages(rows, paths, recent) if used is None else _ranks(s, used)
    labels = list(zip(_labels(s, parent, children), ages, strict=True))
    guests = _guests(s, rows, left)
    digests = [b""] * rows
    for row in range(rows - 1, -1, -1):  # a parent's row comes before its children's
        below = sorted(digests[c] for c in children[row])
        digests[row] = _digest((labels[row], guests.get(row, ()), below))
    place = _places(children, digests)
    return (
        digests[0],
        _plain(s.tree, Sort.TREE),
        _references(s, place),
        _requests(s, place),
        _transfers(s, place),
        _landed(s, landed),
        list(elsewhere),
        _slots(s, place),
        _prompts(left, place),
    )


def _digest(data: Any) -> bytes:
    # Version 2 of marshal writes equal data alike: later ones refer back to what is the same object.
    return blake2b(marshal.dumps(data, 2), digest_size=12).digest()


def _number(data: Any) -> int:
    return int.from_bytes(_digest(data)[:8], "big")


def _values(column: Column) -> Sequence[int]:
    mask = column.mask
    if mask is None:
        return column.listed
    return [v if known else _UNKNOWN for v, known in zip(column.listed, mask, strict=True)]


@lru_cache(maxsize=64)
def _plain_keys(keys: frozenset[Key], sort: Sort) -> tuple[Key, ...]:
    """The columns that hold no names, in one order."""
    skipped = _SHAPE | _RENAMED | {"ack"}
    return tuple(sorted((k for k in keys if k.name not in skipped and not _is_node(sort, k)), key=str))


def _is_node(sort: Sort, key: Key) -> bool:
    known = FIELDS.get((sort, key.name))
    return known is not None and known.sort is Sort.NODE


def _plain(table: Table, sort: Sort) -> list[tuple[int, ...]]:
    """For each row its values of columns without names."""
    columns = [_values(table.columns[k]) for k in _plain_keys(frozenset(table.columns), sort)]
    return list(zip(*columns, strict=True)) if columns else [()] * len(table)


def _labels(s: Snapshot, parent: list[int], children: list[list[int]]) -> list[tuple[Any, ...]]:
    """What each node is, by itself and where it hangs."""
    columns = s.nodes.columns
    more: list[Sequence[int]] = []
    if (hits := columns.get(Key("hits"))) is not None:
        more.append([h if h == _UNKNOWN else min(h, HITS) for h in _values(hits)])
    for name, write in (("write_ack", True), ("load_ack", False)):
        if (acks := columns.get(Key(name))) is not None:
            order = _ack_order(s, write)
            more.append([order.get(a, a if a in (-1, _UNKNOWN) else -2) for a in _values(acks)])
    more += _bytes(s)
    if (references := columns.get(Key("references"))) is not None:
        more.append(_values(references))
    if Key("first_page") in columns and Key("edge") in columns:
        first, edge = _values(columns[Key("first_page")]), _values(columns[Key("edge")])
        more.append([f == e for f, e in zip(first, edge, strict=True)])
        more.append([len({first[c] for c in below}) for below in children])
    if Key("parent_link") in columns:
        more.append([link == up for link, up in zip(_values(columns[Key("parent_link")]), parent, strict=True)])
    extra = zip(*more, strict=True) if more else iter([()] * len(parent))
    return [(a, b) for a, b in zip(_plain(s.nodes, Sort.NODE), extra, strict=True)]


def _ack_order(s: Snapshot, write: bool) -> dict[int, int]:
    """Rows of the transfers of a kind by their acknowledgement."""
    table = s.transfers
    if table is None or not len(table) or Key("ack") not in table.columns or Key("is_write") not in table.columns:
        return {}
    acks, kinds = _values(table.columns[Key("ack")]), _values(table.columns[Key("is_write")])
    return {a: row for row, (a, w) in enumerate(zip(acks, kinds, strict=True)) if bool(w) == write}


def _bytes(s: Snapshot) -> list[list[int]]:
    """Of what a node's copies of a component hold and should hold, which are the same."""
    of: dict[str | None, list[Sequence[int]]] = {}
    for key in sorted((k for k in s.nodes.columns if k.name in ("bytes", "own_bytes")), key=str):
        of.setdefault(key.component, []).append(_values(s.nodes.columns[key]))
    found = []
    for columns in of.values():
        alike = [[-1 if v == _UNKNOWN else row.index(v) for v in row] for row in zip(*columns, strict=True)]
        found += [list(column) for column in zip(*alike, strict=True)]
    return found


def _guests(s: Snapshot, rows: int, left: list[tuple[int, int, int]]) -> dict[int, tuple[Any, ...]]:
    """Who is at a node: requests, transfers, and where running prompts leave the tree."""
    found: dict[int, list[Any]] = {}
    for kind, table, sort in ((0, s.requests, Sort.REQUEST), (1, s.transfers, Sort.TRANSFER)):
        if table is None or not len(table) or Key("node") not in table.columns:
            continue
        plain = _plain(table, sort)
        for row, node in enumerate(_values(table.columns[Key("node")])):
            if 0 <= node < rows:
                found.setdefault(node, []).append((kind, row if kind else -1, plain[row]))
    for node, offset, rest in left:
        found.setdefault(node, []).append((2, offset, (rest,)))
    return {row: tuple(sorted(at)) for row, at in found.items()}


def _places(children: list[list[int]], digests: list[bytes]) -> list[int]:
    """For each row its place in the canonical order: depth first, siblings by their digests."""
    place = [0] * len(children)
    stack, met = [0], 0
    while stack:
        row = stack.pop()
        place[row] = met
        met += 1
        stack += sorted(children[row], key=digests.__getitem__, reverse=True)
    return place


def _references(s: Snapshot, place: list[int]) -> list[list[int]]:
    """Pointers of nodes to nodes that are not their parents: only a broken tree has some."""
    links = s.nodes.columns.get(Key("parent_link"))
    if links is None or _values(links) == _values(s.nodes.columns[Key("parent")]):
        return []
    pairs = enumerate(_values(links))
    return sorted([place[row], place[link] if 0 <= link < len(place) else -1] for row, link in pairs)


def _at(table: Table, place: list[int]) -> list[int]:
    if Key("node") not in table.columns:
        return [-1] * len(table)
    return [place[n] if 0 <= n < len(place) else -1 for n in _values(table.columns[Key("node")])]


def _requests(s: Snapshot, place: list[int]) -> list[Any] | None:
    """Locks and requests in no order: their places are names too."""
    if s.requests is None:
        return None
    lengths = _lengths(s.requests)
    return sorted(zip(_at(s.requests, place), _plain(s.requests, Sort.REQUEST), lengths, strict=True))


def _transfers(s: Snapshot, place: list[int]) -> list[Any] | None:
    """Transfers in their order, which is that of their acknowledgements."""
    if s.transfers is None:
        return None
    return list(zip(_at(s.transfers, place), _plain(s.transfers, Sort.TRANSFER), _lengths(s.transfers), strict=True))


def _lengths(table: Table) -> list[tuple[int, ...]]:
    lists = [table.lists[k].lengths.tolist() for k in sorted(table.lists, key=str)]
    return list(zip(*lists, strict=True)) if lists and len(table) else [()] * len(table)


def _slots(s: Snapshot, place: list[int]) -> list[Any]:
    """Which slots are the same: numbered as they are met in canonical order, pool by pool."""
    order = sorted(range(len(place)), key=place.__getitem__)
    requests = [] if s.requests is None else _request_order(s.requests, place)
    found: list[Any] = []
    for key in sorted((k for k in s.nodes.lists if k.name == "holds"), key=str):
        pool = key[1:]
        numbers: dict[int, int] = {}
        told: list[list[int]] = []
        _number_slots(s.nodes, Key("holds", *pool), order, numbers, told)
        for name in ("holds", "uses"):
            _number_slots(s.requests, Key(name, *pool), requests, numbers, told)
        for name in ("reads", "writes"):
            _number_slots(s.transfers, Key(name, *pool), range(len(s.transfers or ())), numbers, told)
        free = s.tree.lists.get(Key("free", *pool))
        listed = [] if free is None else free.values.tolist()
        # Of free slots that nobody names only the number counts, and which is listed how often.
        twice = len(listed) - len(set(listed))
        found.append((told, sorted(numbers[x] for x in listed if x in numbers), len(listed), twice))
    return found


def _request_order(table: Table, place: list[int]) -> list[int]:
    at, plain, lengths = _at(table, place), _plain(table, Sort.REQUEST), _lengths(table)
    return sorted(range(len(table)), key=lambda row: (at[row], plain[row], lengths[row]))


def _number_slots(
    table: Table | None, key: Key, order: Sequence[int], numbers: dict[int, int], told: list[list[int]]
) -> None:
    lists = None if table is None else table.lists.get(key)
    if lists is None:
        return
    for slots in map(_split(lists).__getitem__, order):
        if slots:
            told.append([numbers.setdefault(x, len(numbers)) for x in slots])


def _split(lists: Lists) -> list[list[int]]:
    offsets, values = lists.offsets.tolist(), lists.values.tolist()
    return [values[a:b] for a, b in pairwise(offsets)]


class _Paths:
    """Finds prompts in a tree."""

    def __init__(self, s: Snapshot, children: list[list[int]]) -> None:
        keys = s.nodes.lists.get(Key("key"))
        self.keys = [[] for _ in children] if keys is None else _split(keys)
        self.first = [{self.keys[c][0]: c for c in below if self.keys[c]} for below in children]

    def walk(self, prompt: Sequence[int]) -> tuple[list[int], int, int]:
        """The nodes that a prompt leads to, tokens of the last one's key that it shares, and tokens that are left."""
        met, at, shared = [0], 0, 0
        while at < len(prompt) and shared == len(self.keys[met[-1]]):
            child = self.first[met[-1]].get(prompt[at])
            if child is None:
                break
            met.append(child)
            shared = common(self.keys[child], prompt[at:])
            at += shared
        return met, shared, len(prompt) - at


def _ages(rows: int, paths: _Paths | None, recent: Prompts) -> list[int]:
    """For each node how many other groups of nodes were used since, -1 where nobody knows."""
    ages, group = [-1] * rows, 0
    for prompt in recent if paths is not None else ():
        assert paths is not None
        new = [row for row in paths.walk(prompt)[0] if ages[row] < 0]
        for row in new:
            ages[row] = group
        group += bool(new)
    return ages


def _ranks(s: Snapshot, used: Mapping[int, float]) -> list[int]:
    """For each node how many times of use are before its own, -1 where nobody knows."""
    times = [used.get(i) for i in s.nodes.ids.tolist()]
    rank = {t: i for i, t in enumerate(sorted({t for t in times if t is not None}))}
    return [-1 if t is None else rank[t] for t in times]


def _landed(s: Snapshot, landed: Collection[Ack]) -> list[bool]:
    """Which of the transfers have run, in their order."""
    table = s.transfers
    if table is None or not landed:
        return []
    acks, writes = (_values(table.columns[Key(name)]) for name in ("ack", "is_write"))
    return [(bool(w), a) in landed for a, w in zip(acks, writes, strict=True)]


def _left(paths: _Paths, prompts: Prompts) -> list[tuple[int, int, int]]:
    """For each prompt the node in whose key it leaves the tree, tokens that they share, and what is left."""
    walks = [paths.walk(p) for p in prompts]
    found = [(met[-1], shared, left) for met, shared, left in walks]
    return found if len(found) < 2 else _together(prompts, found)


def _together(prompts: Sequence[Sequence[int]], found: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The same, with how far each goes along with others after they have left the tree together."""
    rests = [tuple(p[len(p) - rest :]) if rest else () for p, (_, _, rest) in zip(prompts, found, strict=True)]
    shared: list[list[int]] = [[] for _ in prompts]
    for i, j in combinations(range(len(prompts)), 2):
        if found[i][:2] == found[j][:2] and (both := common(rests[i], rests[j])):
            shared[i].append(both)
            shared[j].append(both)
    return [
        (node, at, rest if not with_others else _number((rest, sorted(with_others))))
        for (node, at, rest), with_others in zip(found, shared, strict=True)
    ]


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many elements two sequences begin with in common."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _prompts(left: list[tuple[int, int, int]], place: list[int]) -> list[tuple[int, int, int]]:
    return sorted((place[node], at, rest) for node, at, rest in left)


def places(s: Snapshot) -> list[tuple[tuple[int, ...], int]]:
    """The nodes by the tokens that lead to them, in order: those tokens, and the node's row."""
    keys = s.nodes.lists.get(Key("key"))
    own = [[]] * len(s.nodes) if keys is None else _split(keys)
    paths: list[tuple[int, ...]] = []
    for row, up in enumerate(s.nodes.columns[Key("parent")].listed):
        paths.append((*paths[up], *own[row]) if row else ())
    return sorted(zip(paths, range(len(paths)), strict=True))


def known_values(column: Column, rows: Sequence[int] | None = None) -> list[int | None]:
    """A column's values, of some rows in their order; None where unknown."""
    values = [None if v == _UNKNOWN else v for v in _values(column)]
    return values if rows is None else [values[row] for row in rows]
