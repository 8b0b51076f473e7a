"""What stands around a shown tree: one node in full, and what is violated."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from sanitree.checker.render.elements import known, node_name
from sanitree.checker.render.marks import Marks
from sanitree.checker.render.words import BOLD, DIM, GREEN, RED, count, ranges, some_of, tokens
from sanitree.checker.report import Verdict
from sanitree.invariants.vocabulary import DEVICE, HOST
from sanitree.models.snapshot import Key, Snapshot


def node_details(s: Snapshot, row: int) -> RenderableType:
    """A node with its path, all its tokens and the slots of its copies."""
    path = s.path_to(row)
    lines = [Text(node_name(s, row), BOLD)]
    names = [node_name(s, r).removeprefix("node ") for r in path]
    lines.append(Text(f"  path: the root › {' › '.join(names)}"))
    held, own = s.tokens_of(path), s.tokens_of((row,))
    if held is not None and own is not None:
        lines.append(Text(f"  key: {tokens(own, s.tokens, 64)} ({count(len(own), 'token')})"))
        lines.append(Text(f"  token path: {tokens(held, s.tokens, 32)} ({count(len(held), 'token')})"))
    for component in s.settings.components:
        for tier in (DEVICE, HOST):
            present = known(s.nodes, Key.of("present", component, tier), row)
            slots = s.nodes.lists.get(Key.of("holds", component, tier))
            told = "not observed" if present is None else "none"
            if present:
                told = "slots not observed" if slots is None else f"slots {ranges(slots[row].tolist(), 12) or 'none'}"
            lines.append(Text(f"  {component.name} {tier.value} copy: {told}", "" if present else DIM))
    flags = [
        name for name in ("in_device_leaves", "in_host_leaves", "in_host_duplicates") if known(s.nodes, Key(name), row)
    ]
    if flags:
        words = {"in_device_leaves": "evictable device leaves", "in_host_leaves": "evictable host leaves",
                 "in_host_duplicates": "copies on both tiers"}  # fmt: skip
        lines.append(Text(f"  in the set of {', '.join(words[f] for f in flags)}"))
    return Group(*lines)


def verdict_lines(found: Marks, verdict: Verdict) -> Iterator[Text]:
    """What is violated outside the tree, and how much in all."""
    for name, elements in list(found.elsewhere.items())[:12]:
        numbers = [e for e in elements if e >= 0]
        where = f": {some_of([ranges(numbers, 6)], 1)}" if numbers else ": the tree as a whole"
        yield Text(f"✗ {name}{where}", RED)
    if verdict is Verdict.HOLDS:
        yield Text("every rule holds", GREEN)
        return
    if verdict is Verdict.INCONCLUSIVE:
        yield Text("no rule is violated by what was observed; `sanitree check` tells what was not checked", GREEN)
        return
    parts = []
    if found.violated:
        parts.append(count(len(found.violated), "node"))
    if found.elsewhere:
        parts.append(f"{count(len(found.elsewhere), 'rule')} outside the nodes")
    yield Text(f"violated: {' and '.join(parts)}; `sanitree check` gives the evidence", RED)
