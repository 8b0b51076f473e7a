"""What a term means of a step, said a second time: an element is what it is the same by, and looked up at each moment.

Shares nothing with the columns backend but the terms: no rows are aligned, and ghosts are kept in dicts.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from sanitree.invariants.catalogue import GHOSTS, STEP_RULES
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.rules import Rule, checks
from sanitree.invariants.steps import CALL, Ghost
from sanitree.invariants.terms import At, Gather, Get, Moment, Op, Range, Term, Var, walk
from sanitree.invariants.vocabulary import FIELDS, Component, Settings, Sort
from sanitree.models.snapshot import Key
from tests.drafts import Draft, Sheet
from tests.interpreter import Answer, Env, Interpreter
from tests.steps.stage import Stage, Told

BEFORE, AFTER = Moment.BEFORE, Moment.AFTER
Kept = dict[tuple[Ghost, Component | None], dict[Hashable, int]]


class StepInterpreter(Interpreter):
    """Terms on one step. An element is a moment and what it is the same by; an unknown one is None."""

    def __init__(self, before: Draft, told: Told, after: Draft) -> None:
        super().__init__(after)
        self.at = {BEFORE: before, AFTER: after}
        self.told = told
        self.ghosts: dict[tuple[Moment, Sort, str, Component | None], dict[Hashable, int]] = {}

    # Which elements there are.

    def row(self, sort: Sort, moment: Moment, who: Hashable) -> int | None:
        names = self.names(sort, moment)
        return names.index(who) if who in names else None

    def names(self, sort: Sort, moment: Moment) -> list[Hashable]:
        sheet = self.at[moment].sheet(sort)
        assert sheet is not None
        if sort is Sort.TRANSFER:
            return list(zip(sheet("is_write"), sheet("ack"), strict=True)) if len(sheet) else []
        return [0] if sort is Sort.TREE else list(sheet.ids)

    def observed(self, sort: Sort) -> bool:
        return all(self.at[m].sheet(sort) is not None for m in Moment) and (
            sort is not Sort.TRANSFER or all(named(self.at[m].transfers) for m in Moment)
        )

    def everything(self, sort: Sort) -> list[Hashable]:
        found = [*self.names(sort, AFTER), *self.names(sort, BEFORE)]
        if sort is Sort.TRANSFER:
            found += [*(self.told.submitted or ()), *(self.told.acked or ())]
        return list(dict.fromkeys(found))

    def pool(self, var: Var, moment: Moment) -> Sheet:
        c, t = self.pool_of[var]
        key = f"{moment.value} {c.name}", t.value
        if key not in self.pools:
            self.pools[key] = self.at[moment].slots(c, t)
        return self.pools[key]

    def answers(self, check: Any) -> dict[Hashable, Answer] | None:
        """The check's answer at each instance; None where its scope was not observed."""
        var = check.rule.var
        if var.sort is Sort.SLOT:
            self.pool_of[var] = check.component, check.tier
            who: list[Hashable] = self.all_slots(var)
            if not who and not self.looked(var, check.term):
                return None
        elif not self.observed(var.sort):
            return None
        else:
            who = self.everything(var.sort)
        return {x: self.value(check.term, {var: (AFTER, x), CALL: (AFTER, 0)}) for x in who}  # type: ignore[dict-item]

    def all_slots(self, var: Var) -> list[Hashable]:
        return list(dict.fromkeys([*self.pool(var, AFTER).ids, *self.pool(var, BEFORE).ids]))

    def looked(self, var: Var, *terms: Term) -> bool:
        """Whether each list that a term reads of a slot was observed at that moment."""
        for t in (t for term in terms for t in walk(term)):
            if isinstance(t, Get) and t.field.owner is Sort.SLOT:
                moment = t.of.moment if isinstance(t.of, At) else AFTER
                if Key(t.field.name) not in self.pool(var, moment).columns:
                    return False
        return True

    def rows(self, g: Gather, env: Env) -> Any:
        if g.over is Range.SLOTS:
            self.pool_of[g.var] = g.pool  # type: ignore[assignment]
            return [(AFTER, x) for x in self.all_slots(g.var)] if self.looked(g.var, g.where, g.body) else None
        return [(AFTER, x) for x in self.everything(g.var.sort)] if self.observed(g.var.sort) else None

    # What is true of them.

    def value(self, term: Term, env: Env) -> Any:
        if isinstance(term, At):
            of = self.value(term.of, env)
            return None if of is None else (term.moment, of[1])
        return super().value(term, env)

    def apply(self, op: Op, a: list[Any]) -> Any:
        if op is Op.EQ:
            a = [x[1] if isinstance(x, tuple) else x for x in a]
        return super().apply(op, a)

    def get(self, term: Get, env: Env) -> Any:
        of = self.value(term.of, env)
        if of is None:
            return None
        (moment, who), f = of, term.field
        if f.owner is Sort.CALL:
            return self.said(term)
        if f.owner is Sort.SLOT:
            return self.of_slot(f.name, self.variable(term), moment, who)
        component = term.component if isinstance(term.component, Component) else None
        if (ghost := self.ghosts.get((moment, f.owner, f.name, component))) is not None:
            return ghost.get(who)
        row = self.row(f.owner, moment, who)
        if f.name == "exists":
            return row is not None
        if f.name == "called":
            return who == self.told.request if moment is AFTER else None
        if f.name in ("submitted", "acked"):
            heard = getattr(self.told, f.name)
            return None if heard is None or moment is BEFORE else heard.count(who)
        if f.owner is Sort.TRANSFER and f.name in ("ack", "is_write", "is_load"):
            write, ack = who
            return {"ack": ack, "is_write": write, "is_load": not write}[f.name]
        sheet = self.at[moment].sheet(f.owner)
        key = Key.of(f.name, component, term.tier)  # type: ignore[arg-type]
        if row is None or sheet is None or key not in sheet.columns:
            return None
        if key in sheet.known and not sheet.known[key][row]:
            return None
        found = sheet.columns[key][row]
        return (moment, self.at[moment].nodes.ids[found]) if FIELDS[f.owner, f.name].sort is Sort.NODE else found

    def said(self, term: Get) -> int | None:
        said = getattr(self.told, term.field.name)
        if isinstance(said, int) or said is None:
            return said
        return said.get((term.component.name, term.tier.value), 0)  # type: ignore[union-attr, no-any-return]

    @staticmethod
    def variable(term: Get) -> Var:
        of = term.of
        while isinstance(of, At):
            of = of.of
        assert isinstance(of, Var)
        return of

    def of_slot(self, name: str, var: Var, moment: Moment, who: int) -> Any:
        sheet = self.pool(var, moment)
        if Key(name) not in sheet.columns:
            return None
        if name == "number":
            return who
        if name == "pool_size":
            tree, key = self.at[moment].tree, Key.of("capacity", *self.pool_of[var])
            return tree.columns[key][0] if all(tree.known.get(key, [True])) else None
        row = sheet.ids.index(who) if who in sheet.ids else None
        if name == "owner":
            return moment, self.at[moment].nodes.ids[0 if row is None else sheet("owner")[row]]
        if row is None:
            return -1 if name.endswith("_ack") else 0
        return None if Key(name) in sheet.known and not sheet.known[Key(name)][row] else sheet(name)[row]

    # Ghosts.

    def bring(self, kept: Kept, settings: Settings) -> None:
        """What is kept of each element before the call, and after it; `kept` is then what it is after it."""
        for g in GHOSTS:
            sort = g.field.owner
            for c in [c for c in settings.components if g.per.takes(c)] if g.per else [None]:
                old, now = kept.get((g, c), {}), {}
                before = self.ghosts[BEFORE, sort, g.field.name, c] = {}
                if self.observed(sort):
                    for who in self.everything(sort):
                        first = old.get(who, self.first(g, who))
                        if first is not None:
                            before[who] = first
                    bound: Any = {g.component: c} if c else {}
                    term = instantiate(g.term, settings, bound)
                    for who in self.everything(sort):
                        value = self.value(term, {g.var: (AFTER, who), CALL: (AFTER, 0)})  # type: ignore[dict-item]
                        if value is not None:
                            now[who] = value
                self.ghosts[AFTER, sort, g.field.name, c] = now
                there = self.names(sort, AFTER) if self.observed(sort) else []
                kept[g, c] = {who: v for who, v in now.items() if who in there}

    def first(self, g: Ghost, who: Hashable) -> int | None:
        if g.initial is None:
            return None if self.row(g.field.owner, BEFORE, who) is not None else 0
        return self.value(g.initial, {g.var: (BEFORE, who)})  # type: ignore[dict-item, no-any-return]


def named(transfers: Sheet | None) -> bool:
    """Whether it is known which the transfers are."""
    if transfers is None or not len(transfers):
        return transfers is not None
    keys = [Key("is_write"), Key("ack")]
    return all(k in transfers.columns and all(transfers.known.get(k, [True])) for k in keys)


def answers(s: Stage, rules: Sequence[Rule] = STEP_RULES) -> list[dict[tuple[str, Hashable], Answer]]:
    """For each step of a stage, the answer of every check at every instance. Scopes that nobody observed have none."""
    found, kept, before = [], {}, s.first
    for told, after in (*s.past, (s.call, s.after)):
        i = StepInterpreter(before, told, after)
        i.bring(kept, after.settings)
        now: dict[tuple[str, Hashable], Answer] = {}
        for c in checks((r for r in rules if told.operation in r.on), after.settings):
            now.update({(c.name, who): x for who, x in (i.answers(c) or {}).items()})
        found.append(now)
        before = after
    return found
