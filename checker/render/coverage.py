"""What a check of one snapshot covered, and which missing observations kept it from more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sanitree.checker.findings import Finding
from sanitree.checker.render.words import count
from sanitree.invariants.rules import Check, Rule
from sanitree.invariants.terms import Gather, Get, Range, Term, Var, children_of
from sanitree.invariants.vocabulary import Component, Sort, Tier
from sanitree.models.snapshot import Key, Snapshot, Table


@dataclass(frozen=True)
class Coverage:
    """Counts over the findings of one snapshot.

    A rule is *judged* where at least one instance was decided, *idle* where there was
    nothing to judge (no transfer is in flight), and *unseen* where there was or may have
    been, and the unknown decided every instance.
    """

    snapshot: Snapshot
    findings: Sequence[Finding]
    asked: Sequence[Rule] = ()
    """Every rule that was asked for, those that do not apply to the cache among them."""

    @cached_property
    def instances(self) -> int:
        """Instances that were decided."""
        return sum(f.checked for f in self.findings)

    @property
    def extent(self) -> str:
        """How much was judged: `49 rules on 596 instances`."""
        return f"{count(len(self.judged), 'rule')} on {count(self.instances, 'instance')}"

    @property
    def lacking(self) -> str:
        """How much was not: `2 rules nowhere, 5 rules not everywhere`."""
        partly = len({f.check.rule.id for f in self.findings if undecided(f)} - set(self.unseen))
        parts = ((len(self.unseen), "nowhere"), (partly, "not everywhere"))
        return ", ".join(f"{count(n, 'rule')} {where}" for n, where in parts if n) or "nothing"

    @cached_property
    def violated(self) -> int:
        """Instances that are violated."""
        return sum(len(f.violated) for f in self.findings)

    @cached_property
    def rules(self) -> dict[str, tuple[Rule, list[Finding]]]:
        """Findings by rule, in the catalogue's order."""
        found: dict[str, tuple[Rule, list[Finding]]] = {}
        for f in self.findings:
            found.setdefault(f.check.rule.id, (f.check.rule, []))[1].append(f)
        return found

    @property
    def judged(self) -> list[str]:
        return [i for i, (_, fs) in self.rules.items() if any(f.checked for f in fs)]

    @property
    def unseen(self) -> list[str]:
        return [i for i, (_, fs) in self.rules.items() if not any(f.checked for f in fs) and any(map(undecided, fs))]

    @property
    def idle(self) -> list[str]:
        return [i for i, (_, fs) in self.rules.items() if not any(f.checked or undecided(f) for f in fs)]

    @cached_property
    def gaps(self) -> list[Gap]:
        """What was not checked, by what was missing; the most common reason first."""
        found: dict[tuple[str, ...], list[Finding]] = {}
        for f in self.findings:
            if undecided(f):
                found.setdefault(missing(self.snapshot, f.check), []).append(f)
        return sorted((Gap(k, tuple(v)) for k, v in found.items()), key=lambda g: -len(g.findings))


def undecided(f: Finding) -> bool:
    """Whether an instance could not be judged, or nobody knows whether there was one."""
    return bool(f.unchecked) or not f.observed


@dataclass(frozen=True, slots=True)
class Gap:
    """Checks that lacked the same observations.

    missing: fields as in `node.lock[full, host]`, or a whole kind of element as in `requests`.
    """

    missing: tuple[str, ...]
    findings: tuple[Finding, ...]


def missing(s: Snapshot, check: Check) -> tuple[str, ...]:
    """Everything that the check reads and that was not observed, or not of every element."""
    found = dict.fromkeys(_missing(s, check))
    # Of a kind of element that nobody saw, the single fields say nothing more.
    whole = {name for name in found if "." not in name}
    return tuple(n for n in found if n in whole or f"{n.split('.')[0]}s" not in whole)


def _missing(s: Snapshot, check: Check) -> Iterator[str]:
    pool = (check.component, check.tier)
    if table_of(s, check.rule.scope, pool) is None:
        yield f"{check.rule.scope.value}s"
    yield from _walk(s, check.term, {check.rule.var: pool})


Pool = tuple[Component | None, Tier | None]


def _walk(s: Snapshot, term: Term, pools: Mapping[Var, Pool]) -> Iterator[str]:
    if isinstance(term, Gather):
        c, t = (term.pool if term.over is Range.SLOTS else None) or (None, None)
        over = (c if isinstance(c, Component) else None, t if isinstance(t, Tier) else None)
        pools = {**pools, term.var: over}
        if table_of(s, term.over.sort, pools[term.var]) is None:
            yield f"{term.over.sort.value}s"
    if isinstance(term, Get):
        pool = pools.get(term.of, (None, None)) if isinstance(term.of, Var) else (None, None)
        table = table_of(s, term.field.owner, pool)
        if table is not None:
            yield from _field(table, term, pool)
    for part in children_of(term):
        yield from _walk(s, part, pools)


def _field(table: Table, get: Get, pool: Pool) -> Iterator[str]:
    component, tier = get.component, get.tier
    assert component is None or isinstance(component, Component)
    assert tier is None or isinstance(tier, Tier)
    column = table.columns.get(Key.of(get.field.name, component, tier))
    shown = [x.name if isinstance(x, Component) else x.value for x in (component, tier) if x]
    if get.field.owner is Sort.SLOT:
        shown = [x.name if isinstance(x, Component) else x.value for x in pool if x]
    name = f"{get.field.owner.value}.{get.field.name}" + (f"[{', '.join(shown)}]" if shown else "")
    if column is None:
        yield name
    elif column.known is not None and not bool(column.known.all()):
        yield f"{name} of {int((~column.known).sum()):,} out of {len(table):,}"


def table_of(s: Snapshot, sort: Sort, pool: Pool = (None, None)) -> Table | None:
    """The table of a kind of element; None where that kind was not observed."""
    match sort:
        case Sort.TREE:
            return s.tree
        case Sort.TRANSFER:
            return s.transfers
        case Sort.REQUEST:
            return s.requests
        case Sort.SLOT:
            component, tier = pool
            assert component is not None
            assert tier is not None
            return s.slots(component, tier)
    return s.nodes
