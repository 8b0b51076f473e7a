"""Corners that once were wrong."""

from __future__ import annotations

from collections import Counter

import pytest

from sanitree.checker.columns import Evaluator
from sanitree.checker.report import check
from sanitree.invariants.catalogue import BY_ID
from sanitree.invariants.vocabulary import FULL, HOST
from sanitree.models.engines.observe import snapshot
from sanitree.models.engines.view import View
from sanitree.models.snapshot import Key as Name
from tests.backends.pokes import nodes_of
from tests.backends.standin import Key, view
from tests.backends.test_backends import whole
from tests.legal import checks_of, legal
from tests.planted.faults import half_a_page, split_forgets_a_part
from tests.planted.plant import planted
from tests.planted.tools import FAULTS


class StrictKey(Key):
    """As from 0.5.23: a key that is shorter than a page has no first page to ask for."""

    def child_key(self, page_size: int) -> int:
        if page_size > self.length:
            raise IndexError
        return self.first


@pytest.mark.parametrize("backend", ["fused", "columns"])
def test_a_key_below_a_page_is_a_violation_and_no_crash(backend: str) -> None:
    (fault,) = [f for f in FAULTS if f.plant is half_a_page]
    found = [p.draft for p in planted(fault, range(288)) if 0 < min(p.draft.nodes("key_len")[1:]) < 4]
    assert found != []
    v = view(found[0])
    for node in nodes_of(v):
        node.key.__class__ = StrictKey
    if backend == "fused":
        assert whole(v).run(v) is not None
    else:
        judge = Evaluator(snapshot(v)).judge
        assert "key_is_whole_pages" in {c.rule.id for c in checks_of(v.settings) if judge(c).violated}


def test_an_ack_that_is_not_known_is_no_ack_of_a_slot() -> None:
    (fault,) = [f for f in FAULTS if f.plant is split_forgets_a_part]
    p = next(planted(fault, range(288)))
    x = p.draft.transfers
    x.known[Name("ack")] = [False] * len(x)
    assert not Evaluator(p.draft.snapshot()).judge(p.check).violated


def test_slots_in_a_storage_backends_hands_are_no_leak() -> None:
    """A prefetch from storage takes host slots that no list names until its thread is done with them."""
    seen: Counter[bool] = Counter()
    for seed in range(60):
        d = legal(seed)
        free = d.tree.of("free", FULL, HOST)[0]
        if not free:
            continue
        free.pop()
        d.tree("available", FULL, HOST)[0] -= 1
        v = view(d)
        assert violated_leaks(v) == ["no_slot_leaks[full, host]"]
        v.cache.enable_storage = True
        assert violated_leaks(v) == []
        found = {f.check.name: f for f in check(snapshot(v), [BY_ID["no_slot_leaks"]]).findings}
        assert found["no_slot_leaks[full, host]"].unchecked
        assert found["no_slot_leaks[full, device]"].checked
        seen[bool(v.requests)] += 1
    assert min(seen[True], seen[False]) > 5


def violated_leaks(v: View) -> list[str]:
    return [x.check.name for x in check(snapshot(v), [BY_ID["no_slot_leaks"]]).violations]
