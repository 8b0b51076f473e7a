"""What runs in an engine's process: random work, and whether the page model has a legal state for what it came to."""

from __future__ import annotations

from random import Random
from typing import Any

from sanitree.checker.explore.configured import ConfigurationError
from sanitree.checker.explore.onward import onward
from sanitree.checker.hunt.moves import Chooser, Style
from sanitree.checker.hunt.play import Play
from sanitree.invariants.plugins import component
from sanitree.invariants.vocabulary import Policy
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.setup import Setup


def states(
    version: str, core: str | None, policy: str, components: list[str], seeds: list[int], nodes: int = 9
) -> dict[str, Any]:
    """legal: how many were. not_legal: what is said of each other one. seeds: the larger, the longer the work."""
    setup = Setup(
        policy=Policy(policy), components=tuple(map(component, components)), device_pages=8, host_pages=8, states=4,
        window=2, core=core,
    )  # fmt: skip
    legal, not_legal = 0, []
    for seed in seeds:
        play = Play(open_driver(version, setup), watched=False)
        chooser = Chooser(Random(f"{policy} {components} {seed}"), Style.eventful(setup), setup)
        for _ in range(6 + 4 * seed):
            play.follow(chooser.move(play.books))
        s = play.driver.subject(content=True).snapshot(None)
        try:
            onward(s, range(1, min(len(s.nodes), nodes)), None, (), 30.0)
            legal += 1
        except ConfigurationError as error:
            not_legal.append(f"{seed}: {error}")
    return {"legal": legal, "not_legal": not_legal}
