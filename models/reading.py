"""How an adapter says where each field of a live tree lies, so that a checker can be generated for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sanitree.invariants.vocabulary import Component, Field, Tier


@dataclass(frozen=True, slots=True)
class Access:
    """A Python expression that reads something: `template` with `{0}`, `{1}`… for its parts.

    `ELEMENT` is the element itself. Equal accesses on one element are read once.
    """

    template: str
    parts: tuple[Access, ...] = ()


ELEMENT = Access("{element}")
Where = Callable[[Component | None, Tier | None], Access | None]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How to read one engine's live tree.

    fields: for a field, the access for a component and tier; None, or no entry, where
    it cannot be observed. root, children: the tree's root, given the tree as `T`, and
    a node's map of children. parent: a node's own parent pointer. prepare: names that
    accesses may use besides the element, computed once a check from the tree.
    transfers, requests: the lists to range over, computed like `prepare`; None where
    they cannot be observed. An access on their elements reads attributes. lists: for a
    snapshot, the lists of numbers of a node: `key` its tokens, `holds` a copy's slots.
    linked: whether every LRU list is one: a walk from head to tail that meets just the
    registered nodes, with prev pointers that lead back. Cheaper than a rank a node.
    """

    fields: Mapping[Field, Where]
    root: str
    children: Access
    parent: Access
    prepare: Mapping[str, Callable[[Any], object]] = field(default_factory=dict)
    transfers: Callable[[Any], list[Any]] | None = None
    requests: Callable[[Any], list[Any]] | None = None
    lists: Mapping[str, Where] = field(default_factory=dict)
    linked: Callable[[Any], bool] | None = None


def inline(access: Access, element: str) -> str:
    """The access on an element as one expression."""
    if access == ELEMENT:
        return element
    return access.template.format(*(inline(p, element) for p in access.parts), element=element)
