"""Parts: what differs between components. To add one, subclass `Part` in a plug-in; see `plugins`.

A request that goes on from the end of a prefix reads the last tokens of it: all of them
with full attention, a window with sliding-window attention, one state with a recurrent
layer. A part says how far back that is (`reach`), which may depend on where the prefix
ends, and everything else follows from it: where a match may end, what a lock covers, what
a load back must bring, and how copies and locks divide when a node is split.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from sanitree.invariants.vocabulary import Component
from sanitree.models.reference.config import CacheConfig
from sanitree.models.reference.nodes import Copies, Node

EVERYTHING = sys.maxsize
"""Tokens: the whole path."""

Validator = Callable[[int, bool], bool]


class Part:
    """How one component behaves. The defaults serve every component whose `reach` is right."""

    def __init__(self, component: Component, config: CacheConfig) -> None:
        self.component = component
        self.config = config
        self.name = component.name
        self.per_token = component.per_token

    def reach(self, length: int) -> int:
        """Tokens, counted back from the end of a prefix of `length` tokens, that a request going on from there
        reads."""
        return EVERYTHING if self.per_token else 1

    def size(self, node: Node) -> int:
        """Slots of a copy of a node."""
        return len(node.key) if self.per_token else 1

    def span(self, node: Node, tokens: int) -> list[Node]:
        """The nodes that hold the last `tokens` tokens of the path to `node`, that one first."""
        found: list[Node] = []
        while tokens > 0 and node.parent is not None:
            found.append(node)
            tokens -= len(node.key)
            node = node.parent
        return found

    def read(self, node: Node) -> list[Node]:
        """The nodes that hold what a request reads that goes on from the end of `node`, that one first."""
        return self.span(node, self.reach(node.end))

    def extent(self, node: Node) -> int:
        """Tokens, counted back from the end of `node`, that a lock on it covers: whole nodes.

        A receipt remembers it, and `span` finds the same tokens again after any splits. A
        state is locked with its node alone, which keeps its end when it is split.
        """
        if not self.per_token:
            return self.reach(node.end)
        nodes = self.read(node)
        return node.end - nodes[-1].end + len(nodes[-1].key) if nodes else 0

    def validator(self) -> Validator:
        """A judge for one walk down: told of each node's tokens, and whether it has its copy
        there, it says whether a match may end with that node."""
        reach = self.reach
        at, hole = 0, -EVERYTHING  # how far down, and where the last copy is missing: above the root none is

        def ends(tokens: int, present: bool) -> bool:
            nonlocal at, hole
            at += tokens
            if not present:
                hole = at
            return at - hole >= reach(at)

        return ends

    def split(self, suffix: Copies, prefix: Copies, at: int) -> None:
        """Divides the copies of a node that is cut `at` tokens from its start, and their locks:
        what each token has is divided, the state at the end stays with the suffix."""
        if not self.per_token:
            return
        prefix.lock, prefix.host_lock = suffix.lock, suffix.host_lock
        if suffix.device is not None:
            prefix.device, suffix.device = suffix.device[:at], suffix.device[at:]
        if suffix.host is not None:
            prefix.host, suffix.host = suffix.host[:at], suffix.host[at:]


class FullPart(Part):
    """Full attention, the backbone: every token of the path."""


class SwaPart(Part):
    """Sliding-window attention: the last window of tokens."""

    def reach(self, length: int) -> int:
        return self.config.window


class MambaPart(Part):
    """Recurrent state: the one state at the end."""


PARTS: dict[str, type[Part]] = {"full": FullPart, "swa": SwaPart, "mamba": MambaPart}
"""The part of each component that is built in, by its name."""
