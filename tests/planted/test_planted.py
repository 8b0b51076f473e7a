"""Every rule reports what it is there for, where it is, and no other rule does unless it is said here."""

from __future__ import annotations

from collections import Counter

import pytest

from sanitree.checker.columns import Evaluator
from sanitree.invariants.catalogue import BY_ID, CATALOGUE
from sanitree.invariants.rules import Rule
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import validate
from tests.legal import PLANS, checks_of, plan_of
from tests.planted.faults import FAULTS
from tests.planted.plant import Planted, planted
from tests.planted.tools import Fault

SEEDS = 2 * PLANS
ENOUGH = 5


def judge(p: Planted) -> None:
    s = p.draft.snapshot()
    validate(s)
    evaluator = Evaluator(s)
    fired: dict[str, set[int]] = {}
    for c in checks_of(s.settings):
        finding = evaluator.judge(c)
        assert not finding.unchecked, c.name
        if finding.violated:
            fired[c.name] = set(finding.violated)
    where = f"{p.fault.name}, seed {p.seed}"
    at = p.at
    if p.check.rule.scope is Sort.SLOT:
        assert p.check.component
        assert p.check.tier
        ids = s.slots(p.check.component, p.check.tier).ids.tolist()
        at = {ids.index(slot) for slot in at}
    assert fired.get(p.check.name) == at, f"{where}: {p.check.name} is at {fired.get(p.check.name)}, not {at}"
    applicable = {c.rule.id for c in checks_of(s.settings)}
    must = {p.fault.rule, *p.fault.also} & applicable
    others = {name.partition("[")[0] for name in fired}
    assert must <= others, f"{where}: silent are {must - others}"
    assert others <= must | set(p.fault.may), f"{where}: {others - must} fired too"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_exactly_the_expected_rules_report_it(fault: Fault) -> None:
    done: Counter[str] = Counter()
    for p in planted(fault, range(SEEDS)):
        judge(p)
        done[p.check.name] += 1
        if done.total() == ENOUGH:
            return
    pytest.fail(f"only {done.total()} of {SEEDS} caches have a place for {fault.name}")


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_so_do_they_everywhere(fault: Fault) -> None:
    for p in planted(fault, range(1000, 1000 + PLANS)):
        judge(p)


@pytest.mark.parametrize("rule", CATALOGUE, ids=lambda r: r.id)
def test_every_rule_has_a_fault(rule: Rule) -> None:
    assert [f for f in FAULTS if f.rule == rule.id]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_every_fault_is_of_rules_that_there_are(fault: Fault) -> None:
    assert {fault.rule, *fault.also, *fault.may} <= set(BY_ID)
    assert len({fault.rule, *fault.also, *fault.may}) == 1 + len(fault.also) + len(fault.may)
    assert [f.name for f in FAULTS].count(fault.name) == 1


def test_each_component_and_tier_gets_its_faults() -> None:
    wanted = {c.name for seed in range(PLANS) for c in checks_of(plan_of(seed).settings)}
    found: set[str] = set()
    for f in FAULTS:
        missing = {n for n in wanted if n.partition("[")[0] == f.rule} - found
        for p in planted(f, range(SEEDS), every=True) if missing else ():
            found.add(p.check.name)
            missing.discard(p.check.name)
            if not missing:
                break
    assert found == wanted
