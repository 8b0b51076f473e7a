"""Repairs for people and for machines: what of which element should be otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sanitree.checker.columns import Place
from sanitree.checker.render import plain
from sanitree.checker.render.coverage import Coverage
from sanitree.checker.render.elements import field_name, known, node_name, transfer_name
from sanitree.checker.render.header import notes
from sanitree.checker.render.overridden import FileSays
from sanitree.checker.render.report import about
from sanitree.checker.render.words import BOLD, DIM, GREEN, RED, YELLOW, Whole, clean, count, ranges, some_of, value
from sanitree.checker.render.words import tokens as tokens_of
from sanitree.checker.repair.cells import IN_FLIGHT, Cell
from sanitree.checker.repair.results import Change, Ending, Outcome, Repair
from sanitree.checker.report import Verdict
from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.snapshot import Key, Snapshot

_STYLE = {Verdict.HOLDS: GREEN, Verdict.VIOLATED: RED, Verdict.INCONCLUSIVE: YELLOW}
_RULES = 8
_LACKING = 3


def render(file: str, o: Outcome, verdict: Verdict, says: FileSays, limit: int | None) -> RenderableType:
    """All of it."""
    s = o.before.snapshot
    told = o.before.headline.removeprefix(f"{o.before.verdict.value}: ")
    head = Text.assemble((clean(file), BOLD), "  ", (verdict.value.upper(), _STYLE[verdict]), f"  {told}")
    lines: list[RenderableType] = [Whole(head), Whole(Text(about(s, says), DIM), 2)]
    lines += [Whole(note, 2) for note in notes(s)]
    if o.ending is Ending.NOTHING:
        return Group(*lines, Whole(Text("nothing to repair: no rule is known to be violated"), 2))
    lines += [Whole(Text(f"violated: {some_of(violated(o), _RULES)}"), 2), Text()]
    for i, r in enumerate(o.repairs):
        lines.append(Whole(Text("or" if i else _says(r.size), BOLD)))
        lines += [Whole(line, 2) for line in _changes(s, r)]
    if o.repairs:
        lines += [*_meanings(o), Text()]
    return Group(*lines, *map(Whole, _ending(o, limit)))


def violated(o: Outcome) -> list[str]:
    """The rules that are violated before any repair."""
    return list(dict.fromkeys(f.check.rule.id for f in o.before.findings if f.violated))


def _says(size: int) -> str:
    return "1 change makes every rule hold" if size == 1 else f"{size:,} changes make every rule hold, and no fewer do"


def _ending(o: Outcome, limit: int | None) -> Iterator[Text]:
    spent = f"stopped after {o.seconds:.0f} s, not knowing {o.unknown}"
    match o.ending:
        case Ending.ALL:
            others = count(len(o.repairs), "repair")
            yield Text(f"there is no other repair of this size: {others} in {o.seconds:.1f} s" if len(o.repairs) == 1
                       else f"these are all repairs of this size: {others} in {o.seconds:.1f} s", DIM)  # fmt: skip
        case Ending.LIMIT:
            yield Text(f"there are more of this size than {limit} (--limit 0 looks for all)", DIM)
        case Ending.TIME if o.repairs:
            yield Text(f"there may be more of this size: {spent}", YELLOW)
        case Ending.TIME:
            fewer = "" if o.at_least == 1 else f"; fewer than {o.at_least} changes cannot do"
            yield Text(f"inconclusive: {spent}{fewer}", YELLOW)
            yield Text("--seconds gives more time; --rule and --family ask for less", DIM)
        case Ending.NONE:
            yield Text("no change of fields makes every rule hold", RED)
            if o.conflict:
                yield Text(f"together with what cannot change, these contradict each other: {', '.join(o.conflict)}")


# Changes.


def _changes(s: Snapshot, r: Repair) -> Iterator[Text]:
    """A line for each element; one for slots of a pool that change alike."""
    elements: dict[tuple[Place, int], list[Change]] = {}
    for c in r.changes:
        elements.setdefault((c.cell.place, c.cell.row), []).append(c)
    alike: dict[tuple[str, str], list[int]] = {}
    for (place, _), changes in elements.items():
        said, first = "; ".join(_phrases(s, changes)), changes[0]
        if place[0] is Sort.SLOT:
            assert first.element is not None
            alike.setdefault((_pool(place), said), []).append(first.element)
        else:
            yield _line(f"{name(s, first.cell)}{_tokens(s, first.cell)}", said)
    for (pool, said), numbers in alike.items():
        yield _line(f"slot{'s' if len(numbers) > 1 else ''} {ranges(numbers)} of the {pool} pool", said)


def _line(what: str, said: str) -> Text:
    return Text.assemble(("~ ", YELLOW), f"{what}: {said}")


def _pool(place: Place) -> str:
    _, component, tier = place
    assert component is not None
    assert tier is not None
    return f"{component.name} {tier.value}"


def name(s: Snapshot, cell: Cell, number: int | None = None) -> str:
    """What a cell is of, in the words of `check`."""
    match cell.place[0]:
        case Sort.NODE:
            return node_name(s, cell.row)
        case Sort.TREE:
            return "the tree as a whole"
        case Sort.SLOT:
            return f"slot {number} of the {_pool(cell.place)} pool"
        case Sort.TRANSFER:
            node = known(s.transfers, Key("node"), cell.row)
            return transfer_name(s, cell.row) + ("" if node is None else f" of {node_name(s, node)}")
    assert s.requests is not None
    return f"request {int(s.requests.ids[cell.row])}"


def _tokens(s: Snapshot, cell: Cell) -> str:
    own = s.tokens_of((cell.row,)) if cell.place[0] is Sort.NODE else None
    return f" {tokens_of(own, s.tokens, 6)}" if own else ""


def _phrases(s: Snapshot, changes: Sequence[Change]) -> Iterator[str]:
    for c in changes:
        other = "" if c.forced else " or another"
        if c.cell.site != c.cell and any(x.cell == c.cell.site for x in changes):
            yield f"by {_value(s, c, c.new)}{other}"  # goes with how often
        else:
            yield f"{field_name(c.cell.key)} {_value(s, c, c.old)} → {_value(s, c, c.new)}{other}"


def _value(s: Snapshot, c: Change, held: int) -> str:
    sort, key = c.cell.place[0], c.cell.key
    if sort is Sort.SLOT and key.name in ("reader", "writer"):
        return transfer_name(s, held)
    field = FIELDS.get((sort, key.name))
    if field is None:
        return value(bool(held))
    if field.sort is Sort.NODE:
        return node_name(s, held).removeprefix("node " if key.name == "node" else "")  # the field's name says it
    return value(bool(held) if field.sort is Sort.BOOL else held)


def _meanings(o: Outcome) -> Iterator[RenderableType]:
    """What the fields mean that change."""
    found: dict[str, str] = {}
    for c in (c for r in o.repairs for c in r.changes):
        field = FIELDS.get((c.cell.place[0], c.cell.key.name))
        if c.cell.key == IN_FLIGHT:
            found["in flight"] = "the transfer was submitted and is not acknowledged"
        elif field is not None and c.cell.site == c.cell:
            found[field.name.replace("_", " ")] = field.meaning
    yield Text()
    for said, meaning in found.items():
        yield Whole(Text(f"{said}: {meaning}", DIM), 2)


# For machines.


def plain_repairs(file: str, o: Outcome, verdict: Verdict, code: int, says: FileSays) -> dict[str, object]:
    """An outcome as data."""
    s = o.before.snapshot
    coverage = Coverage(s, o.before.findings)
    return {
        "file": file,
        "verdict": verdict.value,
        "exit": code,
        "origin": plain.origin(s.origin),
        "settings": plain.settings(s.settings, says),
        "overridden": says.overridden,
        "violated": coverage.violated,
        "rules": violated(o),
        "size": o.repairs[0].size if o.repairs else None,
        "at_least": o.at_least,
        "repairs": [{"changes": [_plain(s, c) for c in r.changes]} for r in o.repairs],
        "complete": o.ending in (Ending.ALL, Ending.NOTHING, Ending.NONE),
        "ending": o.ending.value,
        "unknown": o.unknown or None,
        "conflict": list(o.conflict),
        "seconds": round(o.seconds, 3),
    }


def _plain(s: Snapshot, c: Change) -> dict[str, Any]:
    place, key = c.cell.place, c.cell.key
    component, tier = place[1:] if place[0] is Sort.SLOT else (key.component, key.tier)
    field = FIELDS.get((place[0], key.name))
    is_bool = key == IN_FLIGHT or (field is not None and field.sort is Sort.BOOL)
    to = _referred(s, c.cell)
    old, new = (bool(n) if is_bool else n if to is None else int(to[n]) for n in (c.old, c.new))
    return {
        "element": {"kind": place[0].value, "id": c.element, "name": name(s, c.cell, c.element)},
        "field": key.name,
        "component": getattr(component, "name", component),
        "tier": getattr(tier, "value", tier),
        "old": old,
        "new": new,
        "forced": c.forced,
    }


def _referred(s: Snapshot, cell: Cell) -> Any:
    """The ids of what a cell refers to; None where it holds no reference."""
    if cell.place[0] is Sort.SLOT and cell.key.name in ("reader", "writer"):
        assert s.transfers is not None
        acks = s.transfers.columns.get(Key("ack"))
        return s.transfers.ids if acks is None else acks.values
    field = FIELDS.get((cell.place[0], cell.key.name))
    return s.nodes.ids if field is not None and field.sort is Sort.NODE else None
