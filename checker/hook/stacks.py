"""Where an operation was called from: kept as raw frames, and written out only for a report."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from sanitree.models.engines import touching

LIMIT = 1 << 20
"""Different stacks that are told apart; a server's number some hundred."""

UNKNOWN = 0

Key = tuple[int, ...]
"""A stack: for each frame, the innermost first, which code and where in it."""

_frame = sys._getframe

_OURS = (str(Path(__file__).parent), touching.__file__)
"""Our own frames, which a report leaves out."""


class Stacks:
    """Stacks by number. Equal ones have one number, so that a slot keeps its stack in a few bits.

    Number 0 stands for what was not kept. `of_the_tree` says which stacks pass through the
    cache's own code on the way to a free, as an eviction does.
    """

    def __init__(self) -> None:
        self._numbers: dict[Key, int] = {}
        self._frames: list[tuple[tuple[CodeType, int], ...]] = [()]
        self._of_the_tree: dict[int, bool] = {UNKNOWN: True}

    def here(self, skip: int = 0) -> int:
        """The number of the stack that ends `skip` frames above the caller of this."""
        # Twelve frames without a loop: this is most of what watching an operation costs.
        first: FrameType = _frame(skip + 1)
        a: Any = first
        try:
            b = a.f_back
            c = b.f_back
            d = c.f_back
            e = d.f_back
            f = e.f_back
            g = f.f_back
            h = g.f_back
            i = h.f_back
            j = i.f_back
            k = j.f_back
            z = k.f_back
            key: Key = (
                id(a.f_code), a.f_lasti, id(b.f_code), b.f_lasti, id(c.f_code), c.f_lasti,
                id(d.f_code), d.f_lasti, id(e.f_code), e.f_lasti, id(f.f_code), f.f_lasti,
                id(g.f_code), g.f_lasti, id(h.f_code), h.f_lasti, id(i.f_code), i.f_lasti,
                id(j.f_code), j.f_lasti, id(k.f_code), k.f_lasti, id(z.f_code), z.f_lasti,
            )  # fmt: skip
        except AttributeError:  # the stack ends before that
            key = _short(first)
        return self._numbers.get(key) or self._keep(key, first)

    def _keep(self, key: Key, frame: FrameType | None) -> int:
        if len(self._frames) >= LIMIT:
            return UNKNOWN
        found = []
        for _ in range(len(key) // 2):
            assert frame is not None
            found.append((frame.f_code, frame.f_lasti))  # kept alive, so that its id stays its own
            frame = frame.f_back
        self._frames.append(tuple(found))
        self._numbers[key] = len(self._frames) - 1
        return len(self._frames) - 1

    def of_the_tree(self, number: int) -> bool:
        """Whether the tree itself did it: frees of copies that the tree holds are its own to make."""
        known = self._of_the_tree.get(number)
        if known is None:
            known = self._of_the_tree[number] = any(_is_the_tree(code) for code, _ in self._frames[number])
        return known

    def lines(self, number: int) -> tuple[str, ...]:
        """A stack as a traceback has it, the innermost call last."""
        frames = [(c, at) for c, at in reversed(self._frames[number]) if not c.co_filename.startswith(_OURS)]
        return tuple(f"{c.co_filename}:{_line(c, at)} in {c.co_qualname}" for c, at in frames)


def _short(frame: FrameType | None) -> Key:
    key: list[int] = []
    while frame is not None:
        key += (id(frame.f_code), frame.f_lasti)
        frame = frame.f_back
    return tuple(key)


# What a request's end frees are the request's own slots, although it is the cache's code that does it.
_OF_REQUESTS = frozenset(
    {"cache_finished_req", "cache_unfinished_req", "cleanup_after_caching_req", "checkpoint", "checkpoint_into_tree"}
)


def _is_the_tree(code: CodeType) -> bool:
    file = code.co_filename.replace("\\", "/")
    return "/mem_cache/unified_" in file and code.co_name not in _OF_REQUESTS


def _line(code: CodeType, at: int) -> int:
    where = list(code.co_positions())
    line = where[at // 2][0] if at // 2 < len(where) else None
    return line or code.co_firstlineno
