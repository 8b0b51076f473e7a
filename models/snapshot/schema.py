"""What a snapshot may hold: names of columns and lists, ranges of numbers, settings as plain data."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict

from sanitree.invariants.plugins import component
from sanitree.invariants.vocabulary import (
    COMPONENTS,
    FIELDS,
    TRAITS,
    Component,
    Field,
    Index,
    Policy,
    Settings,
    Sort,
    Tier,
)
from sanitree.models.snapshot.errors import SnapshotError, shown
from sanitree.models.snapshot.table import SORT_NAME, Key, Origin

TABLES: Mapping[str, Sort] = {name: sort for sort, name in SORT_NAME.items()}

LISTS: Mapping[tuple[Sort, str], Index] = {
    (Sort.TREE, "free"): Index.COPY,
    (Sort.NODE, "key"): Index.NONE,
    (Sort.NODE, "holds"): Index.COPY,
    (Sort.TRANSFER, "reads"): Index.COPY,
    (Sort.TRANSFER, "writes"): Index.COPY,
    (Sort.REQUEST, "holds"): Index.COPY,
    (Sort.REQUEST, "uses"): Index.COPY,
}

# Rules add numbers up in 64 bits. No slot, size or count of a real cache comes near
# 2**40, and sums over eight million rows of such numbers are still exact.
LARGEST = 2**40
LARGEST_ID = 2**63 - 1
_ANY_INT64 = frozenset({"hash", "ack id"})

_MOST_COMPONENTS = 16
_LARGEST_PAGE = 2**20
_LONGEST_TEXT = 200
_COMPONENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_TIERS = frozenset(t.value for t in Tier)


def label(key: Key) -> str:
    """A column's or list's name in files and graphs: "key_len", "full.lru_size", "full.device.present"."""
    return ".".join(p for p in (key.component, key.tier, key.name) if p)


def key_of(text: str) -> Key:
    """The key that `label` wrote so; one that no table takes if nothing can be written so."""
    match text.split("."):
        case [name]:
            return Key(name)
        case [component, name]:
            return Key(name, component)
        case [component, tier, name]:
            return Key(name, component, tier)
    return Key(text)


def component_names(settings: Settings) -> frozenset[str]:
    """Components that columns may speak of: the declared, and those known anyway.

    A check may be narrowed to fewer components than were observed.
    """
    return frozenset(c.name for c in settings.components) | COMPONENTS.keys()


def components_elsewhere(settings: Settings) -> frozenset[str]:
    """Declared components that this installation knows nothing of: neither built in nor a plug-in's."""
    return frozenset(c.name for c in settings.components if component(c.name) is None)


def field_of(sort: Sort, key: Key, components: Collection[str]) -> Field | None:
    """The field whose values a column of this key holds, None if there is none."""
    field = FIELDS.get((sort, key.name))
    return field if field is not None and _fits(field.index, key, components) else None


def is_list(sort: Sort, key: Key, components: Collection[str]) -> bool:
    """Whether a table of this sort may have a list of this key."""
    index = LISTS.get((sort, key.name))
    return index is not None and _fits(index, key, components)


def _fits(index: Index, key: Key, components: Collection[str]) -> bool:
    if index is Index.NONE:
        return key.component is None and key.tier is None
    if key.component not in components:
        return False
    return key.tier in _TIERS if index is Index.COPY else key.tier is None


def no_such_name(sort: Sort, key: Key, components: Collection[str], where: str) -> SnapshotError:
    """Says why no column or list of this key can be, and which was perhaps meant."""
    text = label(key)
    index = FIELDS[sort, key.name].index if (sort, key.name) in FIELDS else LISTS.get((sort, key.name))
    if index is not None and key.component is not None and key.component not in components:
        return SnapshotError(
            f"component {shown(key.component)} is not declared", where, "name it in settings.components"
        )
    known = [name for owner, name in (*FIELDS, *LISTS) if owner is sort]
    near = difflib.get_close_matches(key.name, known, n=1)
    hint = f"indexed by {index.value}" if index is not None else f"perhaps {near[0]!r} is meant" if near else ""
    return SnapshotError(f"{shown(text)} is no name for {SORT_NAME[sort]}", where, hint or "see `sanitree rules`")


def range_of(field: Field | None) -> tuple[int, int]:
    """Least and largest number that a field, or with None a list of slots, may hold."""
    if field is not None and field.unit in _ANY_INT64:
        return -LARGEST_ID - 1, LARGEST_ID
    return -LARGEST, LARGEST


def plain_settings(settings: Settings) -> dict[str, object]:
    """Settings as plain data: names, numbers, lists and dicts."""
    return {
        "policy": settings.policy.value,
        "page_size": settings.page_size,
        "components": [asdict(c) for c in settings.components],
        "traits": sorted(settings.traits),
    }


def settings_of(plain: Mapping[str, object], where: str) -> Settings:
    """Settings from what `plain_settings` made. Raises SnapshotError."""
    policies = [p.value for p in Policy]
    policy = plain["policy"]
    if policy not in policies:
        raise SnapshotError(f"unknown policy {shown(policy)}", f"{where}.policy", f"one of {', '.join(policies)}")
    components, traits = plain["components"], plain["traits"]
    if not isinstance(components, list):
        raise SnapshotError(f"an array is wanted, not {shown(components)}", f"{where}.components", "list them")
    if not isinstance(traits, list):
        raise SnapshotError(f"an array is wanted, not {shown(traits)}", f"{where}.traits", "list names of traits")
    settings = Settings(
        Policy(policy),
        tuple(_component(c, f"{where}.components[{i}]") for i, c in enumerate(components)),
        frozenset(_trait(t, f"{where}.traits[{i}]") for i, t in enumerate(traits)),
        plain["page_size"],  # type: ignore[arg-type]  # checked next
    )
    check_settings(settings, where)
    return settings


def _component(plain: object, where: str) -> Component:
    hint = 'write {"name": ..., "backbone": ..., "per_token": ...}'
    if not isinstance(plain, dict) or plain.keys() != {"name", "backbone", "per_token"}:
        raise SnapshotError("not a component", where, hint)
    if not isinstance(plain["name"], str) or not all(isinstance(plain[k], bool) for k in ("backbone", "per_token")):
        raise SnapshotError("a name and two truth values are wanted", where, hint)
    return Component(**plain)


def _trait(plain: object, where: str) -> str:
    # A trait changes what is legal: without it, sound trees would read as broken.
    if not isinstance(plain, str) or plain not in TRAITS:
        raise SnapshotError(f"unknown trait {shown(plain)}", where, "a newer sanitree may know it: update")
    return plain


def check_settings(settings: Settings, where: str = ".settings") -> None:
    """Raises SnapshotError where settings make no sense."""
    size, names = settings.page_size, [c.name for c in settings.components]
    if type(size) is not int or not 1 <= size <= _LARGEST_PAGE:
        raise SnapshotError(f"{shown(size)} is no page size", f"{where}.page_size", f"1 to {_LARGEST_PAGE} tokens")
    for trait in sorted(settings.traits):
        _trait(trait, f"{where}.traits")
    for i, c in enumerate(settings.components[: _MOST_COMPONENTS + 1]):
        at = f"{where}.components[{i}]"
        if i == _MOST_COMPONENTS:
            raise SnapshotError("too many components", at, f"at most {_MOST_COMPONENTS}")
        if not _COMPONENT_NAME.fullmatch(c.name):
            raise SnapshotError(f"{shown(c.name)} is no name for a component", at, "letters, digits, _ and -")
        if c.name in names[:i]:
            raise SnapshotError(f"component {c.name} is declared twice", at, "declare it once")
        if (usual := component(c.name) or c) != c:
            raise SnapshotError(f"{c.name} is a known component, declared otherwise", at, f"write {asdict(usual)}")
    if sum(c.backbone for c in settings.components) != 1:
        raise SnapshotError("not exactly one is the backbone", f"{where}.components", "a tree is made of one")


def origin_of(plain: Mapping[str, object], where: str) -> Origin:
    """Origin from plain data. Raises SnapshotError."""
    for name, text in plain.items():
        if not isinstance(text, str):
            raise SnapshotError(f"text is wanted, not {shown(text)}", f"{where}.{name}", "write a string")
    origin = Origin(**plain)  # type: ignore[arg-type]  # checked above
    check_origin(origin, where)
    return origin


def check_origin(origin: Origin, where: str = ".origin") -> None:
    """Raises SnapshotError where a text of an origin could not be printed on a line."""
    for name, text in asdict(origin).items():
        if not text.isprintable() or len(text) > _LONGEST_TEXT:
            hint = f"at most {_LONGEST_TEXT} printable characters"
            raise SnapshotError(f"{shown(text)} cannot be printed on a line", f"{where}.{name}", hint)
