"""docs/ranks.md says each rule and each fault as it is declared."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanitree.checker.agreement import AGREEMENT, Agreement
from sanitree.models.reference.faults import RANK_FAULTS, RankFault

PAGE = (Path(__file__).parents[2] / "docs" / "ranks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", AGREEMENT, ids=lambda r: r.id)
def test_a_rule_is_there(rule: Agreement) -> None:
    assert f"### {rule.id}\n\n{rule.prose}\n\n{rule.note}\n" in PAGE


@pytest.mark.parametrize("fault", RANK_FAULTS.values(), ids=lambda f: f.name)
def test_a_fault_is_there(fault: RankFault) -> None:
    assert f"| `{fault.name}` | {fault.what} | [{fault.rule}](#{fault.rule})" in PAGE
