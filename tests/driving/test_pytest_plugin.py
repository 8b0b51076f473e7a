"""Traces as tests, run by pytest in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from sanitree.checker.render.regression import as_test
from sanitree.invariants.vocabulary import FULL, MAMBA, Policy
from sanitree.models.driving.operations import Evict, Finish, Operation, Release, Start
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import Found, Trace

RACE: tuple[Operation, ...] = (Start((1, 2)), Finish(0), Release(0), Evict("full", 2))
PLUGIN = "sanitree.checker.pytest_plugin"


def run(folder: Path, text: str, *options: str) -> str:
    """What pytest says of a test file. Warnings are errors there, as in many a project."""
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n")
    plugin = () if entry_points(group="pytest11", name="sanitree") else ("-p", PLUGIN)
    command = [sys.executable, "-m", "pytest", "-rsf", *plugin, *options, "test_it.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def text_of(fault: str | None = None, on: str = "reference", found: Found | None = None) -> str:
    setup = Setup(policy=Policy.WRITE_BACK, components=(FULL, MAMBA), fault=fault)
    return as_test(Trace.of(setup, RACE, found=found), on)


def test_it_fails_with_the_fault_and_passes_without(tmp_path: Path) -> None:
    found = Found("rule", ("write_back_is_finished",))
    bad = run(tmp_path, text_of("evict_does_not_wait", found=found))
    assert "1 failed" in bad
    assert "write_back_is_finished at node" in bad
    assert "def test_write_back_is_finished(watched_cache):" in (tmp_path / "test_it.py").read_text()
    assert "1 passed" in run(tmp_path, text_of())


def test_an_engine_that_is_not_here_is_skipped_with_the_reason(tmp_path: Path) -> None:
    assert "sglang 0.5.99 is not fetched (sanitree engine fetch 0.5.99)" in run(tmp_path, text_of(on="0.5.99"))
    other = run(tmp_path, text_of(), "--sanitree-on", "0.5.98")
    assert "sglang 0.5.98 is not fetched" in other


@pytest.mark.parametrize(("kind", "line"), [("leak", "cache.leaves_nothing()"), ("complaint", "cache.own_check()")])
def test_what_is_found_at_the_end_is_looked_for_at_the_end(tmp_path: Path, kind: str, line: str) -> None:
    text = text_of(found=Found(kind, ('a "name" \\ of\nmine',)))
    assert text.rstrip().endswith(line)
    assert "1 passed" in run(tmp_path, text)


def test_the_plugin_imports_neither_torch_nor_z3() -> None:
    code = f"import sys, {PLUGIN}; print(sorted({{'torch', 'z3', 'numpy'}} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
