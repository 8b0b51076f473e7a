"""The head of a shown snapshot: where it is from, its settings, its pools and what is in flight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from sanitree.checker.render.elements import known, node_name, transfer_name
from sanitree.checker.render.overridden import FileSays
from sanitree.checker.render.words import BOLD, DIM, YELLOW, Whole, clean, count, ranges
from sanitree.invariants.vocabulary import DEVICE, HOST, Component, Tier
from sanitree.models.snapshot import Key, Snapshot

_MOST = 6  # transfers, requests or notes that are worth a line each


@dataclass(frozen=True, slots=True)
class Pool:
    """Slots of one pool, counted; None where that was not observed."""

    name: str
    capacity: int | None
    in_tree: int | None
    held: int | None
    free: int | None
    in_flight: int | None


def pools(s: Snapshot) -> list[Pool]:
    """The pools of which anything was observed."""
    found = []
    for component in s.settings.components:
        for tier in (DEVICE, HOST):
            pool = _pool(s, component, tier)
            if any(n is not None for n in (pool.capacity, pool.in_tree, pool.free)):
                found.append(pool)
    return found


def _pool(s: Snapshot, component: Component, tier: Tier) -> Pool:
    slots = s.slots(component, tier)

    def used(*names: str) -> int | None:
        columns = [slots.columns[Key(n)].values for n in names if Key(n) in slots.columns]
        return int(sum(c > 0 for c in columns).clamp(max=1).sum()) if columns else None  # type: ignore[union-attr]

    free = used("free")
    return Pool(
        f"{component.name} {tier.value}",
        known(s.tree, Key.of("capacity", component, tier), 0),
        used("in_tree"),
        used("held"),
        free if free is not None else known(s.tree, Key.of("available", component, tier), 0),
        used("read", "written"),
    )


def depths(parent: list[int]) -> list[int]:
    """Depth of each row, the root's 0."""
    found = [0] * len(parent)
    for row in range(1, len(parent)):
        found[row] = found[parent[row]] + 1
    return found


def header(file: str, s: Snapshot, says: FileSays) -> RenderableType:
    """Everything above the tree."""
    o, settings = s.origin, s.settings
    parent = s.parent.tolist()
    leaves = len(parent) - len(set(parent[1:])) if len(parent) > 1 else 0
    lengths = s.nodes.columns.get(Key("key_len"))
    size = [
        count(len(parent), "node"),
        count(leaves, "leaf").replace("leafs", "leaves"),
        f"depth {max(depths(parent))}",
    ]
    if lengths is not None:
        size.append(f"{count(int(lengths.values.sum()), 'token')} ({s.tokens})")
    first = Text.assemble((clean(file), BOLD), f"  {clean(o.engine)} {says.engine_version}, {clean(o.core)} core")
    if o.taken:
        first.append(f", taken {clean(o.taken)}")
    how = [says.policy, says.components, f"page size {settings.page_size}"]
    lines: list[RenderableType] = [Whole(first), Text(" · ".join([*how, *size]))]
    if settings.traits or says.file.settings.traits:
        lines.append(Text(f"traits: {says.traits}", DIM))
    lines += notes(s)
    if known_pools := pools(s):
        lines += [Text(), _pools(known_pools)]
    flights = [*_transfers(s), *_requests(s)]
    return Group(*lines, *([Text()] if flights else []), *flights)


def notes(s: Snapshot) -> Iterator[Text]:
    """What of the file was left out, a line each."""
    for note in s.notes[:_MOST]:
        yield Text(f"note: {clean(note)}", YELLOW)
    if len(s.notes) > _MOST:
        yield Text(f"note: … and {len(s.notes) - _MOST:,} more (--json has all)", YELLOW)


def _pools(found: list[Pool]) -> RenderableType:
    titles = ("pool (slots)", "in tree", "requests", "free", "capacity", "in flight")
    rows = [
        (p.name, *("?" if n is None else f"{n:,}" for n in (p.in_tree, p.held, p.free, p.capacity, p.in_flight)))
        for p in found
    ]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    # Own lines: of a table rich gives up the names first where a terminal is narrow.
    return Group(*(_pool_line(row, widths, DIM if row is titles else "") for row in (titles, *rows)))


def _pool_line(row: tuple[str, ...], widths: list[int], style: str) -> Text:
    cells = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
    return Text("  ".join((f"{row[0]:<{widths[0]}}", *cells)), style, no_wrap=True, overflow="ignore")


def _transfers(s: Snapshot) -> Iterator[Text]:
    if s.transfers is None:
        yield Text("transfers in flight: not observed", YELLOW)
        return
    total = len(s.transfers)
    if total:
        yield Text(f"{count(total, 'transfer')} in flight")
    for row in range(min(total, _MOST)):
        yield Text(f"  {transfer_name(s, row)}: {transfer_route(s, row)}")
    if total > _MOST:
        yield Text(f"  … {total - _MOST:,} more", DIM)


def transfer_route(s: Snapshot, row: int) -> str:
    """From where to where a transfer copies, and for which node."""
    assert s.transfers is not None
    node = known(s.transfers, Key("node"), row)
    gone = known(s.transfers, Key("node_in_tree"), row) == 0
    parts = ["a node that has left the tree" if gone else node_name(s, node) if node is not None else "unknown node"]
    for component in s.settings.components:
        ends = {}
        for role in ("reads", "writes"):
            for tier in (DEVICE, HOST):
                lists = s.transfers.lists.get(Key.of(role, component, tier))
                if lists is not None and len(lists[row]):
                    ends[role] = f"{tier.value} {ranges(lists[row].tolist(), 3)}"
        if ends:
            parts.append(f"{component.name} {' → '.join(ends.values())}")
    return ", ".join(parts)


def _requests(s: Snapshot) -> Iterator[Text]:
    if s.requests is None:
        yield Text("requests: not observed", YELLOW)
        return
    total = len(s.requests)
    if total:
        yield Text(count(total, "request"))
    for row in range(min(total, _MOST)):
        yield Text(f"  {int(s.requests.ids[row])}: {_request(s, row)}")
    if total > _MOST:
        yield Text(f"  … {total - _MOST:,} more", DIM)


def _request(s: Snapshot, row: int) -> str:
    assert s.requests is not None
    node = known(s.requests, Key("node"), row)
    gone = known(s.requests, Key("node_in_tree"), row) == 0
    parts = ["locks " + ("a node that has left the tree" if gone else node_name(s, node or 0))]
    if (prefix := known(s.requests, Key("prefix_len"), row)) is not None:
        parts.append(f"prefix of {count(prefix, 'token')}")
    for component in s.settings.components:
        lists = s.requests.lists.get(Key.of("holds", component, DEVICE))
        if lists is not None and len(lists[row]):
            parts.append(f"holds {component.name} device {ranges(lists[row].tolist(), 3)}")
    return ", ".join(parts)
