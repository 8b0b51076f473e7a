"""Tokens leave as hashes unless asked for, and the hashes keep what rules look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from strategies import snapshots
from test_snapshot_round_trips import SALT, small

from sanitree.models.snapshot import Column, Key, Snapshot, decode, encode, hashed, read, same, write


def token_values(s: Snapshot) -> torch.Tensor:
    """Everything made of tokens that is known, one after the other."""
    n = s.nodes
    parts = [x.values for k, x in n.lists.items() if k.name == "key"]
    for name in ("first_page", "edge"):
        if (c := n.columns.get(Key(name))) is not None:
            parts.append(c.values if c.known is None else c.values[c.known])
    return torch.cat([*parts, torch.zeros(0, dtype=torch.int64)])


@given(snapshots())
def test_equal_stay_equal_and_different_stay_different(s: Snapshot) -> None:
    before, after = token_values(s), token_values(hashed(s))
    assert torch.equal(before[:, None] == before, after[:, None] == after)
    assert bool((after >= 0).all())


@given(snapshots())
def test_only_tokens_change(s: Snapshot) -> None:
    h = hashed(s)
    assert h.tokens == "hashed" and s.tokens == "raw"
    back = dict(h.nodes.columns) | {k: c for k, c in s.nodes.columns.items() if k.name in ("first_page", "edge")}
    lists = dict(h.nodes.lists) | {k: x for k, x in s.nodes.lists.items() if k.name == "key"}
    assert same(replace(h, tokens="raw", nodes=replace(h.nodes, columns=back, lists=lists)), s)


@given(snapshots())
def test_hashing_twice_is_hashing_once(s: Snapshot) -> None:
    assert hashed(h := hashed(s)) is h


def test_a_salt_makes_hashes_comparable_and_none_makes_them_not() -> None:
    s = small()
    assert same(hashed(s, SALT), hashed(s, SALT))
    others = [hashed(s, SALT[::-1]), hashed(s), hashed(s)]
    seen = [set(token_values(x).tolist()) for x in (s, hashed(s, SALT), *others)]
    assert sum(map(len, seen)) == len(set().union(*seen))


@pytest.mark.parametrize("salt", [b"", b"pepper", b"x" * 65])
def test_a_salt_that_can_be_guessed_is_refused(salt: bytes) -> None:
    with pytest.raises(ValueError, match="a salt has 16 to 64 bytes, not"):
        hashed(small(), salt)


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_files_hold_hashes_unless_asked(tmp_path: Path, name: str) -> None:
    s = small()
    write(s, tmp_path / name)
    found = read(tmp_path / name)
    assert found.tokens == "hashed"
    assert not set(token_values(found).tolist()) & set(token_values(s).tolist())
    write(s, tmp_path / name, salt=SALT)
    assert same(read(tmp_path / name), hashed(s, SALT))
    write(s, tmp_path / name, tokens="raw")
    assert read(tmp_path / name).tokens == "raw"


def test_what_a_mask_hides_is_not_written() -> None:
    s = small()
    secret = Column(torch.tensor([1, 424242, 3]), torch.tensor([True, False, True]))
    s = replace(s, nodes=replace(s.nodes, columns={**s.nodes.columns, Key("first_page"): secret}))
    assert b"424242" not in encode(s, tokens="raw")
    assert 424242 not in hashed(s).nodes.columns[Key("first_page")].values.tolist()
    assert same(decode(encode(s, tokens="raw")), s)


def test_the_salt_is_not_in_the_file() -> None:
    data = encode(small(), salt=SALT)
    assert SALT not in data and SALT.hex().encode() not in data
