"""Columns say of a step what a slow reading of the same terms says, and the unknown never turns a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from random import Random

import pytest

from sanitree.checker.report import check
from sanitree.invariants.calls import Operation
from sanitree.invariants.catalogue import CATALOGUE, STEP_RULES
from sanitree.invariants.language import (
    count,
    distinct,
    every,
    iff,
    implies,
    ite,
    nodes,
    requests,
    slots,
    some,
    sum_over,
    transfers,
)
from sanitree.invariants.rules import Family, Rule, step
from sanitree.invariants.steps import after, before, call
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Kind, Sort
from sanitree.models.snapshot import Key
from tests.corrupt import corrupt
from tests.legal import PLANS, legal
from tests.steps.faults import FAULTS
from tests.steps.moves import MOVES
from tests.steps.oracle import answers, named
from tests.steps.plant import planted
from tests.steps.stage import Stage, Told, shuffle, stage, transfer
from tests.steps.verdicts import hide, verdicts


def any_stage(seed: int) -> Stage:
    """A legal step, one with a fault, or two caches that have little to do with each other."""
    rng = Random(seed)
    match seed % 3:
        case 0:
            move = MOVES[seed // 3 % len(MOVES)]
            s = stage(seed, move.operation)
            move.do(s, rng)
        case 1:
            start = rng.randrange(PLANS)
            fault = FAULTS[seed // 3 % len(FAULTS)]
            s = next(planted(fault, range(start, start + 4 * PLANS))).stage
        case _:
            s = Stage(legal(seed), Told(rng.choice(list(Operation))), legal(seed + rng.choice((0, PLANS))))
            corrupt(s.after, rng, rng.choice((1, 5, 20)))
            random_call(s, rng)
    if seed % 3 != 2 or rng.random() < 0.5:
        shuffle(s.after, rng)
    return s


def random_call(s: Stage, rng: Random) -> None:
    acks = [transfer(d, at) for d in (s.before, s.after) for at in range(len(d.transfers))]
    for heard in (s.call.submitted, s.call.acked):
        heard += [x for x in acks if rng.random() < 0.3]  # type: ignore[operator]
    s.call.request = rng.choice([None, *s.before.requests.ids, *s.after.requests.ids])
    for c in s.after.settings.components:
        for pools in (s.call.asked, s.call.evicted, s.call.dropped):
            pools[c.name, rng.choice(("device", "host"))] = rng.choice((0, 1, 7))  # type: ignore[index]


def clear(s: Stage) -> bool:
    """Whether no two transfers of a state are the same by kind and acknowledgement: then nobody can tell them apart."""
    states = (s.first, *(d for _, d in s.past), s.after)
    each = [d.transfers for d in states if named(d.transfers) and len(d.transfers)]
    return all(len(set(zip(x("is_write"), x("ack"), strict=True))) == len(x) for x in each)


def agree(seed: int, seen: Counter[object], rules: Sequence[Rule] = STEP_RULES) -> None:
    s = any_stage(seed)
    if not clear(s):
        return
    if seed % 2:
        hide(s, Random(seed))
    for report, wanted in zip(s.follow(rules), answers(s, rules), strict=True):
        found = verdicts(report)
        assert found == wanted, (seed, [k for k in {**found, **wanted} if found.get(k) != wanted.get(k)][:5])
        seen.update(found.values())
        seen.update({name.partition("[")[0] for (name, _), x in found.items() if x is False})
        seen.update((name.partition("[")[0], x) for (name, _), x in found.items())


# Words that no rule of the catalogue needs, or not here.


def said(scope: Sort, **more: object) -> Callable[[Callable[..., object]], Rule]:
    return step(Family.SHAPE, scope, on=list(Operation), **more)  # type: ignore[arg-type]


@said(Sort.NODE)
def parent_is_the_same(n):
    """What an element was, and what has become of what it was."""
    return (n.parent == before(n).parent) & (after(before(n).parent).hits >= before(n.parent).hits)


@said(Sort.NODE)
def joins_at_both_moments(n):
    """A fold that meets the element in one equation, of values before and after."""
    writes = count(transfers, lambda x: before(x).exists & (before(x).node == before(n)))
    return (writes == count(transfers, lambda x: x.is_write & (x.node == n))) | some(
        requests, lambda r: r.called & (before(r).node == n)
    )


@said(Sort.TREE)
def folds_at_both_moments(t):
    """Sums, distinctness and every, over elements of either state."""
    lengths = sum_over(nodes, lambda n: n.key_len, where=lambda n: n.exists & before(n).exists)
    others = sum_over(nodes, lambda m: before(m).key_len, where=lambda m: before(m).exists)
    apart = distinct(requests, lambda r: before(r).prefix_len, where=lambda r: before(r).exists & r.exists)
    return (lengths == others) & apart & every(transfers, lambda x: iff(x.exists, x.owed > 0))


@said(Sort.TREE, per=Kind.ANY, tiers=(DEVICE, HOST))
def slots_keep_their_owners(t, c, tier):
    """Slots in a fold, their owner at each moment, and what the call was asked."""
    moved = count(slots(c, tier), lambda s: (before(s).in_tree > 0) & (s.in_tree > 0) & ~(s.owner == before(s).owner))
    return (moved == 0) | (call[c, tier].asked + call.refused > moved)


@said(Sort.SLOT, per=Kind.ANY, tiers=(DEVICE, HOST))
def owner_is_as_it_was(s, c, tier):
    """From a slot to a node, and to what that node was."""
    same = (s.owner == before(s).owner) & (before(s.owner).key_len == before(s).owner.key_len)
    return same & (s.pool_size == before(s).pool_size) & (s.writer_ack == before(s).writer_ack) & (s.number >= 0)


@said(Sort.REQUEST)
def request_stays_where_it_was(r):
    """From a request to its node, before and after."""
    weight = ite(r.called, r.node[FULL].lock, before(r.node)[FULL].lock)
    return implies(r.exists, (r.node == before(r).node) & (weight > 0))


WORDS = (
    parent_is_the_same, joins_at_both_moments, folds_at_both_moments, slots_keep_their_owners, owner_is_as_it_was,
    request_stays_where_it_was,
)  # fmt: skip


def test_they_agree_on_every_word() -> None:
    seen: Counter[object] = Counter()
    for seed in range(1000, 1200):
        agree(seed, seen, WORDS)
    for r in WORDS:
        assert all(seen[r.id, x] > 5 for x in (True, False, None)), {k: v for k, v in seen.items() if r.id in str(k)}


def test_columns_and_the_slow_reading_agree() -> None:
    seen: Counter[object] = Counter()
    for seed in range(300):
        agree(seed, seen)
    assert min(seen[x] for x in (True, False, None)) > 500, seen
    assert len([x for x in seen if isinstance(x, str)]) >= 20, seen


@pytest.mark.slow
def test_they_agree_on_thousands() -> None:
    for seed in range(10_000, 11_000):
        agree(seed, Counter())


def never_turned(seed: int, seen: Counter[object]) -> None:
    s = any_stage(seed)
    if not clear(s):
        return
    known = [verdicts(r) for r in s.follow()]
    hide(s, Random(seed))
    for full, partial in zip(known, map(verdicts, s.follow()), strict=True):
        turned = {k: (full.get(k), x) for k, x in partial.items() if x is not None and x is not full.get(k)}
        assert not turned, (seed, turned)
        seen.update((full[k], partial.get(k)) for k in full)


def test_the_unknown_never_turns_a_verdict() -> None:
    seen: Counter[object] = Counter()
    for seed in range(300, 600):
        never_turned(seed, seen)
    assert min(seen[x, None] for x in (True, False)) > 100, seen
    assert min(seen[x, x] for x in (True, False)) > 100, seen


@pytest.mark.slow
def test_nor_in_thousands_of_steps() -> None:
    for seed in range(20_000, 21_000):
        never_turned(seed, Counter())


def test_a_list_that_nobody_looked_at_may_name_any_slot() -> None:
    """What left the tree is in no list that was observed: then nobody can say that nothing left."""
    for p in planted(next(f for f in FAULTS if f.name == "slot_is_handed_out_from_the_tree"), range(20)):
        sure = verdicts(p.stage.follow()[-1])
        assert sure[p.check.name, 0] is False
        assert p.check.component and p.check.tier
        del p.stage.before.nodes.lists[Key.of("holds", p.check.component, p.check.tier)]
        p.stage.after.requests = None
        assert verdicts(p.stage.follow()[-1])[p.check.name, 0] is None


@pytest.mark.parametrize("table", ["transfers", "requests", "holds", "free"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_what_nobody_observed_is_not_checked_and_no_error(table: str, where: str) -> None:
    for seed, operation in enumerate(Operation):
        s = stage(seed, operation)
        d = getattr(s, where)
        if table in ("transfers", "requests"):
            setattr(d, table, None)
        for sheet in (d.nodes, d.tree):
            for key in [k for k in sheet.lists if k.name == table]:
                del sheet.lists[key]
        assert not s.follow()[-1].violations
        assert table == "free" or s.follow()[-1].unchecked or operation is Operation.RESET


@pytest.mark.parametrize("column", ["ack", "is_write"])
def test_transfers_of_which_nobody_knows_which_they_are_are_not_compared(column: str) -> None:
    """Else each would be another one than before."""
    done = 0
    for seed in range(40):
        s = stage(seed, Operation.MATCH)
        if not len(s.before.transfers):
            continue
        s.before.transfers.known[Key(column)] = [False] * len(s.before.transfers)
        s.before.transfers(column)[0] = -1 if column == "ack" else True
        report = s.follow()[-1]
        assert not report.violations
        assert {f.check.rule.id for f in report.findings if not f.observed} == {
            "query_moves_no_transfer", "every_submit_is_acked_once",
        }  # fmt: skip
        done += 1
    assert done > 10


def test_a_reference_that_is_unknown_may_be_no_row() -> None:
    done = 0
    for seed in range(40):
        s = stage(seed, Operation.MATCH)
        for d in (s.before, s.after):
            for sheet in (d.requests, d.transfers):
                sheet.known[Key("node")] = [False] * len(sheet)
                sheet("node")[:] = [10**6] * len(sheet)
                done += len(sheet)
        assert not s.follow()[-1].violations
        check(s.after.snapshot(), CATALOGUE)
    assert done > 10


def test_evidence_names_what_the_call_said_and_the_path_to_a_node_that_is_gone() -> None:
    (p,) = islice(planted(next(f for f in FAULTS if f.name == "eviction_loses_a_node_in_silence"), range(300)), 1)
    (v,) = (v for v in p.stage.follow()[-1].violations if v.check == p.check)
    d = p.stage.before
    (number,) = p.at
    assert v.element == number
    assert list(v.path) == [d.nodes.ids[r] for r in reversed(d.path(d.nodes.ids.index(number)))]
    assert list(v.tokens) == [x for r in reversed(d.path(d.nodes.ids.index(number))) for x in d.nodes.of("key")[r]]
    said = {e.what: e.value for e in v.evidence}
    assert said["call[full, device].dropped"] == 0
    assert said["before(n).exists"] is True
    assert said["n.exists"] is False
