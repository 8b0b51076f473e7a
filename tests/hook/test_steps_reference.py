"""Step rules on the reference cache: what is judged of a call by what it touched is what the two whole states say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from sanitree.checker.follow import Follower
from sanitree.checker.fused.history import History
from sanitree.checker.fused.ledger import Ledger
from sanitree.checker.fused.stepped import compile_steps
from sanitree.checker.fused.touched import compile_touched
from sanitree.invariants.plugins import catalogue_for, ghosts_for, step_rules_for
from sanitree.invariants.rules import Cost, checks
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.reference import ByHand, UnifiedRadixCache, calls
from sanitree.models.reference.faults import FAULTS, inject
from sanitree.models.reference.observe import flights, reading, settings_of, subject
from sanitree.models.reference.touching import Nodes
from sanitree.models.reference.workload import Room, Workload, config
from sanitree.models.step import Call
from tests.hook.steps import false_of, name_of


class Both:
    """Follows one cache both ways. found: how often each rule was violated."""

    def __init__(self, cache: UnifiedRadixCache) -> None:
        settings = settings_of(cache)
        # Whoever holds a lock is not asked: that would be every node's business.
        read = replace(reading(settings), requests=None)
        rules = step_rules_for(settings)
        self.steps = compile_steps(rules, ghosts_for(settings), settings, read)
        wanted = [c for c in checks(catalogue_for(settings), settings) if c.rule.cost not in (Cost.SLOT, Cost.BYTES)]
        self.cache, self.root = cache, cache.root
        compiled = compile_touched(wanted, read, self.steps.kept)
        self.ledger = Ledger(cache, compiled, lambda cache, books: flights(cache), None)
        self.history = History(self.steps, self.ledger)
        self.nodes = Nodes(cache)
        self.follower = Follower(subject(cache).snapshot(None), rules)
        self.calls, self.found = 0, Counter[str]()
        calls.listen(cache, self.before, self.after)

    def before(self) -> None:
        assert not self.nodes.take(), "what is between two calls changes no node"
        self.begun = {o: of.of_tree(self.cache) for o, of in self.steps.of.items() if of.of_tree is not None}

    def after(self, call: Call) -> None:
        touched, self.calls = self.nodes.take(), self.calls + 1
        report = self.follower.violation(call, subject(self.cache).snapshot(None))
        if self.cache.root is not self.root:
            self.root = self.cache.root
            self.ledger.open(self.cache)
            self.history.open()
            return
        self.ledger.judge(self.cache, touched)
        of = self.steps.of.get(call.operation)
        found = self.history.end(of, self.cache, call, self.begun.get(call.operation, ()))
        if not self.ledger.irregular:
            ours = {(c.name, name_of(x)) for c, x in found}
            assert ours == (false_of(report, self.steps.checks) if report else set()), call
            self.found.update(c.rule.id for c, _ in found)


FOUND = {
    "every_submit_is_acked_once",
    "write_is_pending_until_acked",
    "acked_write_is_published",
    "eviction_frees_what_was_asked",
    "eviction_says_what_it_freed",
    "host_eviction_says_what_it_freed",
    "promised_backup_is_made",
    "eviction_keeps_backups",
    "eviction_backs_up_or_says_so",
}
"""What the faults break of what is judged here; `misdeeds` break the others in an engine."""

COMPONENTS = [(FULL,), (FULL, SWA), (FULL, MAMBA)]


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("components", COMPONENTS, ids=lambda cs: "+".join(c.name for c in cs))
@pytest.mark.parametrize(("page", "room"), [(1, "tight host"), (4, "plenty")])
def test_they_agree_on_legal_work(policy: Policy, components: tuple[Component, ...], page: int, room: Room) -> None:
    both = Both(UnifiedRadixCache(config(policy, components, page, room), ByHand()))
    for _ in Workload(both.cache, seed=7).steps(60):
        pass
    assert both.calls > 100 and not both.found


BEHIND = {"query_counts_hits"}
"""Faults that change a node in no method that changes nodes: nobody hears that it was touched."""


def test_they_agree_on_faults() -> None:
    """Whether what is wrong shows in a step or not; they break all but what queries may do."""
    found: Counter[str] = Counter()
    for fault in FAULTS:
        for policy in (Policy.WRITE_THROUGH, Policy.WRITE_BACK):
            cache = UnifiedRadixCache(config(policy, (FULL, SWA), 1, "tight host"), ByHand())
            if fault not in BEHIND and FAULTS[fault].fits(cache.config):
                inject(cache, fault)
                found += followed(cache).found
    assert set(found) == FOUND, FOUND ^ set(found)


@pytest.mark.parametrize("fault", BEHIND)
def test_what_is_changed_behind_all_methods_is_not_heard(fault: str) -> None:
    cache = UnifiedRadixCache(config(Policy.WRITE_THROUGH, (FULL,), 1), ByHand())
    inject(cache, fault)
    with pytest.raises(AssertionError, match="query_removes_no_node"):
        followed(cache)


def followed(cache: UnifiedRadixCache) -> Both:
    """Work on a cache that is wrong, and so may fail anywhere."""
    both = Both(cache)
    try:
        for _ in Workload(cache, seed=6).steps(50):
            if both.found.total() > 3:
                break
    except AssertionError:
        raise
    except Exception:  # noqa: BLE001
        pass
    return both
