"""Plug-ins that the reference cache can run: a component with its part, and how the fields of its rules are read.

    CHUNKED = Component("chunked", backbone=False, per_token=True)
    PLUGIN = ReferencePlugin(component=CHUNKED, part=ChunkedPart, rules=(chunk_is_held,), reads={HELD: held})

docs/tutorial-component.md writes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sanitree.invariants.plugins import GROUP, Plugin, PluginError, of_settings, plugin
from sanitree.invariants.vocabulary import FIELDS, Component, Field, Index, Settings, Sort, Tier
from sanitree.models.reading import ELEMENT, Access, Where
from sanitree.models.reference.config import CacheConfig
from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.parts import PARTS, Part

if TYPE_CHECKING:
    from sanitree.models.reference.cache import UnifiedRadixCache

Read = Callable[..., bool | int]


@dataclass(frozen=True, kw_only=True)
class ReferencePlugin(Plugin):
    """part: how the component behaves. reads: what reads each field, of `new_field`, that its rules need.

    Such a function is given the cache; a node, or a `Flight` or `Holder` of `observe`, if the
    field is one of a node, transfer or request; and the tier, if there is one for each.
    """

    part: type[Part]
    reads: Mapping[Field, Read] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.part, type) and issubclass(self.part, Part)):
            raise PluginError(f"part is {self.part!r}: make it a subclass of Part")
        if wrong := [f for f in self.reads if not isinstance(f, Field) or FIELDS.get((f.owner, f.name)) is not f]:
            raise PluginError(f"reads names {wrong[0]!r}, which is no field: declare it with new_field")
        if unread := [f for f in self.words() if (f.owner, f.name) in FIELDS and f not in self.reads]:
            raise PluginError(f"its rules speak of {unread[0].name!r}, which nothing reads: name it in reads")


def parts_of(config: CacheConfig) -> tuple[Part, ...]:
    """The parts of a configuration's components. Raises CacheError for a component without one."""
    return tuple(_part(c)(c, config) for c in config.components)


def _part(c: Component) -> type[Part]:
    if c.name in PARTS:
        return PARTS[c.name]
    p = plugin(c.name)
    if p is None:
        raise CacheError(f"component {c.name!r} has no part: install a plug-in of it ({GROUP}), or `use` one")
    if not isinstance(p, ReferencePlugin):
        raise CacheError(f"the plug-in of component {c.name!r} brings no part: make it a ReferencePlugin")
    if p.component != c:
        raise CacheError(f"component {c.name!r} is declared otherwise by its plug-in: {p.component}")
    return p.part


# Their fields, as `reading` says them: each is read by calling a name that a check prepares.


def readings(settings: Settings) -> tuple[dict[Field, Where], dict[str, Callable[[Any], object]]]:
    """How the fields of a cache's plug-ins are read, and the names that this takes."""
    fields: dict[Field, Where] = {}
    names: dict[str, Callable[[Any], object]] = {}
    for p in of_settings(settings):
        for f, read in p.reads.items() if isinstance(p, ReferencePlugin) else ():
            fields[f] = _where(p.component, f, fields.get(f))
            for t in Tier if f.index is Index.COPY else (None,):
                names[_name(p.component, f, t)] = _reader(f, read, () if t is None else (t,))
    return fields, names


def _name(c: Component, f: Field, t: Tier | None) -> str:
    return "_".join(("read", c.name, f.owner.value, f.name, *([t.value] if t else [])))


def _where(own: Component, f: Field, otherwise: Where | None) -> Where:
    def where(c: Component | None, t: Tier | None) -> Access | None:
        if c != own:
            return None if otherwise is None else otherwise(c, t)
        return Access(f"{_name(own, f, t)}({'' if f.owner is Sort.TREE else '{0}'})", (ELEMENT,))

    return where


def _reader(f: Field, read: Read, tier: tuple[Tier, ...]) -> Callable[[UnifiedRadixCache], object]:
    if f.owner is Sort.TREE:
        return lambda cache: lambda: read(cache, *tier)
    return lambda cache: lambda element: read(cache, element, *tier)
