"""The graph form: of use to somebody who knows networkx and not us, and checked when it comes back."""

# ruff: noqa: E501 -- a bad input a line, however long

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import networkx as nx  # type: ignore[import-untyped,unused-ignore]
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import snapshots
from test_snapshot_round_trips import small

from sanitree.models.snapshot import Column, Key, SnapshotError, Table, from_networkx, same, to_networkx


def test_what_a_user_sees() -> None:
    g = to_networkx(small())
    assert type(g) is nx.DiGraph and nx.is_arborescence(g)
    assert list(g.nodes) == [1, 7, 5] and list(g.edges) == [(1, 7), (7, 5)]
    assert g.nodes[7] == {
        "row": 1,
        "parent_link": 5,
        "key_len": 2,
        "hits": None,
        "state.host.present": False,
        "first_page": 11,
        "edge": 11,
        "key": [11, 12],
        "full.device.holds": [4, 5],
    }
    assert g.graph["origin"] == {"engine": "sglang", "version": "0.5.13", "core": "python", "taken": ""}
    assert g.graph["settings"] == {
        "policy": "write_back",
        "page_size": 1,
        "components": [
            {"name": "full", "backbone": True, "per_token": True},
            {"name": "state", "backbone": False, "per_token": False},
        ],
        "traits": ["tiered"],
    }
    assert g.graph["tree"] == {"id": 0, "full.evictable_size": 3, "full.device.free": [1, 2, 3]}
    assert g.graph["transfers"] == [] and g.graph["requests"] is None
    assert sum(n["key_len"] for _, n in g.nodes(data=True)) == 3
    assert nx.shortest_path(g, 1, 5) == [1, 7, 5]
    json.dumps({"nodes": dict(g.nodes), "graph": g.graph})


@given(snapshots(), st.randoms(use_true_random=False))
def test_order_comes_from_the_rows_and_not_from_the_graph(s: Any, random: Any) -> None:
    g = to_networkx(s)
    nodes, edges = list(g.nodes(data=True)), list(g.edges)
    random.shuffle(nodes)
    random.shuffle(edges)
    shuffled = nx.DiGraph(**g.graph)
    shuffled.add_nodes_from(nodes)
    shuffled.add_edges_from(edges)
    assert same(from_networkx(shuffled), s)


def test_a_graph_by_hand() -> None:
    g = nx.DiGraph(
        origin={"engine": "mine", "version": "1", "core": "python"},
        settings=to_networkx(small()).graph["settings"],
        tree={},
    )
    g.add_node(3, key_len=np.int64(4), color="red", **{"full.device.present": np.True_})
    g.add_node(2, key_len=0)
    g.add_node(4, pos=(0, 1))
    g.add_edges_from([(2, 3), (3, 4)])
    s = from_networkx(g)
    assert s.tokens == "raw" and s.transfers is None and s.requests is None and not s.tree.columns
    wanted = Table(
        torch.tensor([2, 3, 4]),
        {
            Key("parent"): Column(torch.tensor([0, 0, 1])),
            Key("key_len"): Column(torch.tensor([0, 4, 0]), torch.tensor([True, True, False])),
            Key("present", "full", "device"): Column(
                torch.tensor([False, True, True]), torch.tensor([False, True, False])
            ),
        },
    )
    assert same(s, type(s)(s.origin, s.settings, s.tree, wanted))


def test_a_subtree_cut_out_stays_a_snapshot() -> None:
    g = to_networkx(small())
    g.remove_node(5)
    g.nodes[7]["parent_link"] = 1
    assert from_networkx(g).nodes.ids.tolist() == [1, 7]


def edit(change: Callable[[nx.DiGraph], object]) -> Callable[[nx.DiGraph], nx.DiGraph]:
    def changed(g: nx.DiGraph) -> nx.DiGraph:
        change(g)
        return g

    return changed


def put(node: int, name: str, value: object) -> Callable[[nx.DiGraph], nx.DiGraph]:
    return edit(lambda g: g.nodes[node].update({name: value}))


BAD: dict[str, tuple[Callable[[nx.DiGraph], nx.Graph], str]] = {
    "undirected": (nx.Graph, "the graph: not a DiGraph; start from a graph that to_networkx made"),
    "a multigraph": (nx.MultiDiGraph, "not a DiGraph"),
    "empty": (lambda g: nx.DiGraph(**g.graph), "there are no nodes"),
    "two roots": (edit(lambda g: g.remove_edge(7, 5)), "2 roots: 1, 5"),
    "no root": (edit(lambda g: g.add_edge(5, 1)), "no root: the edges go round in a cycle"),
    "a cycle apart": (edit(lambda g: g.add_edges_from([(8, 9), (9, 8)])), "node [89]: it lies on a cycle"),
    "a loop": (edit(lambda g: g.add_edge(9, 9)), "node 9: it lies on a cycle"),
    "two parents": (edit(lambda g: g.add_edge(1, 5)), "node 5: it has 2 parents: (7, 1|1, 7); keep one"),
    "no settings": (edit(lambda g: g.graph.pop("settings")), "the graph's attributes: 'settings' is missing"),
    "no origin": (edit(lambda g: g.graph.pop("origin")), "'origin' is missing"),
    "no tree": (edit(lambda g: g.graph.pop("tree")), "'tree' is missing"),
    "settings a list": (edit(lambda g: g.graph.update(settings=[])), "'settings' is no dict"),
    "settings in part": (edit(lambda g: g.graph["settings"].pop("policy")), "the graph's settings: 'policy' is missing"),
    "an odd policy": (edit(lambda g: g.graph["settings"].update(policy="x")), "settings.policy: unknown policy 'x'"),
    "an odd origin": (edit(lambda g: g.graph["origin"].update(core=1)), "origin.core: text is wanted"),
    "odd tokens": (edit(lambda g: g.graph.update(tokens=b"x")), "says nothing about tokens"),
    "observed odd": (edit(lambda g: g.graph.update(observed=1)), "'observed' is no dict of lists"),
    "a text as name": (lambda g: nx.relabel_nodes(g, {5: "five"} | {}), "five|there is no node 5"),
    "a fraction": (put(5, "key_len", 1.0), "node 5: 'key_len': 1.0 is no whole number"),
    "a truth value as number": (put(5, "key_len", True), "node 5: 'key_len': true is no whole number"),
    "a number as truth value": (put(5, "state.host.present", 1), "node 5: 'state.host.present': 1 is no truth value"),
    "a giant": (put(5, "key_len", 2**70), "node 5: 'key_len': .* is out of range"),
    "too large": (put(5, "key_len", 2**50), r'\["key_len"\]\[2\]: .* is not a number that a cache can have'),
    "a list as number": (put(5, "key_len", []), "node 5: 'key_len': an array is no whole number"),
    "a reference to nothing": (put(5, "parent_link", 6), "node 5: 'parent_link': there is no node 6; name one"),
    "a reference by text": (put(5, "parent_link", "7"), "node 5: 'parent_link': '7' is no whole number"),
    "no tokens on one node": (edit(lambda g: g.nodes[5].pop("key")), "node 5: 'key': missing; an empty list if there"),
    "tokens that are none": (put(7, "key", 5), "node 7: 'key': a list is wanted, not 5"),
    "a text among tokens": (put(7, "key", [1, "x"]), "node 7: 'key': 'x' is no whole number"),
    "an unknown token": (put(7, "key", [None]), "node 7: 'key': null is no whole number"),
    "a slot too large": (put(7, "full.device.holds", [2**62]), "is not a number that a cache can have"),
    "transfers a dict": (edit(lambda g: g.graph.update(transfers={})), "the graph's transfers: not a list of dicts"),
    "a transfer without id": (edit(lambda g: g.graph.update(transfers=[{}])), r"transfers\[0\]: 'id': null is no whole"),
    "a transfer of nothing": (edit(lambda g: g.graph.update(transfers=[{"id": 0, "node": 9}])), r"transfers\[0\]: 'node': there is no"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_malformed_graphs(name: str) -> None:
    change, message = BAD[name]
    with pytest.raises(SnapshotError, match=message) as error:
        from_networkx(change(to_networkx(small())))
    assert str(error.value).isprintable() and error.value.exit_code == 2
