"""Putting two states over the same rows loses nothing of either, and adds nothing."""

from __future__ import annotations

from random import Random

import pytest

from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import FIELDS, Sort, Tier
from sanitree.models.snapshot import Key, Snapshot, Table
from sanitree.models.step import Call, Frame, Step
from tests.drafts import Draft
from tests.legal import PLANS, legal
from tests.steps.stage import shuffle

TOLD = {"exists", "called", "submitted", "acked"}
NOBODYS = {"reader_ack": -1, "writer_ack": -1}


def pairs() -> list[tuple[int, Draft, Draft]]:
    """Caches of one kind that have ids in common and little else; and a cache with itself in another order."""
    found = []
    for seed in range(40):
        before, after = legal(seed), legal(seed + PLANS * (seed % 4 > 0))
        shuffle(after, Random(seed))
        found.append((seed, before, after))
    return found


def read(table: Table, key: Key, row: int) -> int | bool | None:
    """A value; None where it is unknown."""
    column = table.columns.get(key)
    if column is None or (column.known is not None and not bool(column.known[row])):
        return None
    return column.values[row].item()  # type: ignore[no-any-return]


def who(sort: Sort, table: Table, row: int) -> object:
    """What an element is the same by, from its own state."""
    if sort is Sort.TRANSFER:
        return read(table, Key("is_write"), row), read(table, Key("ack"), row)
    return int(table.ids[row])


def named(sort: Sort, number: int) -> object:
    """The same, from the id that a step gives it."""
    return (number % 2 == 1, number // 2) if sort is Sort.TRANSFER else number


def tables(x: Snapshot | Frame) -> list[tuple[Sort, Table]]:
    assert x.transfers is not None and x.requests is not None
    return [(Sort.NODE, x.nodes), (Sort.TRANSFER, x.transfers), (Sort.REQUEST, x.requests), (Sort.TREE, x.tree)]


@pytest.mark.parametrize("which", [0, 1], ids=["before", "after"])
def test_each_element_says_what_it_says_in_its_own_state(which: int) -> None:
    seen = 0
    for seed, before, after in pairs():
        step = Step(before.snapshot(), Call(Operation.MATCH), after.snapshot())
        own, frame = (step.before, step.after)[which], step.frames()[which]
        for (sort, mine), (_, shared) in zip(tables(own), tables(frame), strict=True):
            rows = {named(sort, i): row for row, i in enumerate(shared.ids.tolist())}
            assert len(rows) == len(shared), "no element has two rows"
            there = {who(sort, mine, row): row for row in range(len(mine))}
            assert set(there) <= set(rows)
            for key in mine.columns:
                for name, row in there.items():
                    found, wanted = read(shared, key, rows[name]), read(mine, key, row)
                    if FIELDS[sort, key.name].sort is Sort.NODE:
                        found, wanted = int(frame.nodes.ids[found]), int(own.nodes.ids[wanted])  # type: ignore[index]
                    assert found == wanted, (seed, key, name)
                    seen += 1
    assert seen > 10_000


@pytest.mark.parametrize("which", [0, 1], ids=["before", "after"])
def test_of_what_is_not_there_nothing_is_known_but_that(which: int) -> None:
    missing = 0
    for seed, before, after in pairs():
        step = Step(before.snapshot(), Call(Operation.MATCH), after.snapshot())
        own, frame = (step.before, step.after)[which], step.frames()[which]
        for (sort, mine), (_, shared) in list(zip(tables(own), tables(frame), strict=True))[:3]:
            there = {who(sort, mine, row) for row in range(len(mine))}
            same_by = {"ack", "is_write", "is_load"} if sort is Sort.TRANSFER else set()
            for row, number in enumerate(shared.ids.tolist()):
                assert read(shared, Key("exists"), row) is (named(sort, number) in there), (seed, sort)
                if named(sort, number) in there:
                    continue
                missing += 1
                for key in shared.columns:
                    if key.name not in TOLD | same_by:
                        assert read(shared, key, row) is None, (seed, key)
    assert missing > 100


@pytest.mark.parametrize("which", [0, 1], ids=["before", "after"])
def test_a_slot_that_a_state_does_not_name_is_named_no_times(which: int) -> None:
    unnamed = 0
    for seed, before, after in pairs():
        step = Step(before.snapshot(), Call(Operation.MATCH), after.snapshot())
        own, frame, d = (step.before, step.after)[which], step.frames()[which], (before, after)[which]
        for c in d.settings.components:
            for t in Tier:
                mine, shared = d.slots(c, t), frame.slots(c, t)
                both = {*before.slots(c, t).ids, *after.slots(c, t).ids}
                assert sorted(shared.ids.tolist()) == sorted(both)
                for row, slot in enumerate(shared.ids.tolist()):
                    at = mine.ids.index(slot) if slot in mine.ids else None
                    unnamed += at is None
                    for key in shared.columns:
                        found = read(shared, key, row)
                        if key.name == "number":
                            assert found == slot
                        elif key.name == "pool_size":
                            assert found == d.tree("capacity", c, t)[0]
                        elif key.name == "owner":
                            owner = 0 if at is None else mine("owner")[at]
                            assert int(frame.nodes.ids[found]) == int(own.nodes.ids[owner]), (seed, slot)  # type: ignore[index]
                        else:
                            wanted = NOBODYS.get(key.name, 0) if at is None else mine(key.name)[at]
                            assert found == wanted, (seed, key)
    assert unnamed > 100


def test_a_call_names_transfers_that_neither_state_has() -> None:
    d = legal(0)
    call = Call(Operation.BACK_UP, submitted=((True, 900), (True, 900)), acked=((False, 901),))
    _, after = Step(d.snapshot(), call, d.snapshot()).frames()
    assert after.transfers is not None
    rows = {named(Sort.TRANSFER, i): row for row, i in enumerate(after.transfers.ids.tolist())}
    for name, wanted in (((True, 900), (2, 0)), ((False, 901), (0, 1))):
        row = rows[name]
        assert (read(after.transfers, Key("submitted"), row), read(after.transfers, Key("acked"), row)) == wanted
        assert read(after.transfers, Key("exists"), row) is False
        assert (read(after.transfers, Key("is_write"), row), read(after.transfers, Key("ack"), row)) == name


def test_the_root_is_the_first_row_also_where_it_is_another_one() -> None:
    """After a reset the root has another id: each state's references mean its own."""
    before, after = legal(0), legal(0)
    after.nodes.ids[0] = max(after.nodes.ids) + 1
    step = Step(before.snapshot(), Call(Operation.RESET), after.snapshot())
    for own, frame in zip((step.before, step.after), step.frames(), strict=True):
        for row, number in enumerate(frame.nodes.ids.tolist()):
            if number in own.row_of:
                up = read(frame.nodes, Key("parent"), row)
                assert int(frame.nodes.ids[up]) == int(own.nodes.ids[own.parent[own.row_of[number]]])  # type: ignore[index]
