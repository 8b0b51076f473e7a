"""A difference for people, from what a person asks first: nodes, slots, transfers, then counters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from sanitree.checker.difference import Change, Difference, Match, NodeChange, Split
from sanitree.checker.holders import Holder, Moved, Place
from sanitree.checker.render.elements import field_name, known, node_name, transfer_name
from sanitree.checker.render.header import transfer_route
from sanitree.checker.render.words import (
    BOLD,
    CYAN,
    DIM,
    GREEN,
    RED,
    YELLOW,
    Whole,
    clean,
    count,
    ranges,
    some_of,
    tokens,
    value,
)
from sanitree.models.snapshot import Key, Snapshot, Table

_MOST = 20  # lines of one kind


def render(names: tuple[str, str], d: Difference, limit: int | None = _MOST) -> RenderableType:
    """All of it; at most `limit` lines of each kind, all where None."""
    lines: list[RenderableType] = [
        Whole(_between(names)),
        _headline(d),
        Text(f"  nodes are matched by {d.matched_by.value}", DIM),
    ]
    for title, found in _sections(d, limit):
        if found:
            lines += [Text(), Text(title, BOLD)]
            lines += [_indented(line) for line in found[:limit]]
            if limit is not None and len(found) > limit:
                lines.append(Text(f"  … {len(found) - limit:,} more lines (--full shows all)", DIM))
    if d.same:
        lines.append(Text("  nothing changed that both snapshots observed"))
    return Group(*lines)


def texts(d: Difference) -> list[Text]:
    """The same without headings, all of it: for a step that changes little."""
    return [line for _, found in _sections(d, None) for line in found]


def lines(d: Difference) -> list[RenderableType]:
    """The same, indented."""
    return [_indented(line) for line in texts(d)]


def _sections(d: Difference, limit: int | None) -> list[tuple[str, list[Text]]]:
    return [
        ("settings", [Text(f"{what}: {old} → {new}") for what, old, new in d.settings]),
        ("nodes", [*_splits(d), *_nodes("+", GREEN, d.after, d.added), *_nodes("-", RED, d.before, d.removed)]),
        ("changed nodes", list(_changed(d))),
        ("slots", list(_slots(d.moved, limit))),
        ("transfers", list(_transfers(d))),
        ("requests", list(_requests(d))),
        ("counters", [Text(f"{field_name(c.key)}: {_arrow(c)}") for c in d.counters]),
    ]


def _indented(line: Text) -> RenderableType:
    """A line in its section, what wraps of it in line with its text."""
    grid = Grid.grid(padding=(0, 1, 0, 0))
    signed = line.plain[:1] in _SIGNS and line.plain[1:2] == " "
    grid.add_row(Text(" "), *((Text.assemble("", line[:1]), line[2:]) if signed else (line,)))
    return grid


_SIGNS = "+-~÷"


def _between(names: tuple[str, str]) -> Text:
    return Text(f"{clean(names[0])} → {clean(names[1])}", BOLD)


def _headline(d: Difference) -> Text:
    parts = [
        f"{len(d.added):,} added" if d.added else "",
        f"{len(d.removed):,} removed" if d.removed else "",
        f"{len(d.splits):,} split" if d.splits else "",
        f"{len(d.changed):,} changed" if d.changed else "",
    ]
    told = ", ".join(p for p in parts if p) or "none changed"
    return Text(f"  {len(d.before.nodes):,} → {count(len(d.after.nodes), 'node')}: {told}")


def _own(s: Snapshot, row: int) -> str:
    held = s.tokens_of((row,))
    if held is None:
        return ""
    return f" {tokens(held, s.tokens, 6)}" + (f" ({count(len(held), 'token')})" if len(held) > 6 else "")


def _splits(d: Difference) -> Iterator[Text]:
    for split in d.splits:
        yield Text.assemble(("÷ ", CYAN), _split(d, split))


def _split(d: Difference, split: Split) -> str:
    parts = [f"{node_name(d.after, row)}{_own(d.after, row)}" for row in (*split.uppers, split.after)]
    return f"{node_name(d.before, split.before)}{_own(d.before, split.before)} split into {' above '.join(parts)}"


def _nodes(sign: str, style: str, s: Snapshot, rows: Sequence[int]) -> Iterator[Text]:
    for row in rows:
        path = s.path_to(row)
        below = f" below {node_name(s, path[-2])}" if len(path) > 1 else " below the root"
        copies = [
            f"{c.name} {key.tier}"
            for c in s.settings.components
            for key in (Key("present", c.name, "device"), Key("present", c.name, "host"))
            if known(s.nodes, key, row)
        ]
        held = f": on {' and '.join(copies)}" if copies else ""
        yield Text.assemble((f"{sign} ", style), f"{node_name(s, row)}{_own(s, row)}{below}{held}")


def _changed(d: Difference) -> Iterator[Text]:
    """Nodes that changed alike on one line; those that changed most first."""
    alike: dict[tuple[str, ...], list[NodeChange]] = {}
    for node in d.changed:
        alike.setdefault(tuple(_phrases(node.changes)), []).append(node)
    for phrases, nodes in sorted(alike.items(), key=lambda x: (-len(x[0]), x[1][0].after)):
        yield Text.assemble(("~ ", YELLOW), f"{_who(d, nodes)}: {'; '.join(phrases)}")
    for key, moved in d.reordered.items():
        yield Text.assemble(
            ("~ ", YELLOW), f"{key.component} {key.tier} LRU list: {count(moved, 'node')} changed place"
        )


def _who(d: Difference, nodes: Sequence[NodeChange]) -> str:
    if len(nodes) == 1:
        (node,) = nodes
        old, new = node_name(d.before, node.before), node_name(d.after, node.after)
        return (
            new + (f" (was {old})" if d.matched_by is Match.TOKENS and old != new else "") + _own(d.after, node.after)
        )
    names = [node_name(d.after, n.after).removeprefix("node ") for n in nodes]
    return f"{count(len(nodes), 'node')} ({some_of(names, 6)})"


_FLAGS = {
    "in_lru": ("entered the {0} LRU list", "left the {0} LRU list"),
    "in_device_leaves": ("became an evictable device leaf", "is no evictable device leaf any more"),
    "in_host_leaves": ("became an evictable host leaf", "is no evictable host leaf any more"),
    "in_host_duplicates": ("registered as copied on both tiers", "no longer registered as copied on both tiers"),
    "write_pending": ("write started", "write finished"),
    "load_pending": ("load started", "load finished"),
}
# Told by the flags beside them.
_DETAILS = {"write_ack": "write_pending", "load_ack": "load_pending", "tokens": "present"}


def _phrases(changes: Sequence[Change]) -> Iterator[str]:
    keys = {c.key for c in changes}
    sizes = {c.key: c for c in changes if c.key.name == "tokens"}
    for c in changes:
        name, where = c.key.name, f"{c.key.component} {c.key.tier}"
        if name in _DETAILS and Key(_DETAILS[name], c.key.component, c.key.tier) in keys:
            continue
        if c.old is None or c.new is None:
            yield f"{field_name(c.key)} {_arrow(c)}"
        elif name == "present":
            size = sizes.get(Key("tokens", c.key.component, c.key.tier))
            n = max(size.old or 0, size.new or 0) if size else None
            slots = f" ({count(n, 'slot')})" if n is not None else ""
            yield f"{where} copy {'made' if c.new else 'gone'}{slots}"
        elif name == "lock":
            yield f"{where} locks {c.old} → {c.new}"
        elif name in _FLAGS:
            yield _FLAGS[name][not c.new].format(where)
        else:
            yield f"{field_name(c.key)} {_arrow(c)}"


def _arrow(c: Change) -> str:
    text = f"{value(c.old)} → {value(c.new)}"
    if c.old is not None and c.new is not None and abs(c.new - c.old) > 1:
        text += f" ({c.new - c.old:+,})"
    return text


def _holder(h: Holder) -> str:
    match h.place:
        case Place.FREE:
            return "free"
        case Place.NOBODY:
            return "named by nobody"
        case Place.SHARED:
            return "held by several at once"
    return f"{h.place.value} {h.id}"


def _slots(moved: Sequence[Moved], limit: int | None) -> Iterator[Text]:
    """Moves between the same kinds of holders in a pool on one line where they are many."""
    alike: dict[tuple[str, Place, Place], list[Moved]] = {}
    for m in moved:
        alike.setdefault((f"{m.component.name} {m.tier.value}", m.old.place, m.new.place), []).append(m)
    for (pool, old, new), moves in alike.items():
        if limit is None or len(moves) <= _ALIKE:
            yield from map(_moved, moves)
            continue
        slots = [s for m in moves for s in m.slots]
        text = Text(f"{pool}: {count(len(slots), 'slot')}, {_kind(old, moves)} → {_kind(new, moves)}")
        if busy := [s for m in moves for s in m.in_flight]:
            text.append(f"  ({ranges(busy)} still in flight)", RED if new is Place.FREE else YELLOW)
        yield text


_ALIKE = 6  # lines that say the same of different nodes


def _kind(place: Place, moves: Sequence[Moved]) -> str:
    holders = {h.id for m in moves for h in (m.old, m.new) if h.place is place}
    return _holder(Holder(place)) if holders == {None} else count(len(holders), place.value)


def _moved(m: Moved) -> Text:
    text = Text(f"{m.component.name} {m.tier.value} {ranges(m.slots)}: {_holder(m.old)} → {_holder(m.new)}")
    if m.in_flight:
        told = "still in flight" if len(m.in_flight) == len(m.slots) else f"{ranges(m.in_flight)} still in flight"
        text.append(f"  ({told})", RED if m.new.place is Place.FREE else YELLOW)
    return text


def _transfers(d: Difference) -> Iterator[Text]:
    if d.started is None or d.finished is None:
        yield from _unseen("transfers", d.before.transfers, d.after.transfers)
        return
    for sign, style, s, rows, word in (
        ("+", GREEN, d.after, d.started, "started"), ("-", RED, d.before, d.finished, "finished"),
    ):  # fmt: skip
        for row in rows:
            yield Text.assemble((f"{sign} ", style), f"{transfer_name(s, row)} {word}: {transfer_route(s, row)}")


def _requests(d: Difference) -> Iterator[Text]:
    if d.arrived is None or d.left is None:
        yield from _unseen("requests", d.before.requests, d.after.requests)
        return
    for sign, style, table, rows, word in (
        ("+", GREEN, d.after.requests, d.arrived, "arrived"), ("-", RED, d.before.requests, d.left, "left"),
    ):  # fmt: skip
        if rows and table is not None:
            names = [str(int(table.ids[row])) for row in rows]
            yield Text.assemble((f"{sign} ", style), f"{count(len(rows), 'request')} {word}: {some_of(names, 8)}")


def _unseen(what: str, before: Table | None, after: Table | None) -> Iterator[Text]:
    if before is None and after is None:
        return
    yield Text(f"observed only {'before' if after is None else 'after'}, so not compared: {what}", YELLOW)
