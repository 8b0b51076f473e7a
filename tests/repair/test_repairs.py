"""Repairs are as small as can be, all of that size are found, and every one makes the rules hold."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest

from sanitree.checker.difference import difference
from sanitree.checker.live import InvariantViolated
from sanitree.checker.repair.cells import NODES, Cell, Cells
from sanitree.checker.repair.observable import OBSERVABLE
from sanitree.checker.repair.pools import Pool
from sanitree.checker.repair.results import Ending, Outcome
from sanitree.checker.repair.search import repair
from sanitree.checker.report import Verdict, check
from sanitree.checker.watch import Watch, sound
from sanitree.invariants.language import count, nodes
from sanitree.invariants.rules import Family, rule
from sanitree.invariants.vocabulary import DEVICE, FULL, SWA, Component, Policy, Sort
from sanitree.models.reference import ByHand, UnifiedRadixCache
from sanitree.models.reference.faults import inject
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.snapshot.same import same
from tests.corrupt import veil
from tests.drafts import Draft
from tests.legal import PLANS, legal
from tests.planted.faults import FAULTS
from tests.planted.plant import planted
from tests.planted.tools import Fault
from tests.reference.workload import Workload, config
from tests.repair.corruption import changes, columns, sites_in, sites_of
from tests.repair.measure import corrupt
from tests.repair.measure import legal as of_size


def corrupted(seed: int, sites: int) -> tuple[Snapshot, Cells, dict[Cell, int]]:
    """A legal cache with so many fields changed, its cells before that, and the changes."""
    s = legal(seed).snapshot()
    cells = Cells(s, spare=4)
    made = changes(cells, Random(seed), sites)
    return cells.after(made), cells, made


def mended(o: Outcome) -> None:
    """Demands that each repair is of one size, changes what it says, and leaves nothing violated."""
    assert o.ending in (Ending.ALL, Ending.LIMIT)
    assert len({frozenset(c.cell.site for c in r.changes) for r in o.repairs}) == len(o.repairs)
    for r in o.repairs:
        assert r.size == o.at_least
        assert check(r.after).verdict is not Verdict.VIOLATED
        assert all(c.old != c.new for c in r.changes)
        assert same(Cells(o.before.snapshot, 16).after({c.cell: c.new for c in r.changes}), r.after)


def test_legal_caches_need_no_repair() -> None:
    for seed in range(20):
        o = repair(legal(seed).snapshot())
        assert o.ending is Ending.NOTHING
        assert not o.repairs


@pytest.mark.parametrize("seed", range(24))
def test_a_repair_is_never_larger_than_the_corruption(seed: int) -> None:
    never_larger(seed, 1 + seed % 3)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_hundreds_of_repairs_are_never_larger(block: int) -> None:
    for seed in range(1000 + 30 * block, 1030 + 30 * block):
        never_larger(seed, 1 + seed % 3)


def never_larger(seed: int, sites: int) -> None:
    s, cells, made = corrupted(seed, sites)
    o = repair(s, limit=None if sites == 1 else 3)
    if check(s).verdict is not Verdict.VIOLATED:
        assert o.ending is Ending.NOTHING
        return
    mended(o)
    assert o.repairs[0].size <= sites
    if sites == 1:
        assert sites_of(made, cells) in [sites_in(r) for r in o.repairs]


def single(s: Snapshot, cells: Cells) -> set[Cell]:
    """Every single cell some other value of which makes the rules hold, found by trying."""
    found = set()
    for place, key in columns(cells, over=True):
        held = cells.column(place, key)
        assert held is not None
        for row in range(len(held.values)):
            cell, old = Cell(place, row, key), held.values[row]
            if not held.free(row):
                continue
            near = {*held.values, *(old + i for i in range(-3, 4)), -2, -1, 0, 1}
            tried = {n for n in near if held.low <= n <= held.high and n != old}
            owners = [dict[Cell, int]()]
            for part in cells.parts(cell)[1:]:
                who = cells.column(part.place, part.key)
                assert who is not None
                owners = [{}, *({part: n} for n in range(who.low, who.high + 1))]
            after = (cells.after({cell: n, **by}) for n in tried for by in owners)
            if any(sound(x) and check(x, OBSERVABLE).verdict is not Verdict.VIOLATED for x in after):
                found.add(cell)
    return found


def alike(cell: Cell, cells: Cells) -> object:
    """What stands for a cell: of slots that are alike in everything but their number, any."""
    if cell.place[0] is not Sort.SLOT:
        return cell
    return cell.place, cell.key, tuple(column[cell.row] for column in cells.pool(cell.place).columns.values())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [seed for seed in range(400) if len(legal(seed).nodes) <= 3][:40])
def test_every_single_change_that_tries_find_is_found(seed: int) -> None:
    s, _, _ = corrupted(seed, 1 + seed % 2)
    if check(s).verdict is not Verdict.VIOLATED or check(s, OBSERVABLE).verdict is Verdict.VIOLATED:
        return
    o = repair(s, limit=None)
    mended(o)
    cells = Cells(s, spare=16)
    tried = single(s, cells)
    found = {c.cell.site for r in o.repairs for c in r.changes}
    assert not tried or o.at_least == 1
    assert {alike(c, cells) for c in tried} <= {alike(c, cells) for c in found}


@pytest.mark.parametrize("seed", range(8))
def test_what_is_unknown_stays_so(seed: int) -> None:
    rng = Random(seed)
    s = veil(Draft.read(corrupted(seed, 2)[0]), rng).snapshot()
    o = repair(s)
    if check(s).verdict is not Verdict.VIOLATED:
        assert o.ending is Ending.NOTHING
        return
    mended(o)
    assert o.repairs[0].size <= 2
    known = Cells(s, spare=16)
    for c in (c for r in o.repairs for c in r.changes):
        held = known.column(c.cell.place, c.cell.key)
        assert held is not None
        assert held.known(c.cell.row)


@pytest.mark.parametrize("fault", FAULTS[::6], ids=lambda f: f.name)
def test_planted_faults_are_repaired(fault: Fault) -> None:
    p = next(planted(fault, range(PLANS)))
    mended(repair(p.draft.snapshot(), limit=1))


def test_a_slot_that_leaked_is_given_to_somebody() -> None:
    d = next(d for d in map(legal, range(50)) if len(d.nodes) > 2 and d.nodes.of("holds", FULL, DEVICE)[1])
    slot = d.nodes.of("holds", FULL, DEVICE)[1].pop()
    o = repair(d.snapshot(), limit=None)
    mended(o)
    assert o.repairs[0].size == 1
    assert {c.element for r in o.repairs for c in r.changes} == {slot}
    assert "in_tree" in {c.cell.site.key.name for r in o.repairs for c in r.changes}


def test_as_many_changes_as_slots_that_leaked() -> None:
    d = next(d for d in map(legal, range(50)) if len(d.tree.of("free", FULL, DEVICE)[0]) > 4)
    free = d.tree.of("free", FULL, DEVICE)[0]
    lost = sorted(free[:4])
    del free[:4]
    d.tree("available", FULL, DEVICE)[0] -= 4
    o = repair(d.snapshot(), limit=1)
    mended(o)
    assert o.repairs[0].size == 4
    assert sorted({c.element for c in o.repairs[0].changes}) == lost


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_thousand_nodes(seed: int) -> None:
    s = of_size(seed, 1000)
    for sites in (1, 2, 3):
        wrong, _ = corrupt(s, seed, sites)
        o = repair(wrong)
        if o.ending is not Ending.NOTHING:
            assert o.repairs
            assert o.repairs[0].size <= sites


def test_many_wrong_fields_are_all_mended() -> None:
    d = next(d for d in map(legal, range(200)) if len(d.nodes) > 12)
    for row in d.rows():
        d.nodes("edge")[row] += 1
    o = repair(d.snapshot(), limit=1)
    mended(o)
    assert o.repairs[0].size == len(d.nodes) - 1


def broken(fault: str, policy: Policy, components: tuple[Component, ...] = (FULL,)) -> Snapshot:
    """The first state of the reference cache with a fault in which a rule is violated."""
    for seed in range(40):
        cache = UnifiedRadixCache(config(policy, components), ByHand())
        inject(cache, fault)
        watch = Watch(cache, content=False, step_rules=())
        try:
            for _ in Workload(cache, seed).steps(60):
                pass
            watch.end()
        except InvariantViolated as error:
            return error.report.snapshot
    raise AssertionError(f"{fault} shows nowhere")


@pytest.mark.parametrize(
    ("fault", "policy", "said"),
    [
        ("sizes_ignore_locks", Policy.WRITE_THROUGH, {"evictable_size", "protected_size"}),
        ("removed_node_keeps_host_slots", Policy.WRITE_THROUGH, {"in_tree"}),
        ("parent_is_not_refreshed", Policy.WRITE_THROUGH, {"in_device_leaves", "device_leaves"}),
    ],
)
def test_faults_of_the_reference_cache_are_told_by_what_they_left(fault: str, policy: Policy, said: set[str]) -> None:
    s = broken(fault, policy)
    o = repair(s)
    mended(o)
    assert any({c.cell.site.key.name for c in r.changes} == said for r in o.repairs), o.repairs
    assert not difference(s, o.repairs[0].after).added


def test_a_component_beside_full() -> None:
    s = broken("tombstone_keeps_its_slots", Policy.WRITE_THROUGH, components=(FULL, SWA))
    o = repair(s)
    mended(o)
    assert {c.cell.place[1] for c in o.repairs[0].changes} <= {SWA, None}


def test_what_nothing_can_mend_is_said_with_its_rules() -> None:
    @rule(Family.SHAPE, Sort.TREE)
    def there_are_two_roots(t):  # type: ignore[no-untyped-def]
        """Of what no repair changes."""
        return count(nodes, lambda n: n.is_root) == 2

    o = repair(legal(3).snapshot(), rules=[there_are_two_roots])
    assert o.ending is Ending.NONE
    assert o.conflict == ("there_are_two_roots",)
    assert not o.repairs


def test_rules_that_contradict_each_other_are_named() -> None:
    @rule(Family.LEAF_SETS, Sort.TREE)
    def there_are_two_leaves(t):  # type: ignore[no-untyped-def]
        """One wish."""
        return t.device_leaves == 1002

    @rule(Family.LEAF_SETS, Sort.TREE)
    def there_are_three_leaves(t):  # type: ignore[no-untyped-def]
        """And another."""
        return t.device_leaves == 1003

    o = repair(legal(3).snapshot(), rules=[there_are_two_leaves, there_are_three_leaves])
    assert o.ending is Ending.NONE
    assert set(o.conflict) == {"there_are_two_leaves", "there_are_three_leaves"}


def test_time_that_is_over_is_no_answer() -> None:
    s, _, _ = corrupted(2, 3)
    o = repair(s, seconds=1e-9)
    assert o.ending is Ending.TIME
    assert "change" in o.unknown
    assert not o.repairs


def test_changes_are_of_the_fields_that_a_snapshot_holds() -> None:
    cells = Cells(legal(5).snapshot(), spare=4)
    made: Mapping[Cell, int] = changes(cells, Random(1), 30)
    after = Cells(cells.after(made), spare=4)
    for cell, value in made.items():
        if cell.place[0] is not Sort.SLOT:
            assert after.value(cell) == value
    assert (NODES, Key("parent")) not in columns(cells)


@pytest.mark.parametrize("left", [0, 1, 3])
def test_no_spare_slot_is_there_twice(left: int) -> None:
    """In a pool of fewer slots than a page has, too: its padding and what comes after it overlap."""
    d = next(d for d in map(legal, range(200)) if d.snapshot().settings.page_size > 3)
    d.tree("capacity", FULL, DEVICE)[0] = left
    s = d.snapshot()
    pool = Pool(s, FULL, DEVICE, spare=16)
    assert len(set(pool.numbers)) == len(pool.numbers)
    assert pool.more <= 16
    assert set(pool.numbers) <= {*s.slots(FULL, DEVICE).ids.tolist(), *range(left + s.settings.page_size)}
