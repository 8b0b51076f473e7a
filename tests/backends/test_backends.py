"""The generated pass over live objects and the columns of a snapshot of them find the same, whatever the tree is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from random import Random

import pytest

from sanitree.checker.columns import Evaluator
from sanitree.checker.fused import IRREGULAR, Fused, compile_checks
from sanitree.invariants.catalogue import BY_ID
from sanitree.invariants.rules import Check
from sanitree.invariants.vocabulary import FIELDS, FULL, Sort
from sanitree.models.engines.observe import snapshot
from sanitree.models.engines.python_core import reading
from sanitree.models.engines.view import View
from sanitree.models.reading import Reading
from sanitree.models.snapshot import Snapshot
from tests.backends import pokes
from tests.backends.standin import view
from tests.corrupt import corrupt
from tests.legal import checks_of, legal
from tests.planted.faults import FAULTS
from tests.planted.plant import planted
from tests.planted.tools import Fault

OF_SHAPE = {"node_is_readable", "root_is_the_top", "parent_and_child_agree", "one_parent"}
"""The rules that say what makes a tree; where one is violated no single pass could judge the others."""

OF_LISTS = {"lru_list_is_linked", "lru_links_agree", "lru_walk_is_whole"}
"""The rules that say what makes a list; where one is violated the pass judges no rank."""

CANNOT_BE = {
    "node_cannot_be_read",  # stand-ins are made of what fits
    "node_is_in_no_map",  # then nobody finds it
    "root_is_referenced",  # by whom?
    "siblings_begin_alike",  # under one edge, so one of them is lost
    "lru_length_is_off_by_one",  # nothing but a walk's outcome
    "two_writes_of_one_ack",  # transfers are kept by their acks
    "two_loads_of_one_ack",
    "backup_has_other_bytes",  # nobody reads them
    "copies_hold_the_bytes_of_another_prompt",
}
"""Faults of snapshots that no live objects can have."""

_ALONE: dict[object, Fused] = {}


def alone(c: Check, r: Reading, v: View) -> Fused:
    key = c, v.version, v.settings, v.requests is None
    if key not in _ALONE:
        _ALONE[key] = compile_checks([c], r)
    return _ALONE[key]


@cache
def _whole(version: str, settings: object) -> list[Fused]:
    return []


def whole(v: View) -> Fused:
    kept = _whole(v.version, v.settings)
    if not kept:
        kept.append(compile_checks(checks_of(v.settings), reading(v)))
    return kept[0]


def violated(s: Snapshot, checks: tuple[Check, ...]) -> dict[str, tuple[int, ...]]:
    judge = Evaluator(s).judge
    found = {c.name: judge(c).violated for c in checks}
    return {name: rows for name, rows in found.items() if rows}


def agree(v: View, each: bool = False) -> set[str]:
    """Demands that both backends find the same; the rules that are violated."""
    fused, s = whole(v), snapshot(v)
    found = violated(s, checks_of(v.settings))
    rules = {name.partition("[")[0] for name in found}
    said = fused.run(v)
    expected = {c.name for c in fused.checks} & set(found)
    if said is None:
        assert not expected
    elif said == IRREGULAR:
        assert rules & (OF_SHAPE | OF_LISTS)
    else:
        # A child under two edges is seen under both by a pass, and under the first by a snapshot.
        assert fused.checks[said].name in expected or rules & OF_SHAPE
    if each:
        for c in fused.checks:
            agree_on(c, v, c.name in found, rules)
    return rules


def agree_on(c: Check, v: View, false: bool, rules: set[str]) -> None:
    said = alone(c, reading(v), v).run(v)
    if said == IRREGULAR:
        assert rules & (OF_SHAPE | OF_LISTS if c.rule.id in OF_LISTS else OF_SHAPE), c.name
    elif not rules & OF_SHAPE:
        assert (said is not None) == false, c.name


def test_a_stand_in_shows_what_it_was_built_from() -> None:
    """All columns of a legal cache but what no live cache has come back as they were drafted."""
    seen = 0
    for seed in range(60):
        d = legal(seed)
        s = snapshot(view(d))
        shown = replace(d.settings, traits=d.settings.traits - {"reads_bytes", "own_threshold"})  # unseen here
        assert s.settings == shown or "tiered" not in d.settings.traits  # then there is no policy to see
        order = [d.nodes.ids.index(i) for i in s.nodes.ids.tolist()]
        for key, column in s.nodes.columns.items():
            if key.name == "mirrors_full" and (key.component != "swa" or "maps_full_to_swa" not in s.settings.traits):
                continue
            values = column.values.tolist()
            if FIELDS[Sort.NODE, key.name].sort is Sort.NODE:
                values = [order[r] for r in values]
            # The root has no edge, and what has no full slots mirrors nothing in particular.
            told = [r for r, i in enumerate(order) if i or key.name not in ("edge", "first_page")]
            told = [r for r in told if key.name != "mirrors_full" or (d.has(order[r], FULL) and order[r])]
            assert [values[r] for r in told] == [d.nodes.columns[key][order[r]] for r in told], (seed, key)
            seen += len(told)
        for key, lists in s.nodes.lists.items():
            assert [lists[r].tolist() for r in range(len(order))] == [d.nodes.lists[key][r] for r in order], (seed, key)
        assert violated(s, checks_of(s.settings)) == {}
    assert seen > 10_000


def test_legal_caches_pass() -> None:
    for seed in range(100, 150):
        v = view(legal(seed))
        assert agree(v) == set()
        assert whole(v).run(v) is None


@pytest.mark.parametrize("fault", [f for f in FAULTS if BY_ID[f.rule].scope is not Sort.SLOT], ids=lambda f: f.name)
def test_planted_faults_are_found_alike(fault: Fault) -> None:
    found: Counter[str] = Counter()
    for i, p in enumerate(planted(fault, range(288))):
        found.update(agree(view(p.draft), each=i < 1))
        if i == 3:
            break
    assert bool(found[fault.rule]) is (fault.name not in CANNOT_BE), found


@pytest.mark.parametrize("kind", ["regular", "irregular"])
def test_pokes_are_judged_alike(kind: str) -> None:
    seen: Counter[str] = Counter()
    for seed in range(80):
        rng = Random(seed)
        v = view(legal(seed % 37))
        for _ in range(rng.choice((1, 1, 2, 4))):
            rng.choice(pokes.REGULAR)(v, rng)
        if kind == "irregular":
            rng.choice(pokes.IRREGULAR)(v, rng)
        seen.update(agree(v, each=seed % 10 == 0))
    assert len(seen) > 25, seen


def test_a_child_under_two_edges_is_found_by_the_pass_as_a_whole() -> None:
    """Known gap: one_parent alone does not see it, as the pass meets a child at its parent. The edges give it away."""
    met = 0
    for seed in range(30):
        rng = Random(seed)
        v = view(legal(seed))
        pokes.child_under_two_edges(v, rng)
        if not agree(v):
            continue
        (c,) = [c for c in checks_of(v.settings) if c.rule.id == "one_parent"]
        assert violated(snapshot(v), (c,))
        assert whole(v).run(v) is not None
        assert alone(c, reading(v), v).run(v) is None
        met += 1
    assert met > 5


def test_requests_that_nobody_sees_are_no_reason_to_report() -> None:
    held = 0
    for seed in range(30):
        seen = view(legal(seed))
        v = View(seen.cache, seen.version, None)
        assert compile_checks(checks_of(v.settings), reading(v)).run(v) is None
        assert violated(snapshot(v), checks_of(v.settings)) == {}
        held += bool(seen.requests)
    assert held > 10


def test_corrupted_drafts_are_judged_alike() -> None:
    for seed in range(60):
        rng = Random(seed)
        agree(view(corrupt(legal(seed % 37), rng, rng.choice((1, 3, 10)))))


@pytest.mark.slow
def test_thousands_of_pokes_are_judged_alike() -> None:
    for seed in range(3000):
        rng = Random(seed)
        v = view(legal(seed))
        for _ in range(rng.choice((1, 2, 4, 8))):
            rng.choice(pokes.REGULAR + pokes.IRREGULAR)(v, rng)
        agree(v, each=seed % 10 == 0)


def test_fields_that_nobody_reads_are_unknown_to_both() -> None:
    seen: Counter[str] = Counter()
    for seed in range(40):
        rng = Random(seed)
        v = view(legal(seed % 13))
        for _ in range(rng.choice((1, 3))):
            rng.choice(pokes.REGULAR)(v, rng)
        s, r = snapshot(v), reading(v)
        hidden = {f for f in r.fields if rng.random() < 0.15}
        drop_transfers, drop_requests = rng.random() < 0.2, rng.random() < 0.2
        r = replace(
            r,
            fields={f: where for f, where in r.fields.items() if f not in hidden},
            transfers=None if drop_transfers else r.transfers,
            requests=None if drop_requests else r.requests,
            linked=None,
        )
        names = {(f.owner, f.name) for f in hidden}
        s = replace(
            s,
            nodes=without(s.nodes, names, Sort.NODE),
            tree=without(s.tree, names, Sort.TREE),
            transfers=None if drop_transfers else without(s.transfers, names, Sort.TRANSFER),
            requests=None if drop_requests else without(s.requests, names, Sort.REQUEST),
        )
        found = violated(s, checks_of(v.settings))
        if {n.partition("[")[0] for n in found} & OF_SHAPE:
            continue
        fused = compile_checks(checks_of(v.settings), r)
        said = fused.run(v)
        expected = {c.name for c in fused.checks} & set(found)
        assert (said is None) == (not expected), expected
        seen["violated"] += bool(expected)
        seen["hidden"] += len(hidden)
    assert seen["violated"] > 5
    assert seen["hidden"] > 40


def without(t, names, sort):
    return replace(t, columns={k: c for k, c in t.columns.items() if (sort, k.name) not in names})
