"""Runs inside an engine's process: short scripts that show one thing each."""

from __future__ import annotations

from sanitree.checker.live import LiveChecker
from sanitree.models.engines import drive, serving
from sanitree.models.engines.build import EngineConfig, build
from sanitree.models.engines.observe import subject
from sanitree.models.engines.view import view


def split_while_writing(version: str) -> list[str]:
    """A node is split while its write is in flight: the rules that are violated then."""
    live = build(version, EngineConfig(policy="write_through", core="python"), mode="manual")
    serving.insert(live, [1, 2, 3, 4])
    drive.match(live, [1, 2, 9])
    assert live.copies.pending("write")
    return sorted({v.rule.id for v in LiveChecker().report(subject(view(live))).violations})
