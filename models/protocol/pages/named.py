"""A state of the page model under the snapshot's names: ids of nodes, and the tokens that pages begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from sanitree.models.protocol.pages.abstraction import Abstraction
from sanitree.models.protocol.pages.observed import Values, snapshot
from sanitree.models.protocol.system import System
from sanitree.models.snapshot import Key, Lists, Snapshot


def as_named(system: System, state: Values, a: Abstraction, s: Snapshot) -> Snapshot:
    """Nodes that the snapshot does not have get ids beyond its own."""
    made, names = snapshot(system, state), ids_of(a, s)
    ids = [names[tail] if tail else 0 for tail in made.nodes.ids.tolist()]
    token = _tokens(a, s)
    keys = Lists.of([[token.get(page, -page) for page in run] for run in made.nodes.lists[Key("key")].each])
    nodes = replace(made.nodes, ids=torch.tensor(ids), lists={**made.nodes.lists, Key("key"): keys})
    return replace(made, nodes=nodes, tokens=s.tokens)


def ids_of(a: Abstraction, s: Snapshot) -> Mapping[int, int]:
    """The id of the node that ends with each page: the snapshot's, or one beyond those."""
    beyond = max(s.nodes.ids.tolist()) + 1
    tails = {pages[-1]: int(s.nodes.ids[row]) for row, pages in a.pages_of.items()}
    return {page: tails.get(page, beyond + page) for page in range(1, a.model.count + 1)}


def _tokens(a: Abstraction, s: Snapshot) -> Mapping[int, int]:
    """The first token of each page that is a node's."""
    keys = s.nodes.lists.get(Key("key"))
    if keys is None:
        return {}
    size = s.settings.page_size
    return {
        page: int(keys.each[row][i * size])
        for row, pages in a.pages_of.items()
        for i, page in enumerate(pages)
        if i * size < len(keys.each[row])
    }
