"""Rules that say something slightly else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sanitree.invariants.calls import CALL_FIELDS, GHOST_FIELDS, is_of_a_state
from sanitree.invariants.instantiate import simplify
from sanitree.invariants.rules import Rule
from sanitree.invariants.semantics import join_of
from sanitree.invariants.sentences import sentence
from sanitree.invariants.steps import CALL, Ghost
from sanitree.invariants.terms import (
    TRUE,
    Apply,
    At,
    Const,
    Each,
    Fold,
    Gather,
    Get,
    Moment,
    Op,
    PathSum,
    SayError,
    Term,
    Var,
    free_variables,
    make,
    walk,
)
from sanitree.invariants.vocabulary import DEVICE, FIELDS, HOST, Field, Sort, Tier, TierVar


@dataclass(frozen=True, eq=False)
class Mutant:
    """A rule with one thing changed, and in words what."""

    rule: Rule
    changed: Rule
    what: str

    @property
    def id(self) -> str:
        return self.rule.id


@dataclass(frozen=True, eq=False)
class GhostMutant:
    """A ghost with one thing changed, and in words what."""

    ghost: Ghost
    changed: Ghost
    what: str

    @property
    def id(self) -> str:
        return self.ghost.field.name


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Every rule that differs from this one by one small change, none twice."""
    said: Counter[str] = Counter()
    for m in _mutants(rule):
        said[m.what] += 1
        # The same change of the same text, at another place.
        yield m if said[m.what] == 1 else replace(m, what=f"{m.what} ({said[m.what]})")


def _mutants(rule: Rule) -> Iterator[Mutant]:
    seen: set[tuple[Term, Term]] = {(rule.term, rule.when)}
    for part in ("term", "when"):
        for term, what in variants(getattr(rule, part), _here_in_steps if rule.on else _here):
            changed = replace(rule, **{part: term})
            if (changed.term, changed.when) in seen or not _can_be_said(term, rule.var):
                continue
            seen.add((changed.term, changed.when))
            if _tidy(changed.term) is not _tidy(rule.term) or part == "when":
                yield Mutant(rule, changed, what if part == "term" else f"when it applies: {what}")
    for operation in rule.on if len(rule.on) > 1 else ():
        changed = replace(rule, on=tuple(o for o in rule.on if o is not operation))
        yield Mutant(rule, changed, f"not after {operation.value}")


def ghost_mutants(ghost: Ghost) -> Iterator[GhostMutant]:
    """Every ghost that differs from this one by one small change, none twice."""
    seen: set[Term | None] = {ghost.term, ghost.initial}
    for part, words in (("term", ""), ("initial", "at first: ")):
        said = getattr(ghost, part)
        for term, what in () if said is None else variants(said, _here_in_steps):
            if term not in seen and _can_be_said(term, ghost.var) and _tidy(term) is not _tidy(said):
                seen.add(term)
                yield GhostMutant(ghost, replace(ghost, **{part: term}), words + what)


def _can_be_said(term: Term, var: Var) -> bool:
    if free_variables(term) - {var, CALL}:
        return False
    try:
        for t in walk(term):
            if isinstance(t, Gather):
                join_of(t)
    except ValueError:
        return False
    return True


Here = Callable[[Term], Iterator[tuple[Term, str]]]


def variants(t: Term, here: Here) -> Iterator[tuple[Term, str]]:
    """Every term that differs from `t` by one change anywhere in it; `here` are those at its top."""
    for new, what in here(t):
        yield new, f"{what}: {_text(t)} → {_text(new)}"
    for part, back in _parts(t):
        for new, what in variants(part, here):
            try:
                yield back(new), what
            except SayError:
                continue


def _text(t: Term) -> str:
    return sentence(t)


def _parts(t: Term) -> Iterator[tuple[Term, Callable[[Term], Term]]]:
    """The direct subterms, each with how to put another in its place."""
    match t:
        case Get():
            yield t.of, lambda x: make(Get, t.field, x, t.component, t.tier)
        case At():
            yield t.of, lambda x: make(At, t.moment, x)
        case Apply():
            for i, a in enumerate(t.args):
                yield a, lambda x, i=i: make(Apply, t.op, (*t.args[:i], x, *t.args[i + 1 :]))
        case Gather():
            yield t.where, lambda x: make(Gather, t.fold, t.over, t.var, x, t.body, t.parent, t.pool)
            yield t.body, lambda x: make(Gather, t.fold, t.over, t.var, t.where, x, t.parent, t.pool)
        case PathSum():
            yield t.node, lambda x: make(PathSum, x, t.var, t.body)
            yield t.body, lambda x: make(PathSum, t.node, t.var, x)
        case Each():
            yield t.body, lambda x: make(Each, t.join, t.kind, t.var, x)


def _here(t: Term) -> Iterator[tuple[Term, str]]:
    """What can be changed at the top of `t`."""
    match t:
        case Const():
            if t.sort is Sort.INT:
                yield make(Const, t.value + 1), "one more"
                yield make(Const, t.value - 1), "one less"
        case Get():
            yield from _siblings(t)
        case Apply():
            yield from _operators(t)
        case Gather():
            yield from _folds(t)
        case PathSum():
            yield make(Get, *_only_field(t)), "one node for the path"
        case Each(join=Op.AND):
            yield make(Each, Op.OR, t.kind, t.var, t.body), "some for every"
        case Each(join=Op.OR):
            yield make(Each, Op.AND, t.kind, t.var, t.body), "every for some"
    if t.sort is Sort.BOOL and not isinstance(t, Const) and not (isinstance(t, Apply) and t.op is Op.NOT):
        yield make(Apply, Op.NOT, (t,)), "negated"


def _here_in_steps(t: Term) -> Iterator[tuple[Term, str]]:
    """The same in a step, where an element may also be seen at another moment."""
    yield from _here(t)
    match t:
        case At():
            yield t.of, f"{t.moment.value} dropped"
        case Get(field, Var() as of) if field.name == "exists" or is_of_a_state(field):
            yield make(Get, field, make(At, Moment.BEFORE, of), t.component, t.tier), "before the call"


def _only_field(t: PathSum) -> tuple[Field, Term, object, object]:
    assert isinstance(t.body, Get)
    return t.body.field, t.node, t.body.component, t.body.tier


def _operators(t: Apply) -> Iterator[tuple[Term, str]]:
    a, b = t.args[0], t.args[-1]
    match t.op:
        case Op.NOT:
            yield a, "not dropped"
        case Op.AND | Op.OR:
            for i in range(len(t.args)):
                rest = (*t.args[:i], *t.args[i + 1 :])
                kept = rest[0] if len(rest) == 1 else make(Apply, t.op, rest)
                yield kept, "conjunct dropped" if t.op is Op.AND else "disjunct dropped"
            other = Op.OR if t.op is Op.AND else Op.AND
            yield make(Apply, other, t.args), f"{other.value} for {t.op.value}"
        case Op.IMPLIES:
            yield b, "condition dropped"
            yield make(Apply, Op.NOT, (a,)), "conclusion dropped"
            yield make(Apply, Op.IMPLIES, (b, a)), "turned round"
            yield make(Apply, Op.IFF, (a, b)), "exactly if for if"
            yield make(Apply, Op.AND, (a, b)), "and for if"
        case Op.IFF:
            yield make(Apply, Op.IMPLIES, (a, b)), "only if"
            yield make(Apply, Op.IMPLIES, (b, a)), "only the other way"
        case Op.EQ:
            if a.sort is Sort.INT:
                yield make(Apply, Op.LE, (a, b)), "≤ for ="
                yield make(Apply, Op.LE, (b, a)), "≥ for ="
        case Op.LT:
            yield make(Apply, Op.LE, (a, b)), "≤ for <"
            yield make(Apply, Op.LT, (b, a)), "> for <"
            yield make(Apply, Op.EQ, (a, b)), "= for <"
        case Op.LE:
            yield make(Apply, Op.LT, (a, b)), "< for ≤"
            yield make(Apply, Op.LE, (b, a)), "≥ for ≤"
            yield make(Apply, Op.EQ, (a, b)), "= for ≤"
        case Op.ADD:
            yield make(Apply, Op.SUB, (a, b)), "- for +"
            yield a, "addend dropped"
            yield b, "addend dropped"
        case Op.SUB:
            yield make(Apply, Op.ADD, (a, b)), "+ for -"
            yield make(Apply, Op.SUB, (b, a)), "turned round"
            yield a, "subtrahend dropped"
        case Op.MOD:
            yield a, "mod dropped"
        case Op.ITE:
            yield make(Apply, Op.ITE, (a, t.args[2], t.args[1])), "branches swapped"
            yield t.args[1], "always the first"
            yield t.args[2], "always the second"


def _folds(t: Gather) -> Iterator[tuple[Term, str]]:
    def fold(kind: Fold, where: Term = t.where, body: Term = t.body) -> Term:
        return make(Gather, kind, t.over, t.var, where, body, t.parent, t.pool)

    if t.where is not TRUE:
        yield fold(t.fold, where=TRUE), "where dropped"
    match t.fold:
        case Fold.SOME if t.body is not TRUE:
            yield fold(Fold.ALL), "every for some"
        case Fold.ALL:
            yield fold(Fold.SOME), "some for every"
        case Fold.SUM:
            yield fold(Fold.COUNT, body=TRUE), "count for sum"
        case Fold.COUNT:
            yield make(Const, 0), "nothing for count"
        case Fold.DISTINCT:
            yield TRUE, "always distinct"
    if isinstance(t.pool, tuple):
        c, tier = t.pool
        for other in _other_tiers(tier):
            yield make(Gather, t.fold, t.over, t.var, t.where, t.body, t.parent, (c, other)), "other tier"


def _other_tiers(t: Tier | TierVar | None) -> tuple[Tier, ...]:
    return () if t is None else (HOST,) if t is DEVICE else (DEVICE,) if t is HOST else (DEVICE, HOST)


SIBLINGS = (
    {"is_write", "is_load", "takes_lock", "node_in_tree"},
    {"ack", "published", "queued"},
    {"write_pending", "load_pending"},
    {"write_ack", "load_ack"},
    {"in_device_leaves", "in_host_leaves", "in_host_duplicates"},
    {"device_leaves", "host_leaves", "host_duplicates", "registered_nodes"},
    {"evictable_size", "protected_size"},
    {"capacity", "available"},
    {"number", "pool_size"},
    {"free", "in_tree", "held", "read", "written"},
    {"reader_ack", "writer_ack"},
    {"edge", "first_page", "key_len"},
    {"lru_rank", "lru_prev_rank"},
    {"tokens", "lock"},
    {"present", "in_lru"},
    {"parent", "parent_link"},
    {"is_root", "has_parent_link"},
    {"asked", "evicted", "dropped"},
    {"submitted", "acked"},
    {"hits", "key_len"},
)
"""Fields that could be taken for each other."""


def _siblings(t: Get) -> Iterator[tuple[Term, str]]:
    for other in _other_tiers(t.tier):  # type: ignore[arg-type]
        yield make(Get, t.field, t.of, t.component, other), "other tier"
    near = {name for group in SIBLINGS if t.field.name in group for name in group}
    for (owner, name), field in (*FIELDS.items(), *CALL_FIELDS.items(), *GHOST_FIELDS.items()):
        alike = (owner, field.sort, field.index) == (t.field.owner, t.field.sort, t.field.index)
        if alike and name in near and name != t.field.name:
            yield make(Get, field, t.of, t.component, t.tier), "another field"
    if t.field.name == "parent":
        yield t.of, "itself for its parent"
    if t.field.sort is Sort.INT:
        yield make(Apply, Op.ADD, (t, make(Const, 1))), "one more"


def _tidy(t: Term) -> Term:
    """Without what says nothing: double negations and literals."""
    if isinstance(t, Apply):
        t = simplify(make(Apply, t.op, tuple(_tidy(a) for a in t.args)))
        if isinstance(t, Apply) and t.op is Op.NOT and isinstance(t.args[0], Apply) and t.args[0].op is Op.NOT:
            return t.args[0].args[0]
    return t
