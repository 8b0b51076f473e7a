"""What changed between two snapshots of one cache, as data.

Nodes are matched by id where both snapshots are of the same engine and the ids mean the
same nodes; else by the token path that ends at them, which no split, eviction or load
ever changes. A split is recognised by its new upper part: the lower part keeps the id
and the end of its path, and their lengths add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from sanitree.checker.holders import Moved, moved
from sanitree.models.snapshot import Key, Snapshot, Table

Number = int | None
"""A field's value as a number; None where unknown."""


class Match(Enum):
    """How nodes of the two snapshots were told to be the same."""

    IDS = "id"
    TOKENS = "token path"


class NotComparableError(ValueError):
    """Nothing says which nodes of the two snapshots are the same. hint: what would."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Change:
    """A field that was `old` and is `new`."""

    key: Key
    old: Number
    new: Number


@dataclass(frozen=True, slots=True)
class NodeChange:
    """Fields of one node that changed; rows of the node in both snapshots."""

    before: int
    after: int
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """A node that became several: `after` is the row of the lowest part, `uppers` rows of the new ones, top first."""

    before: int
    after: int
    uppers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that changed. Rows of `added` are of the second snapshot, of `removed` of the first.

    settings: (name, old, new). started, finished: rows of transfers in the second and in
    the first snapshot, None where one of them did not observe transfers; likewise requests.
    reordered: nodes whose place in an LRU list changed, by list.
    """

    before: Snapshot
    after: Snapshot
    matched_by: Match
    settings: tuple[tuple[str, str, str], ...]
    added: tuple[int, ...]
    removed: tuple[int, ...]
    splits: tuple[Split, ...]
    changed: tuple[NodeChange, ...]
    moved: tuple[Moved, ...]
    started: tuple[int, ...] | None
    finished: tuple[int, ...] | None
    arrived: tuple[int, ...] | None
    left: tuple[int, ...] | None
    counters: tuple[Change, ...]
    reordered: Mapping[Key, int]

    @property
    def same(self) -> bool:
        """Whether nothing changed that both snapshots observed."""
        nodes = (self.added, self.removed, self.splits, self.changed, self.reordered)
        others = (self.moved, self.started, self.finished, self.arrived, self.left)
        return not any((self.settings, self.counters, *nodes, *others))


def difference(before: Snapshot, after: Snapshot) -> Difference:
    """What changed from one snapshot to the other. Raises NotComparableError."""
    how, pairs = _match(before, after)
    partner = {b: a for a, b in pairs.items()}
    splits = tuple(_splits(before, after, pairs, partner))
    split_off = {u: s.before for s in splits for u in s.uppers}
    grown = {s.after for s in splits}
    ranks: dict[Key, int] = {}
    changed = tuple(_changes(before, after, pairs, grown, ranks))
    started, finished = _flights(before, after)
    arrived, left = _new_rows(before.requests, after.requests)
    return Difference(
        before, after, how, tuple(_settings(before, after)),
        added=tuple(r for r in range(len(after.nodes)) if r not in partner and r not in split_off),
        removed=tuple(r for r in range(len(before.nodes)) if r not in pairs),
        splits=splits, changed=changed, moved=tuple(moved(before, after, pairs, split_off)), started=started,
        finished=finished, arrived=arrived, left=left, counters=tuple(_counters(before, after)), reordered=ranks,
    )  # fmt: skip


# Matching.


def _match(a: Snapshot, b: Snapshot) -> tuple[Match, dict[int, int]]:
    """Rows of the first to rows of the second."""
    incomparable = _why_tokens_differ(a, b)
    by_path = incomparable is None
    paths_a, paths_b = (_paths(a), _paths(b)) if by_path else ([], [])
    same_engine = replace(a.origin, taken="") == replace(b.origin, taken="")
    if same_engine:
        rows = b.row_of
        pairs = {row: rows[i] for row, i in enumerate(a.nodes.ids.tolist()) if i in rows}
        # Two processes count their ids from the same start: then equal ids say nothing.
        agree = sum(paths_a[x] == paths_b[y] for x, y in pairs.items()) if by_path else len(pairs)
        if 0 in pairs and pairs[0] == 0 and 2 * agree >= len(pairs):
            return Match.IDS, pairs
    if incomparable is not None:
        ids = (
            "their roots have different ids"
            if same_engine
            else "they are of different engines, so their ids say nothing"
        )
        raise NotComparableError(f"nodes cannot be matched: {ids}, and {incomparable[0]}", incomparable[1])
    found = {path: row for row, path in enumerate(paths_b)}
    return Match.TOKENS, {row: found[path] for row, path in enumerate(paths_a) if path in found}


_WRITE_ALIKE = 'write both with one salt, write(snapshot, path, salt=...), or both with tokens="raw"'


def _why_tokens_differ(a: Snapshot, b: Snapshot) -> tuple[str, str] | None:
    """Why equal tokens may look different, and what to do; None where they look equal."""
    keys_a, keys_b = a.nodes.lists.get(Key("key")), b.nodes.lists.get(Key("key"))
    if keys_a is None or keys_b is None:
        return "tokens were not observed in both", "take both where nodes show their tokens"
    if a.tokens != b.tokens:
        return "one has raw tokens and the other hashes of them", _WRITE_ALIKE
    # Hashes with one salt show in what two trees share; an empty tree shares nothing and needs nothing.
    tokens = set(keys_a.values.tolist())
    if a.tokens == "raw" or not tokens or not len(keys_b.values) or not tokens.isdisjoint(keys_b.values.tolist()):
        return None
    return "their tokens share no hash: each has a salt of its own", _WRITE_ALIKE


def _paths(s: Snapshot) -> list[tuple[int, int]]:
    """For each node what stands for its token path: its length and a hash of its tokens, fed one by one."""
    keys = s.nodes.lists[Key("key")]
    starts, values, parent = keys.offsets.tolist(), keys.values.tolist(), s.parent.tolist()
    found = [(0, 0)] * len(parent)
    for row in range(1, len(parent)):
        length, so_far = found[parent[row]]
        for token in values[starts[row] : starts[row + 1]]:
            so_far = hash((so_far, token))
        found[row] = (length + starts[row + 1] - starts[row], so_far)
    return found


# Nodes.


def _splits(a: Snapshot, b: Snapshot, pairs: Mapping[int, int], partner: Mapping[int, int]) -> Iterator[Split]:
    lengths_a, lengths_b = a.nodes.columns.get(Key("key_len")), b.nodes.columns.get(Key("key_len"))
    if lengths_a is None or lengths_b is None:
        return
    of_a, of_b, up = lengths_a.values.tolist(), lengths_b.values.tolist(), b.parent.tolist()
    for x, y in pairs.items():
        uppers, total, row = [], of_b[y], up[y]
        while total < of_a[x] and row and row not in partner:
            uppers.append(row)
            total, row = total + of_b[row], up[row]
        if uppers and total == of_a[x]:
            yield Split(x, y, tuple(uppers[::-1]))


# Derived from others, or noise: where a node hangs and what its key is are told as splits.
_UNTOLD = frozenset({"parent", "parent_link", "has_parent_link", "references", "first_page", "edge", "is_root"})
_RANKS = frozenset({"lru_rank", "lru_prev_rank"})
_SPLIT_CHANGES = frozenset({"key_len", "tokens"})


def _changes(
    a: Snapshot, b: Snapshot, pairs: Mapping[int, int], split: set[int], ranks: dict[Key, int]
) -> Iterator[NodeChange]:
    columns = [(key, _column(a.nodes, key), _column(b.nodes, key)) for key in a.nodes.columns if key in b.nodes.columns]
    for x, y in pairs.items():
        found = []
        for key, old, new in columns:
            if key.name in _UNTOLD or old[x] == new[y] or (y in split and key.name in _SPLIT_CHANGES):
                continue
            if key.name in _RANKS:
                # Both ends of a list entering or leaving are told by in_lru.
                if key.name == "lru_rank" and (old[x] or 0) >= 0 and (new[y] or 0) >= 0:
                    ranks[key] = ranks.get(key, 0) + 1
                continue
            found.append(Change(key, old[x], new[y]))
        if found:
            yield NodeChange(x, y, tuple(found))


def _column(table: Table, key: Key) -> list[Number]:
    column = table.columns[key]
    values: list[Number] = [int(v) for v in column.values.tolist()]
    if column.known is None:
        return values
    return [v if k else None for v, k in zip(values, column.known.tolist(), strict=True)]


def _counters(a: Snapshot, b: Snapshot) -> Iterator[Change]:
    for key in a.tree.columns:
        if key in b.tree.columns and (old := _column(a.tree, key)[0]) != (new := _column(b.tree, key)[0]):
            yield Change(key, old, new)


def _settings(a: Snapshot, b: Snapshot) -> Iterator[tuple[str, str, str]]:
    def told(s: Snapshot) -> dict[str, str]:
        return {
            "engine": f"{s.origin.engine} {s.origin.version}, {s.origin.core} core",
            "policy": s.settings.policy.value,
            "components": " + ".join(c.name for c in s.settings.components),
            "traits": ", ".join(sorted(s.settings.traits)) or "none",
            "page size": str(s.settings.page_size),
        }

    for (name, old), new in zip(told(a).items(), told(b).values(), strict=True):
        if old != new:
            yield name, old, new


# Transfers and requests.


def _flights(a: Snapshot, b: Snapshot) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    if a.transfers is None or b.transfers is None:
        return None, None
    old, new = _flight_names(a.transfers), _flight_names(b.transfers)
    return (
        tuple(row for row, name in enumerate(new) if name not in set(old)),
        tuple(row for row, name in enumerate(old) if name not in set(new)),
    )


def _flight_names(t: Table) -> list[tuple[Number, ...]]:
    """What tells transfers apart: their kind and the id of their acknowledgement; else their row's id."""
    if Key("ack") not in t.columns or Key("is_write") not in t.columns:
        return [(i,) for i in t.ids.tolist()]
    return list(zip(_column(t, Key("is_write")), _column(t, Key("ack")), strict=True))


def _new_rows(a: Table | None, b: Table | None) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    if a is None or b is None:
        return None, None
    old, new = a.ids.tolist(), b.ids.tolist()
    return (
        tuple(row for row, i in enumerate(new) if i not in set(old)),
        tuple(row for row, i in enumerate(old) if i not in set(new)),
    )
