"""Lists and tables of slots are the same by either way, and numbers that are none are refused by both."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sanitree.invariants.vocabulary import Tier
from sanitree.models.snapshot import Lists, Snapshot, Table, table
from tests import strategies

rows = st.lists(st.lists(st.integers(0, 50), max_size=5), max_size=6)


@given(rows, st.integers(0, 50))
def test_lists_are_the_same_given_as_lists_or_as_tensors(lists: list[list[int]], number: int) -> None:
    one, other = Lists.of(lists), Lists.of([torch.tensor(x, dtype=torch.int64) for x in lists])
    far = Lists(one.offsets, one.values)
    for each in (one, other, far):
        assert [list(x) for x in each.each] == lists
        assert each.offsets.tolist() == [0, *torch.tensor([len(x) for x in lists]).cumsum(0).tolist()]
        assert [list(x) for x in each.without(number).each] == [[i for i in x if i != number] for x in lists]


@given(strategies.snapshots())
def test_tables_of_slots_are_the_same_either_way(s: Snapshot) -> None:
    def plain(t: Table) -> dict[str, list[int | None]]:
        return {
            str(key): [int(v) if k else None for v, k in zip(c.listed, c.mask or [True] * len(c.listed), strict=True)]
            for key, c in t.columns.items()
        }

    for c in s.settings.components:
        for t in Tier:
            small = plain(s.slots(c, t))
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(table, "SMALL", -1)
                assert plain(s.with_settings(s.settings).slots(c, t)) == small


@pytest.mark.parametrize("wrong", [[["a"]], [[None]], [[1 << 64]]])
def test_what_is_no_number_is_refused(wrong: list[list[object]]) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError, OverflowError)):
        Lists.of(wrong)  # type: ignore[arg-type]
