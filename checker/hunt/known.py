"""Which of what real engines are known to do wrong a hunt has come upon."""

from __future__ import annotations

from sanitree.checker.hunt.wrong import Wrong
from sanitree.models.driving.setup import Setup
from sanitree.models.engines.findings import Finding, applying


def known(on: str, setup: Setup, wrong: Wrong) -> tuple[Finding, ...]:
    """The findings of docs/findings.md that something gone wrong is, or comes of; none of the reference cache."""
    if on == "reference":
        return ()
    from sanitree.models.driving.engine import config_of

    names, text = wrong.names, wrong.text
    return tuple(f for f in applying(on, config_of(on, setup)) if f.shows(wrong.kind.value, names, text))
