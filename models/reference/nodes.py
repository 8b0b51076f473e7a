"""What the tree is made of."""

from __future__ import annotations

from torch import Tensor

Edge = int | tuple[int, ...]
Tokens = tuple[int, ...]


class Copies:
    """What a node has of one component: its slots on each tier, or None, and the locks on them."""

    __slots__ = ("device", "host", "host_lock", "lock")

    def __init__(self) -> None:
        self.device: Tensor | None = None
        self.host: Tensor | None = None
        self.lock = 0
        self.host_lock = 0


class Node:
    """A run of tokens, and its copies of each component, in the order of the configuration.

    The key is whole pages, empty at the root alone. end: tokens from the root to the end of
    the key; no split changes it. hits: inserts that passed. last_access:
    the tree's clock when it was last matched or inserted. write_ack, load_ack: the
    acknowledgement that it waits for, as a source and as a target on the device.
    """

    __slots__ = ("children", "data", "end", "hits", "id", "key", "last_access", "load_ack", "parent", "write_ack")

    def __init__(self, number: int, key: Tokens, parent: Node | None, components: int) -> None:
        self.id = number
        self.key = key
        self.parent = parent
        self.end: int = len(key) if parent is None else parent.end + len(key)
        self.children: dict[Edge, Node] = {}
        self.hits = 0
        self.last_access = 0
        self.write_ack: int | None = None
        self.load_ack: int | None = None
        self.data = [Copies() for _ in range(components)]

    def __repr__(self) -> str:
        return f"node {self.id}"

    def path(self) -> list[Node]:
        """The nodes from below the root down to this one."""
        found: list[Node] = []
        node = self
        while node.parent is not None:
            found.append(node)
            node = node.parent
        return found[::-1]
