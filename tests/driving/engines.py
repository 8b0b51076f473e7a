"""Runs what `driven` has in an engine's process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sanitree.models.engines.process import run_in_engine
from tests.driving import driven
from tests.engines_here import needs

ROOT = Path(__file__).parents[2]


def in_engine(version: str, function: str, module: str = driven.__name__, **arguments: Any) -> Any:
    """What a function of `driven`, or of another module, returns where a version is active; skips if that is not
    here."""
    needs(version)
    return run_in_engine(version, f"{module}:{function}", arguments, search=[ROOT])
