"""Naming the elements of a snapshot so that a person finds them again."""

from __future__ import annotations

from dataclasses import dataclass

from sanitree.checker.render.coverage import table_of
from sanitree.checker.report import Violation
from sanitree.invariants.rules import Check
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import Column, Key, Snapshot, Table


def known(table: Table | None, key: Key, row: int) -> int | None:
    """A field of one element as a number; None where it is unknown."""
    column: Column | None = table.columns.get(key) if table is not None else None
    if column is None or (column.known is not None and not bool(column.known[row])):
        return None
    return int(column.values[row])


def field_name(key: Key) -> str:
    """`full device lock`: a field with what it is indexed by."""
    index = " ".join(p for p in (key.component, key.tier) if p)
    return f"{index} {key.name.replace('_', ' ')}".strip()


def node_name(s: Snapshot, row: int) -> str:
    """`node 6`, or `the root`."""
    return f"node {int(s.nodes.ids[row])}" if row else "the root"


def node_of(s: Snapshot, check: Check, row: int) -> int | None:
    """The row of the node that an instance is about or belongs to; None where it is about none."""
    scope = check.rule.scope
    if scope is Sort.NODE:
        return row
    if scope is Sort.TREE:
        return None
    table = table_of(s, scope, (check.component, check.tier))
    if scope is Sort.SLOT:
        assert table is not None
        # A slot that no node holds is looked for at the node whose copy reads or writes it.
        return known(table, Key("owner"), row) if known(table, Key("in_tree"), row) else _user(s, table, row)[1]
    return known(table, Key("node"), row) if known(table, Key("node_in_tree"), row) != 0 else None


def transfer_name(s: Snapshot, row: int) -> str:
    """`write 3`, by the kind of a transfer and the id that its acknowledgement carries."""
    write, load = (known(s.transfers, Key(k), row) for k in ("is_write", "is_load"))
    ack = known(s.transfers, Key("ack"), row)
    kind = "write" if write else "load" if load else "transfer"
    assert s.transfers is not None
    return f"{kind} {ack}" if ack is not None else f"{kind} (id {int(s.transfers.ids[row])})"


@dataclass(frozen=True, slots=True)
class Named:
    """What a violation is about. `path`: rows from the root's child down to its node, if it has one."""

    text: str
    path: tuple[int, ...]


def name(s: Snapshot, violation: Violation) -> Named:
    """What a violation is about, in words, with the node it belongs to."""
    check, scope, element = violation.check, violation.rule.scope, violation.element
    if scope is Sort.TREE or element is None:
        return Named("the tree as a whole", ())
    table = table_of(s, scope, (check.component, check.tier))
    assert table is not None
    row = violation.row
    node = node_of(s, check, row)
    match scope:
        case Sort.NODE:
            text = node_name(s, row)
        case Sort.SLOT:
            assert check.component is not None
            assert check.tier is not None
            text = f"slot {element} of the {check.component.name} {check.tier.value} pool"
            if known(table, Key("in_tree"), row) and node is not None:
                text += f", held by {node_name(s, node)}"
            text += _user(s, table, row)[0]
        case _:
            text = transfer_name(s, row) if scope is Sort.TRANSFER else f"request {element}"
            text += "" if node is None else f" of {node_name(s, node)}"
    return Named(text, s.path_to(node or 0))


def _user(s: Snapshot, slots: Table, row: int) -> tuple[str, int | None]:
    """The transfer that reads or writes a slot, in words, and the row of its node."""
    acks = s.transfers.columns.get(Key("ack")) if s.transfers is not None else None
    for field, how in (("reader_ack", "read"), ("writer_ack", "written")):
        ack = known(slots, Key(field), row)
        if ack is None or ack < 0 or acks is None:
            continue
        for at in (acks.values == ack).nonzero().flatten().tolist():
            node = known(s.transfers, Key("node"), at) if known(s.transfers, Key("node_in_tree"), at) else None
            whose = f" of {node_name(s, node)}" if node is not None else ""
            return f", {how} by {transfer_name(s, at)}{whose}", node
    return "", None
