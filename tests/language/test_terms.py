"""Terms: one object for one meaning, settings folded away, sentences and backends pinned."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sanitree.checker.backends import BACKENDS, COLUMNS, FUSED, backends_of
from sanitree.checker.columns import Evaluator
from sanitree.invariants.catalogue import CATALOGUE, RULES
from sanitree.invariants.language import (
    all_of,
    any_of,
    count,
    distinct,
    every,
    iff,
    implies,
    is_kind,
    ite,
    nodes,
    page_size,
    policy_is,
    some,
    sum_over,
    trait,
)
from sanitree.invariants.rules import Cost, Family, Rule, checks, rule
from sanitree.invariants.sentences import sentence, settings_sentence
from sanitree.invariants.terms import FALSE, TRUE, Const, Each, Known, make, walk
from sanitree.invariants.vocabulary import (
    DEVICE,
    FULL,
    MAMBA,
    SWA,
    TRAITS,
    WRITE_THROUGH_FAMILY,
    ComponentVar,
    Kind,
    Policy,
    Settings,
    Sort,
    TierVar,
)
from sanitree.models.snapshot import Column, Key, Origin, Snapshot, Table
from tests.legal import PLANS, plan_of

GOLDEN = Path(__file__).parent / "catalogue.txt"
PLAIN = Settings(Policy.WRITE_BACK, (FULL,), frozenset(), 4)


def said(function, **more) -> Rule:
    function.__doc__ = function.__doc__ or "Something."
    return rule(Family.SHAPE, Sort.NODE, **more)(function)


# Interning.


def test_the_same_text_is_the_same_object() -> None:
    def text(n):
        return implies(n.is_root, (n.key_len == 0) & every(nodes, lambda m: m.hits >= 0))

    assert said(text).term is said(text).term


def test_a_literal_is_of_its_own_sort() -> None:
    assert make(Const, True) is TRUE
    assert make(Const, 1) is not TRUE
    assert make(Const, 0) is not FALSE
    assert make(Const, 1) is make(Const, 1)


def test_different_texts_are_different_objects() -> None:
    texts = [
        said(lambda n: n[FULL].lock == 0),
        said(lambda n: n[FULL].host_lock == 0),
        said(lambda n: n[SWA].lock == 0),
        said(lambda n: n[FULL].lock == 1),
        said(lambda n: n[FULL].lock <= 0),
        said(lambda n: n.parent[FULL].lock == 0),
    ]
    assert len({r.term for r in texts}) == len(texts)


# Sentences.


def catalogue_text() -> str:
    lines = []
    for r in RULES:
        where = settings_sentence(r.when)
        repeated = [*([f"per {r.per.value}"] if r.per else []), *(t.value for t in r.tiers)]
        about = ", ".join([r.family.value, r.scope.value, r.cost.name.lower(), *repeated])
        calls = [f"  after {', '.join(o.value for o in r.on)}"] if r.on else []
        lines += [f"{r.id} ({about})", *([f"  when {where}"] if where else []), *calls, f"  {sentence(r.term)}", ""]
    return "\n".join(lines)


def test_the_catalogue_reads_as_it_did() -> None:
    """SANITREE_GOLDEN=write rewrites the file."""
    if os.environ.get("SANITREE_GOLDEN") == "write":
        GOLDEN.write_text(catalogue_text())
    assert catalogue_text() == GOLDEN.read_text(), "SANITREE_GOLDEN=write rewrites it"


def test_no_two_rules_say_the_same() -> None:
    about = {(r.scope, r.per, r.tiers, r.when, r.term) for r in CATALOGUE}
    assert len(about) == len(CATALOGUE)


# Instantiation.


def test_settings_are_folded_away() -> None:
    def one(rule_: Rule, s: Settings = PLAIN):
        found = checks([rule_], s)
        return found[0].term if found else TRUE

    plain = said(lambda n: n.is_root).term
    assert one(said(lambda n: implies(trait("tiered"), n.is_root))) is TRUE
    assert (
        one(said(lambda n: implies(trait("tiered"), n.is_root)), replace(PLAIN, traits=frozenset({"tiered"}))) is plain
    )
    assert one(said(lambda n: policy_is(*WRITE_THROUGH_FAMILY) | n.is_root)) is plain
    assert one(said(lambda n: policy_is(Policy.WRITE_BACK) & n.is_root)) is plain
    assert one(said(lambda n: policy_is(Policy.WRITE_THROUGH) & n.is_root)) is FALSE
    assert one(said(lambda n: ite(trait("tiered"), n.hits, n.key_len) == 0)) is said(lambda n: n.key_len == 0).term
    assert one(said(lambda n: n.key_len % page_size == 0)) is said(lambda n: n.key_len % 4 == 0).term
    assert one(said(lambda n: ~trait("tiered") & n.is_root)) is plain
    for s in (plan_of(seed).settings for seed in range(0, PLANS, 7)):
        for c in checks(CATALOGUE, s):
            left = [t for t in walk(c.term) if isinstance(t, Known | Each)]
            assert not left, c.name
            names = [getattr(t, x, None) for t in walk(c.term) for x in ("component", "tier")]
            assert not [x for x in names if isinstance(x, ComponentVar | TierVar)], c.name


def test_a_rule_is_repeated_for_what_the_cache_has() -> None:
    def names(r: Rule, *components) -> list[str]:
        return [c.name for c in checks([r], replace(PLAIN, components=(FULL, *components)))]

    aux = said(lambda n, c: n[c].lock == 0, per=Kind.AUXILIARY)
    assert names(aux) == []
    assert names(aux, SWA, MAMBA) == ["<lambda>[swa]", "<lambda>[mamba]"]
    both = said(lambda n, c, t: n[c, t].lock == 0, per=Kind.PER_TOKEN, tiers=(DEVICE,))
    assert names(both, SWA, MAMBA) == ["<lambda>[full, device]", "<lambda>[swa, device]"]
    assert names(said(lambda n, c: is_kind(c, Kind.AUXILIARY) & n.is_root, per=Kind.BACKBONE)) == [
        "<lambda>"[:0] + "<lambda>[full]"
    ]
    assert names(said(lambda n: n.is_root, when=trait("tiered"))) == []
    assert names(said(lambda n: n.is_root, when=~trait("tiered"))) == ["<lambda>"]


def test_every_rule_applies_under_some_settings_and_no_trait_is_idle() -> None:
    applied = {c.rule.id for seed in range(PLANS) for c in checks(CATALOGUE, plan_of(seed).settings)}
    assert applied == {r.id for r in CATALOGUE}
    asked = {t.argument for r in RULES for part in (r.when, r.term) for t in walk(part) if isinstance(t, Known)}
    assert set(TRAITS) <= asked


# Backends.

ONLY_COLUMNS = {r.id for r in CATALOGUE if r.cost in (Cost.SLOT, Cost.BYTES)} - {"window_slots_mirror_full"}


@pytest.mark.parametrize("r", CATALOGUE, ids=lambda r: r.id)
def test_backends_take_what_they_did(r: Rule) -> None:
    assert backends_of(r) == ({COLUMNS} if r.id in ONLY_COLUMNS else {FUSED, COLUMNS})


def test_no_backend_loses_rules_silently() -> None:
    assert BACKENDS == (FUSED, COLUMNS)
    assert sum(FUSED in backends_of(r) for r in CATALOGUE) >= 57
    assert len(ONLY_COLUMNS) == len(CATALOGUE) - sum(FUSED in backends_of(r) for r in CATALOGUE)


# Three values: every word on every combination, by tables that were written out by hand.

T, F, U = True, False, None
NOT = {T: F, F: T, U: U}
AND = {(T, T): T, (T, F): F, (T, U): U, (F, T): F, (F, F): F, (F, U): F, (U, T): U, (U, F): F, (U, U): U}
OR = {(T, T): T, (T, F): T, (T, U): T, (F, T): T, (F, F): F, (F, U): U, (U, T): T, (U, F): U, (U, U): U}
IMPLIES = {(T, T): T, (T, F): F, (T, U): U, (F, T): T, (F, F): T, (F, U): T, (U, T): T, (U, F): U, (U, U): U}
IFF = {(T, T): T, (T, F): F, (T, U): U, (F, T): F, (F, F): T, (F, U): U, (U, T): U, (U, F): U, (U, U): U}


def three(function, a: list, b: list, hits: list | None = None) -> list:
    """The answers at nodes whose in_device_leaves and in_host_leaves are `a` and `b`, and whose hits are `hits`."""

    def column(values: list, empty: object) -> Column:
        known = torch.tensor([v is not None for v in values])
        return Column(torch.tensor([empty if v is None else v for v in values]), known)

    count_ = len(a)
    columns = {
        Key("parent"): Column(torch.zeros(count_, dtype=torch.int64)),
        Key("in_device_leaves"): column(a, empty=True),
        Key("in_host_leaves"): column(b, empty=True),
        Key("hits"): column(hits or [0] * count_, empty=99),
    }
    nodes_ = Table(torch.arange(count_), columns)
    s = Snapshot(Origin("", "", ""), PLAIN, Table(torch.zeros(1, dtype=torch.int64)), nodes_)
    (c,) = checks([said(function)], PLAIN)
    finding = Evaluator(s).judge(c)
    answers = [Evaluator(s).value_at(c.term, c, row) for row in range(count_)]
    assert [r for r, x in enumerate(answers) if x is False] == list(finding.violated)
    assert finding.unchecked == answers.count(None)
    return answers


@pytest.mark.parametrize(
    ("word", "table"),
    [(lambda a, b: a & b, AND), (all_of, AND), (lambda a, b: a | b, OR), (any_of, OR), (implies, IMPLIES), (iff, IFF)],
    ids=["&", "all_of", "|", "any_of", "implies", "iff"],
)
def test_words_of_two_in_three_values(word, table: dict) -> None:
    pairs = list(itertools.product((T, F, U), repeat=2))
    found = three(lambda n: word(n.in_device_leaves, n.in_host_leaves), [a for a, _ in pairs], [b for _, b in pairs])
    assert found == [table[pair] for pair in pairs]


def test_not_in_three_values() -> None:
    assert three(lambda n: ~n.in_device_leaves, [T, F, U], [T, T, T]) == [NOT[x] for x in (T, F, U)]


def test_a_choice_is_known_where_its_condition_and_its_branch_are() -> None:
    found = three(
        lambda n: ite(n.in_device_leaves, n.hits, 7) == 7, [T, T, T, F, F, U, U], [T] * 7, [7, 5, U, 5, U, 7, U]
    )
    assert found == [T, F, U, T, T, U, U]


@pytest.mark.parametrize("where", list(itertools.product((T, F, U), repeat=2)))
@pytest.mark.parametrize("body", list(itertools.product((T, F, U), repeat=2)))
def test_folds_in_three_values(where: tuple, body: tuple) -> None:
    """Against the same fold written out over the two elements."""
    w, b = list(where), list(body)

    met = [AND[x, y] for x, y in zip(w, b, strict=True)]
    held = [IMPLIES[x, y] for x, y in zip(w, b, strict=True)]

    def cond(m):
        return m.in_device_leaves

    def body_(m):
        return m.in_host_leaves

    assert three(lambda n: some(nodes, body_, where=cond), w, b) == [OR[tuple(met)]] * 2
    assert three(lambda n: every(nodes, body_, where=cond), w, b) == [AND[tuple(held)]] * 2
    total = None if U in w else sum(x is T for x in w)
    counted = three(lambda n: count(nodes, where=cond) == 1, w, b)
    assert counted == [None if total is None else total == 1] * 2


@pytest.mark.parametrize(
    ("where", "hits", "sum_is_five", "all_differ"),
    [
        ([T, T], [2, 3], T, T),
        ([T, T], [5, 5], F, F),
        ([T, F], [5, 5], T, T),
        ([T, F], [5, U], T, T),
        ([T, U], [5, 5], U, U),
        ([T, T], [5, U], U, U),
        ([F, F], [5, 5], F, T),
        ([U, F], [5, 5], U, U),
    ],
)
def test_sums_and_distinct_in_three_values(where: list, hits: list, sum_is_five: object, all_differ: object) -> None:
    def cond(m):
        return m.in_device_leaves

    total = three(lambda n: sum_over(nodes, lambda m: m.hits, where=cond) == 5, where, [T, T], hits)
    assert total == [sum_is_five] * 2
    differ = three(lambda n: distinct(nodes, lambda m: m.hits, where=cond), where, [T, T], hits)
    assert differ == [all_differ] * 2
