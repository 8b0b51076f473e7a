"""Every rule about steps reports what it is there for, where it is, and no other does unless it is said here."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from sanitree.invariants.calls import Operation
from sanitree.invariants.catalogue import BY_ID, STEP_RULES
from sanitree.invariants.rules import Rule
from sanitree.models.snapshot import validate
from tests.legal import PLANS, plan_of
from tests.steps.faults import FAULTS
from tests.steps.plant import Fault, Planted, checks_of, planted

SEEDS = 2 * PLANS
ENOUGH = 5


def judge(p: Planted) -> None:
    where = f"{p.fault.name}, seed {p.seed}, {p.stage.call.operation.value}"
    for d in (p.stage.before, p.stage.after):
        validate(d.snapshot())
    *past, report = p.stage.follow()
    assert not any(r.violations for r in past), f"{where}: reported before it happened"
    fired: dict[str, set[int]] = defaultdict(set)
    for v in report.violations:
        fired[v.check.name].add(0 if v.element is None else v.element)
    assert fired.get(p.check.name) == p.at, f"{where}: {p.check.name} is at {fired.get(p.check.name)}, not {p.at}"
    applicable = {c.rule.id for c in checks_of(p.stage.before.settings, p.stage.call.operation)}
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


@pytest.mark.parametrize("rule", STEP_RULES, ids=lambda r: r.id)
def test_every_rule_has_two_faults(rule: Rule) -> None:
    assert len([f for f in FAULTS if f.rule == rule.id]) >= 2


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_every_fault_is_of_rules_that_there_are(fault: Fault) -> None:
    """So that a rule which is taken out of the catalogue is missed."""
    ids = {r.id for r in STEP_RULES}
    assert {fault.rule, *fault.also, *fault.may} <= ids
    assert len({fault.rule, *fault.also, *fault.may}) == 1 + len(fault.also) + len(fault.may)
    assert [f.name for f in FAULTS].count(fault.name) == 1
    assert set(fault.on) <= set(BY_ID[fault.rule].on)


@pytest.mark.parametrize("operation", Operation, ids=lambda o: o.value)
def test_each_component_and_tier_gets_its_faults_in_each_operation(operation: Operation) -> None:
    wanted = {c.name for seed in range(PLANS) for c in checks_of(plan_of(seed).settings, operation)}
    found: set[str] = set()
    for f in FAULTS:
        missing = {n for n in wanted if n.partition("[")[0] == f.rule} - found
        for p in planted(f, range(SEEDS), operation) if missing and operation in f.on else ():
            found.add(p.check.name)
            missing.discard(p.check.name)
            if not missing:
                break
    assert found == wanted
