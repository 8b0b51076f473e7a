"""Which faults leave the same damage: what is published is what is measured by, and it can be worked out again."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from sanitree.models.protocol.pages import FAULTS, pages
from sanitree.models.protocol.pages import words as w
from sanitree.models.reference.faults import FAULTS as OF_REFERENCE
from tests.blame import classes as c
from tests.blame.measure import SHOWN, UNSEEN


def published() -> dict[str, set[str]]:
    """The faults of each part of the page."""
    parts = re.split(r"^## ", c.PAGE.read_text(), flags=re.MULTILINE)[1:]
    return {part.splitlines()[0]: set(re.findall(r"^\| `(\w+)`", part, re.MULTILINE)) for part in parts}


def test_every_fault_is_in_one_part() -> None:
    parts = published()
    told = [fault for faults in parts.values() for fault in faults]
    assert sorted(told) == sorted(FAULTS.keys() | OF_REFERENCE.keys())
    assert UNSEEN == parts["Damage that no snapshot shows"] & OF_REFERENCE.keys()
    assert set(SHOWN) == (set(told) - parts["Damage that no snapshot shows"])


def test_the_classes_are_those_that_are_published() -> None:
    (line,) = (line for line in c.PAGE.read_text().splitlines() if line.startswith("- `"))
    assert {frozenset(re.findall(r"`(\w+)`", line))} == set(c.SAME)


def test_the_same_work_leads_to_the_same_snapshots() -> None:
    for same in c.SAME:
        found = [c.snapshots(fault, 1) for fault in sorted(same)]
        assert found[0]
        assert all(other == found[0] for other in found)
    assert c.snapshots("duplicates_leak", 1) != c.snapshots("removed_node_keeps_host_slots", 1)


def test_damage_is_what_violates_a_rule_first() -> None:
    model = replace(c.SMALL, fault="insert_takes_the_wrong_slots")
    m = c.Machine.of(pages(model))
    found = c.first_violations(m)
    assert len(found)
    assert m.wrong(found).all()
    legal = c.Machine.of(pages(c.SMALL))
    assert not len(c.first_violations(legal))


def test_a_snapshot_does_not_tell_what_nobody_sees() -> None:
    m = c.Machine.of(pages(c.SMALL))
    number_of = {v.key: i for i, v in enumerate(m.t.system.variables)}
    states = np.zeros((2, len(m.at)), np.int8)
    states[1, m.at[number_of[w.WRITE_COPIED], 1]] = 1
    assert len(c.shown(m, states)) == 1
    states[1, m.at[number_of[w.CUT], 1]] = 1
    assert len(c.shown(m, states)) == 2


def test_faults_of_the_same_damage_form_a_class() -> None:
    assert c.classes({"a": frozenset({1}), "b": frozenset({1}), "c": frozenset({2}), "d": frozenset()}) == [
        ("a", "b"), ("c",),
    ]  # fmt: skip
