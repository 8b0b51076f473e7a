"""What a live cache may show that no sound one does: said, and never a traceback."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sanitree.checker.live import LiveChecker
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.observe import snapshot, subject
from sanitree.models.engines.view import View
from sanitree.models.snapshot import Key
from tests.backends.standin import GHOST, view
from tests.legal import legal


def test_a_component_without_rules_is_named() -> None:
    cache = view(legal(0)).cache
    cache.tree_components.append("C128")
    with pytest.raises(EngineError, match="component 'c128' that sanitree has no rules for: it knows full, swa, mamba"):
        View(cache, "0.5.23")


def test_a_request_whose_node_is_gone_is_one_without_its_node() -> None:
    """From 0.5.17 a request names its node by an id, which the cache forgets with the node."""
    seed = next(i for i in range(100) if legal(i).requests.ids and len(legal(i).nodes) > 2)
    seen = view(legal(seed))
    seen.cache.node_by_id = seen.cache._node_arena.__getitem__
    assert seen.requests is not None
    held = [replace(h, node=h.node.id) for h in seen.requests]
    v = View(seen.cache, seen.version, held)
    assert LiveChecker().nothing_violated(subject(v))
    gone = View(seen.cache, seen.version, [replace(held[0], node=GHOST), *held[1:]])
    requests = snapshot(gone).requests
    assert requests is not None
    assert requests.columns[Key("node_in_tree")].values.tolist() == [False] + [True] * (len(held) - 1)
    assert not LiveChecker().nothing_violated_in_place(subject(gone))
    assert "request_holds_its_node" in {x.rule.id for x in LiveChecker().report(subject(gone)).violations}
