"""On the reference cache too: after each call, what was touched says what a walk over everything says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sanitree.checker.fused.codegen import IRREGULAR, compile_checks
from sanitree.checker.fused.ledger import Ledger
from sanitree.checker.fused.touched import compile_touched
from sanitree.invariants.plugins import catalogue_for
from sanitree.invariants.rules import Cost, checks
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy
from sanitree.models.reference import ByHand, CacheError, UnifiedRadixCache, calls
from sanitree.models.reference.faults import FAULTS, inject
from sanitree.models.reference.observe import flights, reading, settings_of
from sanitree.models.reference.touching import Nodes
from sanitree.models.reference.workload import Workload, config


class Both:
    """Judges one cache both ways after every call. false: how often something did not hold."""

    def __init__(self, cache: UnifiedRadixCache) -> None:
        # Whoever holds a lock is not asked: that would be every node's business.
        settings = settings_of(cache)
        read = replace(reading(settings), requests=None)
        wanted = [c for c in checks(catalogue_for(settings), settings) if c.rule.cost not in (Cost.SLOT, Cost.BYTES)]
        compiled = compile_touched(wanted, read)
        self.whole = compile_checks(compiled.checks, read)
        self.cache, self.root = cache, cache.root
        self.ledger = Ledger(cache, compiled, lambda cache, books: flights(cache), None)
        self.nodes = Nodes(cache)
        self.times = self.false = 0
        calls.listen(cache, self.compare, lambda call: None)

    def compare(self) -> None:
        touched = self.nodes.take()
        if self.cache.root is not self.root:
            self.root = self.cache.root
            self.ledger.open(self.cache)
        else:
            self.ledger.judge(self.cache, touched)
        first = self.whole.run(self.cache)
        self.times += 1
        self.false += first is not None
        assert (first is None) == self.ledger.sound, (
            first if first in (None, IRREGULAR) else self.whole.checks[first].name,
            self.ledger.violations(),
            self.ledger.irregular,
        )
        if first not in (None, IRREGULAR) and not self.ledger.irregular:
            assert first in {i for i, _ in self.ledger.violations()}


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize(
    "components", [(FULL,), (FULL, SWA), (FULL, MAMBA)], ids=lambda cs: "+".join(c.name for c in cs)
)
@pytest.mark.parametrize("page", [1, 4])
def test_they_agree_on_legal_work(policy: Policy, components: tuple[Component, ...], page: int) -> None:
    cache = UnifiedRadixCache(config(policy, components, page), ByHand())
    both = Both(cache)
    for _ in Workload(cache, seed=5).steps(150):
        pass
    both.compare()
    assert both.times > 150 and both.false == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_they_agree_on_faults(fault: str) -> None:
    """Whether what is wrong shows in the tree or not."""
    for policy in Policy:
        cache = UnifiedRadixCache(config(policy, (FULL, SWA), 1, "tight host"), ByHand())
        try:
            inject(cache, fault)
        except CacheError:
            continue
        both = Both(cache)
        try:
            for _ in Workload(cache, seed=6).steps(80):
                if both.false > 20:
                    break
        except AssertionError:
            raise
        except Exception:  # noqa: BLE001  a cache that is wrong may fail anywhere
            pass
        assert both.times
