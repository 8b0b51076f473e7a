"""What the command line puts in place of what a snapshot file says, so that nobody takes one for the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sanitree.checker.render.words import clean
from sanitree.invariants.vocabulary import Component, Settings
from sanitree.models.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class FileSays:
    """What a file says of its cache; `judged` is by the traits of `version`, None where nobody asked for one."""

    file: Snapshot
    judged: Settings
    version: str | None = None

    @property
    def overridden(self) -> dict[str, Any]:
        """What the file says, of each setting that the command line says otherwise."""
        old, now, found = self.file.settings, self.judged, dict[str, Any]()
        if self.version not in (None, self.file.origin.version):
            found["engine_version"] = self.file.origin.version
        if old.policy is not now.policy:
            found["policy"] = old.policy.value
        if old.components != now.components:
            found["components"] = [c.name for c in old.components]
        if old.traits != now.traits:
            found["traits"] = sorted(old.traits)
        return found

    @property
    def engine_version(self) -> str:
        old = self.file.origin.version
        return _told(self.version or old, old)

    @property
    def policy(self) -> str:
        return _told(self.judged.policy.value, self.file.settings.policy.value)

    @property
    def components(self) -> str:
        return _told(_components(self.judged.components), _components(self.file.settings.components))

    @property
    def traits(self) -> str:
        return _told(_traits(self.judged.traits), _traits(self.file.settings.traits))


def _told(now: str, old: str) -> str:
    return clean(now if now == old else f"{now} (overridden; the file says {old})")


def _components(components: Iterable[Component]) -> str:
    return " + ".join(c.name for c in components)


def _traits(traits: Iterable[str]) -> str:
    return ", ".join(sorted(traits)) or "none"
