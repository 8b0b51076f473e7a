"""What SGLang's UnifiedTreeCore does under write_back besides, from 0.5.18 on: host copies beside device copies.

The reference cache writes back what it evicts, and its host gives up what is there alone. This one saves a node when
it loses a copy, whichever that is, and gives up the host copies of nodes that are on the device first
(`full_host_duplicates`). These actions are not explored with: they are for a model that follows such a cache.
"""

from __future__ import annotations

from dataclasses import replace

from sanitree.invariants.language import Element, Expr, all_of, any_of
from sanitree.invariants.vocabulary import FULL, HOST, Policy
from sanitree.models.protocol.pages import pages
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.actions import save
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.pages.doing import Assigns, free, named, room, saved
from sanitree.models.protocol.system import Action, System, on_path

TRAIT = "tracks_host_duplicates"


def duplicates(m: Pages) -> tuple[Action, ...]:
    """What a model under write_back may do besides: save a node that loses auxiliary data and keeps the rest."""
    return (reclaim(m), save_node(m)) if m.auxiliary else (reclaim(m),)


def with_duplicates(m: Pages) -> System:
    """The page model of a cache that does this under write_back."""
    system = pages(m)
    if m.policy is not Policy.WRITE_BACK:
        return system
    return replace(system, actions=(*system.actions, *duplicates(m)))


def reclaim(m: Pages) -> Action:
    """A host copy goes that is on the device too."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A host eviction takes the host copy of a node that is on the device and not being loaded."""
        loading = n[FULL].being_loaded if m.auxiliary else n.load_pending
        guard = all_of(w.tail(n), n[FULL].on_device, n[FULL].on_host, ~loading)
        return guard, on_path(lambda x: free(x, FULL, HOST), where=lambda x: w.in_node_of(n, x))

    return named("reclaim", said)


def save_node(m: Pages) -> Action:
    """A node is written to the host, and stays where it is."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """An eviction that takes one copy of a node, or of one below, writes to the host what the host lacks of it."""
        lacking = any_of(*(saved(m, n, n, c) for c in m.components))
        kept = tuple(
            a
            for c in m.components
            for a in save(m, n, c, lambda x, c=c: w.in_node_of(n, x) & saved(m, n, x, c))  # type: ignore[misc]
        )
        fits = n[FULL].on_host | room(m, FULL, HOST, n.run_length)
        return all_of(w.tail(n), n[FULL].on_device, lacking, fits), kept

    return named("save_node", said)
