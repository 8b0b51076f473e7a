"""What the pages show of the reference cache is what it does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sanitree.checker.live import InvariantViolated
from sanitree.invariants.catalogue import BY_ID
from sanitree.models.reference.faults import FAULTS

ROOT = Path(__file__).resolve().parents[2]


def code(page: str, after: str = "") -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", text[text.index(after) :], re.DOTALL)
    assert found
    return found[1]


def test_the_first_session_of_the_page() -> None:
    source = code("docs/reference.md")
    with pytest.raises(InvariantViolated) as caught:
        exec(source, {})
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    assert str(caught.value) in text
    exec(source.replace('inject(cache, "evict_does_not_wait")\n', ""), {})


def test_the_readme() -> None:
    with pytest.raises(InvariantViolated, match="source_is_not_free"):
        exec(code("README.md", "## Without an engine"), {})


def test_the_table_of_faults_is_whole() -> None:
    text = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert [row[0].split("`")[1] for row in rows] == list(FAULTS), "make faults writes it"
    for row, fault in zip(rows, FAULTS.values(), strict=True):
        caught = re.findall(r"\[(\w+)\]", row[3])
        assert any(BY_ID[rule].family is fault.family for rule in caught), f"{fault.name} is caught by its family"
        assert int(row[4].split()[0]) > 0
