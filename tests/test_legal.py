"""The legal caches that other tests start from: no rule has anything against them, and they are worth checking."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings

from sanitree.checker.columns import Evaluator
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, SWA
from sanitree.models.snapshot import validate
from tests.drafts import Draft
from tests.legal import checks_of, drafts, legal


def judge_all(d: Draft) -> None:
    s = d.snapshot()
    validate(s)
    e = Evaluator(s)
    for c in checks_of(s.settings):
        found = e.judge(c)
        assert not found.violated, (c.name, found.violated)
        assert not found.unchecked, c.name
        assert found.observed, c.name


def test_no_rule_has_anything_against_a_legal_cache() -> None:
    for seed in range(150):
        judge_all(legal(seed))


@given(drafts())
@settings(max_examples=50, deadline=None)
def test_nor_against_any_that_hypothesis_draws(d: Draft) -> None:
    judge_all(d)


@pytest.mark.slow
def test_nor_against_thousands() -> None:
    for seed in range(10_000, 14_000):
        judge_all(legal(seed))


def test_slots_are_counted_alike_with_and_without_tensors() -> None:
    for seed in range(40):
        d = legal(seed)
        s = d.snapshot()
        for c in d.settings.components:
            for t in (DEVICE, HOST):
                one, other = d.slots(c, t), s.slots(c, t)
                assert one.ids == other.ids.tolist()
                assert one.columns == {k: v.values.tolist() for k, v in other.columns.items()}


def test_legal_caches_are_worth_checking() -> None:
    seen: Counter[str] = Counter()
    for seed in range(400):
        d = legal(seed)
        n, x = d.nodes, d.transfers
        pending = Counter(a for a, p in zip(n("write_ack"), n("write_pending"), strict=True) if p)
        evicted = [r for r in d.rows() if not d.has(r, FULL)]
        seen["empty tree"] += len(n) == 1
        seen["deep"] += any(len(d.path(r)) >= 6 for r in d.rows())
        seen["wide"] += any(len(d.children(r)) >= 8 for r in range(len(n)))
        seen["write in flight"] += any(x("is_write"))
        seen["split write"] += any(k > 1 for k in pending.values())
        seen["load in flight"] += any(x("is_load"))
        seen["load and write of one ack"] += len(set(x("ack"))) < len(x)
        seen["marked load"] += any(n("load_pending"))
        seen["request amid its prompt"] += any(map(any, d.requests.of("holds", FULL, DEVICE)))
        seen["request on the root"] += 0 in d.requests("node")
        seen["evicted subtree"] += any(n("parent")[r] in evicted for r in evicted)
        seen["both tiers"] += any(d.has(r, FULL) and d.has(r, FULL, HOST) for r in d.rows())
        seen["locked tombstone"] += any(
            n("lock", c, DEVICE)[r] > 0 and not d.has(r, c) for c in d.settings.components for r in d.rows()
        )
        seen["host lock"] += any(any(n("lock", c, HOST)) for c in d.settings.components)
        seen["window tokens without slots"] += SWA in d.settings.components and any(
            len(h) < k for h, k in zip(n.of("holds", SWA, DEVICE), n("tokens", SWA, DEVICE), strict=True)
        )
        seen["device data under write_back without a host copy below one that has it"] += any(
            d.has(r, FULL, HOST) and n("parent")[r] and not d.has(n("parent")[r], FULL, HOST) for r in d.rows()
        )
    rare = {k: v for k, v in seen.items() if v < 8}
    assert not rare
