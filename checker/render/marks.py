"""What of a snapshot is worth a mark in its tree: violations, transfers in flight, requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sanitree.checker.findings import Finding
from sanitree.checker.render.elements import known, node_of, transfer_name
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import Key, Snapshot


@dataclass(frozen=True, slots=True)
class Marks:
    """By row of the nodes. violated: names of rules; what a slot or a transfer of the node violates is its too.

    elsewhere: violated checks by name, with the slots or other elements that belong to no node.
    """

    violated: dict[int, list[str]] = field(default_factory=dict)
    elsewhere: dict[str, list[int]] = field(default_factory=dict)
    transfers: dict[int, list[str]] = field(default_factory=dict)
    requests: dict[int, list[int]] = field(default_factory=dict)
    pending: frozenset[int] = frozenset()

    @property
    def busy(self) -> set[int]:
        """Rows in flight, by their own mark or a transfer's."""
        return {*self.transfers, *self.pending}


def marks(s: Snapshot, findings: Sequence[Finding]) -> Marks:
    """The marks of a snapshot that was judged."""
    found = Marks(pending=_pending(s))
    for f in findings:
        for row in f.violated:
            node = node_of(s, f.check, row)
            if node is None:
                found.elsewhere.setdefault(f.check.name, []).append(_number(s, f, row))
            else:
                names = found.violated.setdefault(node, [])
                if f.check.rule.id not in names:
                    names.append(f.check.rule.id)
    for row in range(len(s.transfers) if s.transfers is not None else 0):
        if (
            known(s.transfers, Key("node_in_tree"), row) != 0
            and (at := known(s.transfers, Key("node"), row)) is not None
        ):
            found.transfers.setdefault(at, []).append(transfer_name(s, row))
    if s.requests is not None:
        for row, request in enumerate(s.requests.ids.tolist()):
            if known(s.requests, Key("node_in_tree"), row) != 0 and (at := known(s.requests, Key("node"), row)):
                found.requests.setdefault(at, []).append(request)
    return found


def _number(s: Snapshot, f: Finding, row: int) -> int:
    """What people call an element that belongs to no node: its id, or a slot's number; -1 for the tree."""
    match f.check.rule.scope:
        case Sort.SLOT:
            assert f.check.component is not None
            assert f.check.tier is not None
            return int(s.slots(f.check.component, f.check.tier).ids[row])
        case Sort.TRANSFER if s.transfers is not None:
            return int(s.transfers.ids[row])
        case Sort.REQUEST if s.requests is not None:
            return int(s.requests.ids[row])
    return -1


def _pending(s: Snapshot) -> frozenset[int]:
    found: set[int] = set()
    for name in ("write_pending", "load_pending"):
        column = s.nodes.columns.get(Key(name))
        if column is not None:
            on = column.values if column.known is None else column.values & column.known
            found.update(on.nonzero().flatten().tolist())
    return frozenset(found)
