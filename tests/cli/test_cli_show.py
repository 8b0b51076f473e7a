"""`sanitree show`: what is drawn, what is left out, and that the two add up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from sanitree.checker.render.outline import Kind, Outline
from sanitree.checker.render.words import ranges, tokens
from sanitree.invariants.vocabulary import FULL, SWA
from tests.cli.caches import Cache, Node, big, freed_while_read, observe, small

Run = Callable[..., Result]
Write = Callable[..., str]


def test_a_small_tree_is_whole(run: Run, write: Write) -> None:
    text = run("show", write(small())).stdout
    assert "├ 1 [1 2 3 4]    DH 2      4" in text
    assert "│ └ 6 [7 8 9]    DH 2      1  ⇄ write 3  ← request 12" in text
    assert "  └ 8 [72]       ·H        1" in text
    assert "write 3: node 6, full device 7-9 → host 7-9" in text
    assert "12: locks node 6, prefix of 7 tokens, holds full device 14-15" in text
    assert "every rule holds" in text
    unseen = run("show", write(replace(observe(small()), requests=None))).stdout
    assert "no rule is violated by what was observed; `sanitree check` tells what was not checked" in " ".join(
        unseen.split()
    )
    assert "the root's D marks presence and holds no slots" in text
    assert "the root's D" not in run("show", write(small()), "--node", "1").stdout


def test_violations_are_at_their_nodes(run: Run, write: Write) -> None:
    result = run("show", write(freed_while_read()))
    assert result.exit_code == 0
    assert "source_is_not_free" in result.stdout
    assert "violated: 1 node" in result.stdout


def test_what_nobody_observed_is_a_question_mark(run: Run, write: Write) -> None:
    s = observe(small())
    kept = {k: c for k, c in s.nodes.columns.items() if k.name not in ("hits", "lock")}
    text = run("show", write(replace(s, nodes=replace(s.nodes, columns=kept), requests=None))).stdout
    assert "DH ?      ?" in text
    assert "requests: not observed" in text


@pytest.mark.parametrize("width", [80, 120])
def test_a_big_tree_fits(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    path = write(big(3000, components=(FULL, SWA)))
    lines = run("show", path).stdout.splitlines()
    assert len(lines) < 85
    assert max(len(line) for line in lines if line != path) <= width
    assert any("more children" in line for line in lines)


def test_violated_nodes_stay_in_sight(run: Run, write: Write) -> None:
    path = write(big(2000, broken=12))
    red = [n["id"] for n in json.loads(run("show", "--json", "--violations", path).stdout)["nodes"]]
    text = run("show", path).stdout
    assert red
    assert all(f" {i} [" in text for i in red)


def test_what_leads_to_a_violation_is_shown(run: Run, write: Write) -> None:
    text = run("show", write(freed_while_read()), "--violations").stdout
    assert "└ 5 [1 2]" in text
    assert "not shown" not in text
    assert "not shown" not in run("show", write(big(2000, broken=12)), "--violations").stdout


def test_the_heading_is_above_its_columns(run: Run, write: Write) -> None:
    lines = run("show", write(Cache([Node(0, 0, (), lock=1), Node(1, 0, (7,), (1,))]))).stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("node [tokens]"))
    assert lines[at].index("full") == lines[at + 1].index("D· 1")
    assert lines[at].index("hits") + 3 == lines[at + 2].rindex("1")


def test_pools_keep_their_names_on_a_narrow_terminal(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = run("show", write(small())).stdout
    assert "\npool (slots)  in tree  requests  free  capacity  in flight\nfull device         9" in text


def test_full_shows_every_node(run: Run, write: Write) -> None:
    text = run("show", "--full", write(big(500))).stdout
    assert "not shown" not in text
    assert all(f" {i} [" in text for i in range(1, 500))


def test_one_node_and_depth(run: Run, write: Write) -> None:
    path = write(small())
    text = run("show", path, "--node", "1").stdout
    assert "node 1" in text
    assert "slots 1-4" in text
    assert "[500 501]" in text
    assert "[70 71]" not in text
    shallow = run("show", path, "--depth", "1").stdout
    assert "[70 71]" in shallow
    assert "[72]" not in shallow
    missing = run("show", path, "--node", "99")
    assert missing.exit_code == 2
    assert "no node 99" in missing.stderr


def test_a_deep_chain_keeps_to_the_width(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    chain = [Node(0, 0, (), lock=1)] + [Node(i, i - 1, (i,), (i,), (i,)) for i in range(1, 1200)]
    path = write(Cache(chain, device_slots=1300, host_slots=1300))
    text = run("show", "--full", path).stdout
    assert max(len(line) for line in text.splitlines() if line != path) <= 80
    assert " 1199 [1199]" in text


def test_hashed_tokens_are_short(run: Run, write: Write) -> None:
    assert "[#" in run("show", write(small(), tokens="hashed")).stdout


def test_json_has_every_node(run: Run, write: Write) -> None:
    data = json.loads(run("show", "--json", write(small())).stdout)
    assert [n["id"] for n in data["nodes"]] == [0, 1, 5, 6, 7, 8]
    assert data["nodes"][3]["transfers"] == ["write 3"]
    assert data["nodes"][3]["requests"] == [12]
    assert data["nodes"][1]["copies"]["full"]["device"] == {"present": True, "slots": [1, 2, 3, 4], "lock": 2}
    assert data["pools"][0]["capacity"] == 16


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[int], set[int], set[int]]:
    """Parents, pinned rows and red rows among them."""
    size = draw(st.integers(1, 60))
    parent = [0] + [draw(st.integers(0, i - 1)) for i in range(1, size)]
    pinned = draw(st.sets(st.integers(0, size - 1), max_size=8))
    return parent, pinned, {row for row in pinned if row % 2}


@given(trees(), st.integers(1, 40), st.booleans())
def test_what_is_shown_and_what_is_counted_add_up(
    tree: tuple[list[int], set[int], set[int]], room: int, only_pinned: bool
) -> None:
    parent, pinned, red = tree
    outline = Outline(parent, pinned, red)
    outline.choose(room, only_pinned)
    lines = outline.lines()
    shown = [line.row for line in lines if line.kind is Kind.NODE]
    assert not any(line.nodes == 1 for line in lines if line.kind is Kind.RUN)
    assert len(shown) == len(set(shown))
    assert pinned <= set(shown)
    if not only_pinned:
        assert len(shown) + sum(line.nodes for line in lines) == len(parent)
    assert len(red & set(shown)) + sum(line.red for line in lines) == len(red)
    assert all(len(line.last) >= 0 for line in lines)


@given(trees(), st.integers(1, 40))
def test_the_outline_keeps_to_its_room(tree: tuple[list[int], set[int], set[int]], room: int) -> None:
    parent, _, _ = tree
    outline = Outline(parent, (), ())
    outline.choose(room)
    assert len(outline.lines()) <= max(room, 1) + 1


def test_small_words() -> None:
    assert ranges([4, 5, 6, 9]) == "4-6, 9"
    assert ranges(range(0, 40, 2), 3) == "0, 2, 4 and 17 more"
    assert tokens(range(20), "raw", 4) == "[0 1 … 18 19]"
    assert tokens([0x1ABCD], "hashed") == "[#abcd]"
