"""What a hunt has met so far: states, and situations in them.

A situation is what rules speak of, seen coarsely: a node's marks, copies, locks and lists
with every number cut down to none, one or more; a node together with its parent; which
pools are full and what is in flight after which operation. A rule whose antecedent was
never true waits for a situation that nobody met, so new situations are what a search is
rewarded for, and new states come second.
"""

from __future__ import annotations

from collections.abc import Iterator

from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.snapshot import Column, Key, Snapshot, Table

_LEFT_OUT = frozenset({"lru_rank", "lru_prev_rank", "bytes", "own_bytes", "key_len", "first_page", "edge"}) | {
    "write_ack", "load_ack", "is_root", "readable", "references", "has_parent_link",
}  # fmt: skip


class Coverage:
    """states: fingerprints of those met. situations: how many states each was met in."""

    def __init__(self) -> None:
        self.states: set[int] = set()
        self.situations: dict[int, int] = {}

    def enter(self, state: int, s: Snapshot, doing: int) -> int | None:
        """How many situations of a state are new, None where the state is not; `doing`: a number for the operation."""
        if state in self.states:
            return None
        self.states.add(state)
        new = 0
        for x in set(situations(s, doing)):
            met = self.situations.get(x, 0)
            self.situations[x] = met + 1
            new += not met
        return new


def situations(s: Snapshot, doing: int) -> Iterator[int]:
    """The situations in a state, as numbers."""
    labels = _coarse(s.nodes, Sort.NODE)
    for label, parent in zip(labels, s.nodes.columns[Key("parent")].listed, strict=True):
        yield hash((1, label))
        yield hash((2, label, labels[parent]))
    requests, transfers = (0 if t is None else min(len(t), 2) for t in (s.requests, s.transfers))
    free = tuple(_cut(c.listed[0]) for k, c in s.tree.columns.items() if k.name == "available")
    yield hash((3, doing, requests, transfers, free))
    for table, sort in ((s.requests, Sort.REQUEST), (s.transfers, Sort.TRANSFER)):
        if table is not None and len(table):
            at = table.columns[Key("node")].listed if Key("node") in table.columns else [0] * len(table)
            yield from (
                hash((4, sort is Sort.REQUEST, x, labels[n])) for x, n in zip(_coarse(table, sort), at, strict=True)
            )


def _coarse(table: Table, sort: Sort) -> list[tuple[int, ...]]:
    columns = [_cut_all(c) for k, c in sorted(table.columns.items(), key=_by_name) if _counts(sort, k)]
    return list(zip(*columns, strict=True)) if columns else [()] * len(table)


def _by_name(item: tuple[Key, Column]) -> str:
    return str(item[0])


def _counts(sort: Sort, key: Key) -> bool:
    known = FIELDS.get((sort, key.name))
    return key.name not in _LEFT_OUT and key.name != "ack" and (known is None or known.sort is not Sort.NODE)


def _cut_all(column: Column) -> list[int]:
    values, mask = [_cut(v) for v in column.listed], column.mask
    return values if mask is None else [v if known else 9 for v, known in zip(values, mask, strict=True)]


def _cut(value: int) -> int:
    return max(-1, min(int(value), 2))
