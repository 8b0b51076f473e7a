"""Blaming what corrupted a tree: real caches with a fault, a legal tree before, and what was seen after."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sanitree.checker.blame.books import misdefined
from sanitree.checker.blame.causes import Assumed, causes
from sanitree.checker.blame.part import part, sites, suspects
from sanitree.checker.blame.run import Blamed, blame
from sanitree.checker.report import check
from sanitree.invariants.vocabulary import DEVICE, FULL, MAMBA, SWA, Component, Policy
from sanitree.models.protocol.pages import Pages
from sanitree.models.protocol.pages.abstracted import abstracted
from sanitree.models.protocol.pages.abstraction import NotAStateError
from sanitree.models.protocol.pages.calls import STAGES, one_call
from sanitree.models.protocol.pages.named import as_named
from sanitree.models.snapshot import Key
from tests.blame.corrupting import SMALL, Corrupted, corrupted, healthy
from tests.blame.measure import right

BACK, THROUGH = Policy.WRITE_BACK, Policy.WRITE_THROUGH

CASES = [
    ("evict_does_not_wait", BACK, (FULL,)),
    ("evict_does_not_wait", BACK, (FULL, SWA)),
    ("split_forgets_the_lock", THROUGH, (FULL,)),
    ("split_forgets_the_pending_write", THROUGH, (FULL,)),
    ("removed_node_keeps_host_slots", BACK, (FULL,)),
    ("insert_frees_the_prefix", THROUGH, (FULL, MAMBA)),
    ("backup_takes_no_lock", THROUGH, (FULL,)),
    ("insert_takes_the_wrong_slots", BACK, (FULL,)),
    ("duplicates_are_freed_twice", THROUGH, (FULL, SWA)),
    ("insert_frees_the_prefix", BACK, (FULL, SWA)),
    ("release_undoes_too_much", BACK, (FULL, SWA)),
    ("copy_is_skipped", THROUGH, (FULL,)),
    ("copy_is_skipped", BACK, (FULL,)),
    ("ack_forgets_the_marks", BACK, (FULL,)),
    ("backup_takes_no_lock", Policy.WRITE_THROUGH_SELECTIVE, (FULL,)),
]


def found(fault: str, policy: Policy, components: tuple[Component, ...]) -> Corrupted:
    for seed in range(8):
        if (c := corrupted(fault, policy, components, seed)) is not None:
            return c
    raise AssertionError(f"{fault} did not show itself")


@pytest.mark.parametrize(("fault", "policy", "components"), CASES, ids=lambda x: x if isinstance(x, str) else None)
def test_the_fault_that_was_planted_is_blamed_first(
    fault: str, policy: Policy, components: tuple[Component, ...]
) -> None:
    c = found(fault, policy, components)
    b = blame(c.report)
    assert right(fault, b)[0], [e.cause.name for e in b.explanations]
    assert b.explanations[0].cause.assumed is Assumed.FAULT
    assert_told_truly(b)


def assert_told_truly(b: Blamed) -> None:
    """The first state is legal as live trees are judged, the last one is not, and it is what was seen."""
    e = b.explanations[0]
    ends = (e.states[0], e.states[-1])
    before, after = (as_named(b.system, state, b.abstraction, b.report.snapshot) for state in ends)
    assert not check(before).violations
    assert check(after).violations
    s = b.report.snapshot
    for row in b.abstraction.pages_of:
        mine = after.row_of[int(s.nodes.ids[row])]
        for name in ("write_pending", "load_pending"):
            assert after.nodes.columns[Key(name)].listed[mine] == s.nodes.columns[Key(name)].listed[row]
        for c in s.settings.components:
            key = Key.of("present", c, DEVICE)
            assert after.nodes.columns[key].listed[mine] == s.nodes.columns[key].listed[row]


def test_the_last_call_narrows_what_may_have_happened() -> None:
    c = found("removed_node_keeps_host_slots", BACK, (FULL,))
    asked = [blame(c.report, operations=ops).asked for ops in (tuple(STAGES), (c.call,))]
    assert asked[1] <= asked[0]
    for other in STAGES:
        if other.value == "match_prefix":
            assert not blame(c.report, operations=(other,)).explanations


def test_a_part_in_which_several_nodes_are_wrong_may_have_come_of_more_than_one_move() -> None:
    """A split that forgets the lock, and state that the same insert brings to the upper part."""
    c = corrupted("split_forgets_the_lock", BACK, (FULL, MAMBA), 9, small=SMALL)
    assert c is not None and len(suspects(c.report)) > 1
    b = blame(c.report, operations=(c.call,))
    assert right(c.fault, b)[0]
    assert [m.action.name for m in b.explanations[0].moves] == ["split", "insert"]


def test_books_that_ask_for_no_lock_are_told_so() -> None:
    """The leaf sets of `eviction_ignores_locks` hold locked nodes too: that is what the definition without it says."""
    for seed in range(12):
        c = corrupted("eviction_ignores_locks", THROUGH, (FULL,), seed)
        if c is not None and {f.check.rule.id for f in c.report.findings if f.violated} == {"device_leaves_are_exact"}:
            told = list(misdefined(c.report))
            assert any("in_device_leaves" in d.field and ".lock" in d.condition for d in told)
            return
    raise AssertionError("no seed leaves the leaf sets alone wrong")


def test_a_legal_tree_is_blamed_on_nobody() -> None:
    b = blame(check(healthy(THROUGH, (FULL, SWA), 2)))
    assert not b.explanations
    assert not b.misdefined


def test_every_action_is_of_some_call() -> None:
    for policy in Policy:
        for components in ((FULL,), (FULL, SWA), (FULL, MAMBA)):
            system, every = causes(Pages(policy, components))
            names = {a.name for a in system.actions} | {a.name for c in every for a in c.actions}
            assert all(one_call([name]) for name in names), names


def test_causes_are_told_apart() -> None:
    for policy in Policy:
        _, every = causes(Pages(policy))
        names = [c.name for c in every]
        assert len(set(names)) == len(names)
        assert {c.assumed for c in every} == set(Assumed)


def snapshots() -> Iterator[Corrupted]:
    yield found("removed_node_keeps_host_slots", THROUGH, (FULL,))
    yield found("split_forgets_the_lock", BACK, (FULL,))


def test_a_part_has_all_that_is_above_it() -> None:
    for c in snapshots():
        s = c.report.snapshot
        parent = s.parent.tolist()
        for most in (1, 3, 100):
            rng = random.Random(most)
            core = rng.sample(range(1, len(parent)), min(2, len(parent) - 1))
            rows = part(s, core, most)
            assert all(parent[row] == 0 or parent[row] in rows for row in rows)
            assert len(rows) <= max(most, max((len(s.path_to(r)) for r in core), default=0))
        assert part(s, [], 100) == list(range(1, len(parent)))
        for row, others in sites(s, suspects(c.report)):
            assert row not in others


def test_what_has_no_pages_is_refused() -> None:
    s = healthy(THROUGH, (FULL,), 1)
    columns = {k: v for k, v in s.nodes.columns.items() if k != Key("key_len")}
    with pytest.raises(NotAStateError, match="key_len was not observed"):
        abstracted(replace(s, nodes=replace(s.nodes, columns=columns)), range(1, len(s.nodes)))
