"""A report, a violation and the exception, as text."""

from __future__ import annotations

from dataclasses import replace

from sanitree.checker.live import InvariantViolated
from sanitree.checker.report import Report, check
from sanitree.invariants.catalogue import RULES
from tests.cli.caches import big, freed_while_read, observe, small


def test_a_report_is_a_headline_and_its_violations() -> None:
    report = check(observe(freed_while_read()))
    headline, *lines = str(report).splitlines()
    assert headline == f"{len(report.violations)} violations of {len({v.rule.id for v in report.violations})} rules"
    assert lines == [f"  {v}" for v in report.violations]
    slot = next(v for v in report.violations if v.rule.id == "source_is_not_free")
    assert str(slot).startswith("source_is_not_free[full, device] at slot 3: A slot that a transfer in flight reads")
    assert str(slot).endswith("(s.read = 1, s.free = 1)")
    assert repr(report) == f"<Report: {headline}>"


def test_what_holds_and_what_is_not_known_is_said() -> None:
    assert str(check(observe(small()))).startswith("holds: ")
    partial = str(check(replace(observe(small()), requests=None)))
    assert partial.startswith("inconclusive: nothing is known to be violated, ")
    assert " on " in partial
    assert "; not checked: " in partial
    assert " rules nowhere, " in partial


def test_a_list_that_is_cut_says_so() -> None:
    report: Report = check(observe(big(400, broken=60)))
    shown = str(report).count("\n  ") - 1
    assert shown < len(report.violations)
    for told in (str(report), str(InvariantViolated(report))):
        assert told.endswith(f"\n  … and {len(report.violations) - shown} more")


def test_one_is_one() -> None:
    (rule,) = (r for r in RULES if r.id == "pending_write_keeps_its_source")
    violated = InvariantViolated(check(observe(freed_while_read()), [rule]))
    assert str(violated).startswith("1 violation of 1 rule\n")
