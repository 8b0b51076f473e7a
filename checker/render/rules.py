"""Rules for people: the list with its matrix of backends, and one rule in full."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sanitree.checker.backends import BACKENDS, FUSED, backends_of
from sanitree.checker.render.words import BOLD, CYAN, DIM, count
from sanitree.invariants.calls import ANY_CALL
from sanitree.invariants.rules import Cost, Rule
from sanitree.invariants.sentences import sentence, settings_sentence
from sanitree.invariants.terms import Get, walk
from sanitree.invariants.vocabulary import Field, Kind, Lowering, Sort


def scope_of(rule: Rule) -> str:
    """What an instance is about: `node × component × device, host`."""
    parts = [rule.scope.value]
    if rule.per:
        parts.append(rule.per.value)
    if rule.tiers:
        parts.append(" and ".join(t.value for t in rule.tiers))
    return " × ".join(parts)


def fields_of(rule: Rule) -> tuple[Field, ...]:
    """The words of the vocabulary that a rule reads, in reading order."""
    return tuple(dict.fromkeys(t.field for t in walk(rule.term) if isinstance(t, Get)))


_SHORT = {
    Kind.ANY: "component",
    Kind.BACKBONE: "backbone",
    Kind.AUXILIARY: "auxiliary",
    Kind.PER_TOKEN: "per-token",
    Kind.PER_NODE: "per-node",
}


def _short_scope(rule: Rule) -> str:
    tiers = "tier" if len(rule.tiers) > 1 else rule.tiers[0].value if rule.tiers else ""
    return " × ".join(p for p in (rule.scope.value, _SHORT[rule.per] if rule.per else "", tiers) if p)


def listing(rules: Iterable[Rule], total: int, width: int) -> RenderableType:
    """Every rule under its family. Where lines are long a rule has one, else its conditions get a second."""
    chosen = list(rules)
    rows = [(r, _short_scope(r), r.cost.name.lower()) for r in chosen]
    name = max((len(r.id) for r in chosen), default=0)
    scope = max((len(s) for _, s, _ in rows), default=0)
    wide = width >= 118
    parts: list[RenderableType] = []
    for family, members in groupby(rows, lambda row: row[0].family):
        marks = " ".join(BACKENDS)
        heading = Text(f"{family.value.upper():<{name + 1}}", BOLD)
        heading.append(f"{'for each':<{scope}} cost  {marks}{'  applies when' if wide else ''}", f"not bold {DIM}")
        parts.append(heading)
        for r, about, cost in members:
            can = backends_of(r)
            row = Text(f"{r.id:<{name + 1}}")
            row.append(f"{about:<{scope}} {cost:<5} ", DIM)
            row.append(" ".join(f"{'✓' if b in can else '-':^{len(b)}}" for b in BACKENDS))
            if when := conditions(r):
                row.append(f"  {when}" if wide else f"\n    {when}", CYAN)
            parts.append(row)
        parts.append(Text())
    foot = count(len(chosen), "rule") if len(chosen) == total else f"{len(chosen)} of {count(total, 'rule')}"
    parts.append(Text(f"{foot}. Cost: {'; '.join(f'{c.name.lower()} {c.value}' for c in Cost)}.", DIM))
    parts.append(Text("`sanitree rules RULE` explains one.", DIM))
    return Group(*parts)


def conditions(rule: Rule) -> str:
    """When a rule applies: after which calls, under which settings."""
    calls = ""
    if rule.on:
        left_out = [o.value for o in ANY_CALL if o not in rule.on]
        calls = "after any call" + (f" but {', '.join(left_out)}" if left_out else "")
        if len(left_out) > len(rule.on):
            calls = f"after {', '.join(o.value for o in rule.on)}"
    when = settings_sentence(rule.when)
    where = f"with {rule.of.name}" if rule.of else ""
    return ", ".join(p for p in (calls, where, f"when {when}" if when else "") if p)


_LIVE = "\nlive: judged on columns of slots gathered from the live tree"
_STEP = "\nlive: judged on the columns of two states, before and after a call"


def in_full(rule: Rule) -> RenderableType:
    """Everything that a rule's declaration says."""
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_column(style=DIM, no_wrap=True)
    facts.add_column()
    can = backends_of(rule)
    live = "" if FUSED in can else _STEP if rule.on else _LIVE
    backends = ", ".join(b if b in can else f"not {b}" for b in BACKENDS) + live
    for what, told in (
        ("must be true", Text(sentence(rule.term), CYAN)),
        ("of each", Text(f"{scope_of(rule)}  ({rule.var.name} stands for the {rule.scope.value})")),
        ("applies", Text(conditions(rule) or "always")),
        ("family", Text(rule.family.value)),
        ("cost", Text(rule.cost.value)),
        ("backends", Text(backends)),
        ("said at", Text(rule.said_at)),
    ):
        facts.add_row(what, told)
    note: list[RenderableType] = [Text(), Padding(Text(rule.note), (0, 0, 0, 2))] if rule.note else []
    return Group(
        Text(rule.id, BOLD),
        Padding(Text(rule.prose), (0, 0, 0, 2)),
        *note,
        Text(),
        Padding(facts, (0, 0, 0, 2)),
        Text(),
        Padding(Text("reads", DIM), (0, 0, 0, 2)),
        Padding(_fields(rule), (0, 0, 0, 4)),
    )


_LOWERED = {
    Lowering.UNIFORM: "the same for every page of the node",
    Lowering.TAIL: "belongs to the node's last page",
    Lowering.LENGTH: "summed over the node's pages",
    Lowering.NONE: "",
}


def _fields(rule: Rule) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for f in fields_of(rule):
        index = f"[{f.index.value}]" if f.index.value != "-" else ""
        unit = f.unit or f.sort.value
        details = [f"a {unit}" if f.sort in (Sort.BOOL, Sort.NODE) else f"in {unit}"]
        if f.owner is Sort.NODE and _LOWERED[f.lowering]:
            details.append(_LOWERED[f.lowering])
        table.add_row(
            Text(f"{f.owner.value}{index}.{f.name}"), Text.assemble(f.meaning, (f"  ({'; '.join(details)})", DIM))
        )
    return table


def plain(rule: Rule) -> dict[str, object]:
    """A rule for --json."""
    can = backends_of(rule)
    return {
        "id": rule.id,
        "family": rule.family.value,
        "scope": rule.scope.value,
        "per": rule.per.value if rule.per else None,
        "tiers": [t.value for t in rule.tiers],
        "of": rule.of.name if rule.of else None,
        "cost": rule.cost.value,
        "when": settings_sentence(rule.when) or "always",
        "on": [o.value for o in rule.on],
        "backends": {b: b in can for b in BACKENDS},
        "prose": rule.prose,
        "note": rule.note,
        "sentence": sentence(rule.term),
        "fields": [
            {
                "owner": f.owner.value,
                "name": f.name,
                "sort": f.sort.value,
                "unit": f.unit,
                "index": f.index.value,
                "lowering": f.lowering.value,
                "meaning": f.meaning,
            }
            for f in fields_of(rule)
        ],
        "said_at": rule.said_at,
    }
