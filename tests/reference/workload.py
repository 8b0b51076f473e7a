"""What caches the tests work on; the work itself is the package's own."""

from __future__ import annotations

from collections.abc import Callable

from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component
from sanitree.models.reference import AtOnce, ByHand, Runner, Worker
from sanitree.models.reference.workload import Workload, config

__all__ = ["COMPONENTS", "RUNNERS", "Workload", "config"]

COMPONENTS: tuple[tuple[Component, ...], ...] = ((FULL,), (FULL, SWA), (FULL, MAMBA), (FULL, SWA, MAMBA))
RUNNERS: dict[str, Callable[[], Runner]] = {"by hand": ByHand, "at once": AtOnce, "worker": Worker}
