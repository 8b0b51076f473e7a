"""What a test needs of an engine: its version in the cache folder, and what that depends on."""

from __future__ import annotations

import pytest

from sanitree.models.engines import deps, store


def needs(version: str) -> None:
    """Skips the test, with what to do, where an engine's version is not here."""
    if version not in {i.version for i in store.installed()}:
        pytest.skip(f"sglang {version} is not fetched (sanitree engine fetch {version}, or make engines)")
    if not deps.ready():
        pytest.skip("engine dependencies are not installed (sanitree engine setup)")
