"""Which of what real engines are known to do wrong a hunt has come upon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sanitree.checker.hunt.both import CORES
from sanitree.checker.hunt.wrong import Kind, Wrong
from sanitree.models.driving.setup import Setup
from sanitree.models.engines.findings import Finding, applying

Overlook = Callable[[Wrong], frozenset[str] | None]
"""What to judge no more after something went wrong, for a search that goes on; None where it is to end there."""


def strictly(_: Wrong) -> None:
    """Overlooks nothing."""


def overlooking(on: str, setup: Setup, wanted: Wrong | None = None) -> Overlook:
    """Goes on past what is known, with no more word of the rules that report it or what it leads to.

    wanted: what is looked for, which is not overlooked whether it is known or not.
    """
    looked_for = frozenset(() if wanted is None else wanted.names)

    def overlook(wrong: Wrong) -> frozenset[str] | None:
        if wanted is not None and (wrong.shows(wanted) or wanted.shows(wrong)):
            return frozenset() if wrong.kind is Kind.COMPLAINT else None  # a complaint ends nothing anyway
        found = known(on, setup, wrong)
        return frozenset().union(*(f.rules for f in found)) - looked_for if found else None

    return overlook


def known(on: str, setup: Setup, wrong: Wrong) -> tuple[Finding, ...]:
    """The findings of docs/findings.md that something gone wrong is, or comes of; none of the reference cache."""
    if on == "reference":
        return ()
    from sanitree.models.driving.engine import config_of

    cores = CORES if setup.core == "both" else (setup.core,)
    configs = [config_of(on, replace(setup, core=core)) for core in cores]
    found = dict.fromkeys(f for config in configs for f in applying(on, config))
    return tuple(f for f in found if f.shows(wrong.kind.value, wrong.names, wrong.text, wrong.place, wrong.call))
