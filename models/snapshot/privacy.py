"""Tokens are prompts, and prompts are somebody's. A file holds salted hashes of them."""

from __future__ import annotations

import secrets
from dataclasses import replace
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sanitree.models.snapshot.table import Column, Lists, Snapshot

SALT_BYTES = 32
_SHORTEST, _LONGEST = 16, 64
_MASK = 2**63 - 1

# An adapter makes the columns from tokens, with a hash that anyone can run over a vocabulary.
_TOKEN_LISTS = frozenset({"key"})
_TOKEN_COLUMNS = frozenset({"first_page", "edge"})


def hashed(snapshot: Snapshot, salt: bytes | None = None) -> Snapshot:
    """The snapshot with every token replaced by a keyed 63-bit hash of it.

    One function is applied to `key` lists, `first_page` and `edge`, so equal values
    stay equal and, but for one chance in millions, different ones different: every
    rule keeps its verdict. Lengths, the tree's shape and how often a token occurs
    stay visible.

    salt: 16 to 64 bytes. Random by default and kept nowhere, so that nobody can find
    tokens by hashing a vocabulary, and two snapshots share no hash. Give one to
    compare snapshots with each other, and guard it as you would the prompts.
    A snapshot that is hashed already is returned as it is. Raises ValueError for a
    salt of another length.
    """
    if salt is None:
        salt = secrets.token_bytes(SALT_BYTES)
    if not _SHORTEST <= len(salt) <= _LONGEST:
        raise ValueError(f"a salt has {_SHORTEST} to {_LONGEST} bytes, not {len(salt)}: a shorter one can be guessed")
    if snapshot.tokens == "hashed":
        return snapshot
    n = snapshot.nodes
    values = [x.values for k, x in n.lists.items() if k.name in _TOKEN_LISTS]
    values += [_seen(c) for k, c in n.columns.items() if k.name in _TOKEN_COLUMNS]
    if values:
        tokens, at = np.unique(torch.cat(values).cpu().numpy(), return_inverse=True)
        made = torch.from_numpy(_hashes(tokens, salt)[at]).to(values[0].device)
        parts = iter(torch.split(made, [len(v) for v in values]))
        # In the order in which they were gathered.
        lists = {k: Lists(x.offsets, next(parts)) if k.name in _TOKEN_LISTS else x for k, x in n.lists.items()}
        columns = {k: Column(next(parts), c.known) if k.name in _TOKEN_COLUMNS else c for k, c in n.columns.items()}
        n = replace(n, columns=columns, lists=lists)
    return replace(snapshot, nodes=n, tokens="hashed")


def _seen(c: Column) -> Tensor:
    return c.values if c.known is None else torch.where(c.known, c.values, 0)


def _hashes(tokens: NDArray[np.int64], salt: bytes) -> NDArray[np.int64]:
    raw = tokens.astype("<i8").tobytes()
    made = b"".join([blake2b(raw[i : i + 8], digest_size=8, key=salt).digest() for i in range(0, len(raw), 8)])
    return (np.frombuffer(made, "<i8") & _MASK).astype(np.int64)
