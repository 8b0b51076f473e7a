"""What a setup is hunted in: one cache, both cores of an engine, or several ranks."""

from __future__ import annotations

from sanitree.checker.hunt.both import open_both
from sanitree.checker.hunt.ranks import Ranks
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.setup import Setup


def opened(on: str, setup: Setup) -> Driver:
    """Its driver. Raises what `open_driver` raises."""
    if setup.ranks > 1:
        return Ranks(on, setup)
    return open_both(on, setup) if setup.core == "both" else open_driver(on, setup)
