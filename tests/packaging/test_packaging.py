"""The package itself: what it may import, what it installs, and that it moves no engine's pins."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sanitree.models.engines import store
from sanitree.models.engines.errors import EngineMissing

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("invariants", "models", "checker")


def modules(folder: str) -> Iterator[Path]:
    yield from sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""


@pytest.mark.parametrize("folder", [*LAYERS, "tests"])
def test_nothing_imports_the_bare_folders(folder: str) -> None:
    """`import models` would make every class a second time, beside `sanitree.models`."""
    for path in modules(folder):
        for name in imported(path):
            assert name.split(".")[0] not in LAYERS, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("layer", range(3), ids=LAYERS)
def test_imports_run_one_way(layer: int) -> None:
    above = tuple(f"sanitree.{name}" for name in LAYERS[layer + 1 :])
    for path in modules(LAYERS[layer]):
        for name in imported(path):
            assert not name.startswith(above or ("-",)), f"{path.relative_to(ROOT)} imports {name}"


def test_every_folder_is_packaged_and_typed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {"sanitree." + ".".join(p.parent.relative_to(ROOT).parts) for layer in LAYERS for p in modules(layer)}
    assert listed == there
    for layer in LAYERS:
        assert (ROOT / layer / "py.typed").exists()


def test_modules_are_read_in_one_sitting() -> None:
    long = {str(p.relative_to(ROOT)) for x in LAYERS for p in modules(x) if len(p.read_text().splitlines()) > 400}
    assert not long


def test_the_rules_and_the_command_line_start_without_torch_or_z3() -> None:
    code = (
        "import sys, sanitree.invariants.catalogue, sanitree.checker.cli; "
        "print(sorted({'torch', 'z3', 'networkx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_pages_made_from_declarations_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.engine
@pytest.mark.parametrize("version", ["0.5.12", "0.5.23"])
def test_installing_beside_an_engine_moves_none_of_its_pins(version: str, tmp_path: Path) -> None:
    """Resolved against the engine's own pins, for the oldest and the newest; nothing is installed."""
    try:
        folder = store.find(version).path
    except EngineMissing as error:
        pytest.skip(str(error))
    (metadata,) = folder.glob("*.dist-info/METADATA")
    pins = dict(re.findall(r"^Requires-Dist: ([\w.-]+)(?:\[\w+\])?==([\w.+]+)$", metadata.read_text(), re.M))
    assert "torch" in pins
    constraints = tmp_path / "pins.txt"
    constraints.write_text("\n".join(f"{name}=={pin}" for name, pin in pins.items()))
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report"]
    report = tmp_path / "report.json"
    done = subprocess.run(
        [*command, report, "--constraint", constraints, f"{ROOT}[explore]"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    resolved = {
        i["metadata"]["name"].lower().replace("_", "-"): i["metadata"]["version"]
        for i in json.loads(report.read_text())["install"]
    }
    shared = {name for name in pins if name.lower().replace("_", "-") in resolved}
    assert "torch" in shared
    assert {n: resolved[n.lower().replace("_", "-")] for n in shared} == {n: pins[n] for n in shared}
