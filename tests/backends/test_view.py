"""What a live cache may show that no sound one does: said, and never a traceback."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from sanitree.checker.live import LiveChecker
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.observe import snapshot, subject
from sanitree.models.engines.view import View
from sanitree.models.snapshot import Key
from tests.backends.standin import GHOST, view
from tests.legal import legal


def of_version(version: str) -> Any:
    return next(v.cache for v in map(view, map(legal, range(100))) if v.version == version)


def test_a_component_without_rules_is_named() -> None:
    cache = of_version("0.5.23")
    cache.tree_components.append("C128")
    with pytest.raises(EngineError, match="component 'c128' that sanitree has no rules for: it knows full, swa, mamba"):
        View(cache, "0.5.23")


def test_a_request_whose_node_is_gone_is_one_without_its_node() -> None:
    """From 0.5.17 a request names its node by an id, which the cache forgets with the node."""
    fit = (d for d in map(legal, range(100)) if d.requests.ids and len(d.nodes) > 2)
    seen = view(next(d for d in fit if d.origin.version == "0.5.17"))
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


@pytest.mark.parametrize("thing", ["not a cache", None, object(), {"page_size": 1}])
def test_what_is_no_cache_is_refused(thing: object) -> None:
    with pytest.raises(EngineError, match="is no tiered cache of sglang, it has no page_size: pass the scheduler's"):
        View(thing, "0.5.23")
    with pytest.raises(EngineError, match=r"is no View: pass View\(cache, version\)"):
        subject(thing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("is_of", "said", "why"),
    [
        ("0.5.13", "0.5.23", "it has no _node_arena, which came with 0.5.17"),
        ("0.5.17", "0.5.18", "it has no full_host_duplicates, which came with 0.5.18"),
        ("0.5.12", "9.9", "it has no write_through_pending_id, which came with 0.5.13"),
        ("0.5.13", "0.5.12", "it has write_through_pending_id, which came with 0.5.13"),
        ("0.5.23", "0.5.17.post1", "it has full_host_duplicates, which came with 0.5.18"),
        ("0.5.23", "0.4.9", "is older than the versions that sanitree knows"),
        ("0.5.23", "newest", "not a version: 'newest'"),
    ],
)
def test_a_cache_of_another_version_is_refused(is_of: str, said: str, why: str) -> None:
    with pytest.raises(EngineError, match=re.escape(why)):
        View(of_version(is_of), said)


def test_a_build_on_the_way_to_a_release_may_have_what_comes_with_it() -> None:
    View(of_version("0.5.18"), "0.5.18rc1")
    View(of_version("0.5.18"), "0.5.17.post1.dev900+g1a2b3c4")
    View(of_version("0.5.17"), "0.5.18.dev3")
