"""With which engines the page model was last shown to be in lockstep: data that a campaign in lockstep writes.

python -m tests.lockstep.measured RECORD --write
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sanitree.models.engines.store import version_key

FILE = Path(__file__).parent / "record.json"


@dataclass(frozen=True, slots=True)
class Recorded:
    """measured: the day. calls: of each engine, as "0.5.23 python", how many the model followed. parted: of those, the
    ones that neither the model nor an accepted difference explains."""

    measured: str
    calls: Mapping[str, int]
    parted: Mapping[str, int]


@cache
def recorded() -> Recorded:
    """What was written last."""
    told = json.loads(FILE.read_text(encoding="utf-8"))
    return Recorded(told["measured"], told["calls"], told["parted"])


def in_words() -> str:
    """One line for those who read a verdict about the model; "" where nothing was recorded."""
    try:
        r = recorded()
    except FileNotFoundError:
        return ""
    sound = [name for name in r.calls if not r.parted.get(name)]
    if not sound:
        return ""
    calls = sum(r.calls[name] for name in sound)
    versions = sorted({name.split()[0] for name in sound}, key=version_key)
    cores = sorted({name.split()[1].capitalize() for name in sound if " " in name})
    which = versions[0] if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"
    if cores:
        which += f", {' and '.join(cores)} core{'s' * (len(cores) > 1)}"
    apart = [name for name in r.calls if r.parted.get(name)]
    others = f"; not with {', '.join(apart)}" if apart else ""
    return f"the page model was last in lockstep with SGLang {which}: {calls:,} calls, {r.measured}{others}"
