"""Engine tests run each engine in a process of its own, and skip what is not fetched.

SANITREE_ENGINES names the versions to test, separated by commas, or "all": those, and
what they need, are fetched first. Without it, what is there of the default slice is used.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import pytest

from sanitree.models.engines import deps, store
from sanitree.models.engines.process import run_in_engine

SLICE = ("0.5.12", "0.5.13.post1", "0.5.23")
HERE = Path(__file__).parent


def asked_for() -> tuple[str, ...]:
    named = os.environ.get("SANITREE_ENGINES", "")
    if named == "all":
        return store.KNOWN_VERSIONS
    return tuple(version.strip() for version in named.split(",") if version.strip())


def versions() -> tuple[str, ...]:
    return asked_for() or SLICE


class Run(Protocol):
    def __call__(self, version: str, function: str, **arguments: Any) -> Any: ...


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "engine: runs a fetched engine in a process of its own")


@pytest.fixture(scope="session")
def run_case() -> Run:
    """Calls a function of `cases.py` where a version is active; skips if it is not here."""

    def run(version: str, function: str, **arguments: Any) -> Any:
        here = {install.version for install in store.installed()}
        if version in asked_for():
            deps.setup()
            store.fetch(version)
        elif version not in here:
            pytest.skip(f"sglang {version} is not fetched (sanitree engine fetch {version})")
        elif not deps.ready():
            pytest.skip("engine dependencies are not installed (sanitree engine setup)")
        return run_in_engine(version, f"engine_cases:{function}", arguments, search=[HERE])

    return run
