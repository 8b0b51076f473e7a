"""The cache: prefixes matched and inserted, on top of everything below."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE
from sanitree.models.ranks.group import ALONE, Group
from sanitree.models.reference.config import CacheConfig
from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.loading import Loading
from sanitree.models.reference.nodes import Node, Tokens
from sanitree.models.reference.operations import InsertResult, MatchResult
from sanitree.models.reference.runners import Runner
from sanitree.models.reference.tree import FULL

if TYPE_CHECKING:
    from sanitree.models.reference.serving import Request

_NONE = torch.empty(0, dtype=torch.int64)


class UnifiedRadixCache(Loading):
    """A tiered radix-tree KV cache. requests: those that hold a lock, by number; see `serving`.

    Tokens are sequences of numbers, cut to whole pages. What cannot be had is refused in
    the result; CacheError is raised for calls that are mistakes.
    """

    def __init__(self, config: CacheConfig, runner: Runner | None = None, group: Group = ALONE) -> None:
        super().__init__(config, runner, group)
        self.requests: dict[int, Request] = {}

    def match_prefix(self, tokens: Sequence[int]) -> MatchResult:
        """The longest prefix that a request can start from, as the device stands and with the host
        counted. Splits the node that it ends in, and makes the path recently used."""
        path = self.descend(self.whole(tokens))
        here = [self.parts[i].validator() for i in self.auxiliaries]
        anywhere = [self.parts[i].validator() for i in self.auxiliaries]
        at = device_tokens = host_tokens = device_nodes = host_nodes = 0
        on_device = True
        for k, node in enumerate(path, 1):
            size, data = len(node.key), node.data
            at += size
            on_device = on_device and data[FULL].device is not None
            ends = on_device
            ends_anywhere = True
            for i in self.auxiliaries:
                copies = data[i]
                present = copies.device is not None
                ends = here[i - 1](size, present) and ends
                ends_anywhere = anywhere[i - 1](size, present or copies.host is not None) and ends_anywhere
            if ends:
                device_tokens, device_nodes = at, k
            if ends_anywhere:
                host_tokens, host_nodes = at, k
        self.touch(path[:host_nodes])
        return MatchResult(
            path[device_nodes - 1] if device_nodes else self.root,
            device_tokens,
            self._joined(path[:device_nodes]),
            path[host_nodes - 1] if host_nodes else self.root,
            host_tokens,
        )

    def path_slots(self, node: Node, component: str = "full") -> Tensor:
        """The device slots of a component that a request going on from the end of `node` reads, in
        the order of the tokens: of the backbone one for each token of the path, of another the
        copies that its part says. What is not on the device is left out."""
        i = self.place(component)
        part = self.parts[i]
        return self._joined(part.read(node)[::-1], i)

    def _joined(self, nodes: list[Node], i: int = FULL) -> Tensor:
        found = [slots for n in nodes if (slots := n.data[i].device) is not None]
        if len(found) == 1:
            return found[0]
        return torch.cat(found) if found else _NONE

    def insert(self, tokens: Sequence[int], slots: Mapping[str, Tensor], prefix_len: int = 0) -> InsertResult:
        """Takes over device copies of a prefix: of a per-token component a slot for each token of
        whole pages, of a per-node one the slot of the state at the end, or none.

        The first `prefix_len` tokens are the tree's already, and their slots are not looked
        at. Of the others, what the device has already is freed, what it lacks is taken; the
        tree keeps the tensors. Never evicts from the device. Raises CacheError for wrong
        numbers of slots, and where the tree does not have the prefix on the device.
        """
        tokens = self.whole(tokens)
        self.check_slots(tokens, slots, DEVICE)
        path = self.descend(tokens)
        known = sum(len(n.key) for n in path if n.data[FULL].device is not None)
        if known < prefix_len:
            raise CacheError(f"prefix_len is {prefix_len}, but the device has the first {known} tokens alone")
        at = 0
        for node in path:
            self.overlap(node, at, slots, prefix_len)
            at += len(node.key)
        if at < len(tokens):
            path.append(self.grow_leaf(path[-1] if path else self.root, tokens, at, slots))
        end = path[-1] if path else self.root
        left = tuple(self.parts[i].name for i in self.per_node if not self.take_state(end, i, slots))
        self.touch(path)
        return InsertResult(end, known, left, self.count_hits(path))

    def overlap(self, node: Node, at: int, slots: Mapping[str, Tensor], prefix_len: int) -> None:
        """Inserts over a node that begins at token `at`: each copy that it lacks is taken, the rest is freed."""
        end, revived = at + len(node.key), node.data[FULL].device is None
        for i in self.per_token:
            given = slots[self.parts[i].name]
            if node.data[i].device is None and at >= prefix_len:
                self.put_device(node, i, given[at:end])
            elif end > prefix_len:
                self.free_duplicates(i, given[max(at, prefix_len) : end])
        if revived:
            self.refresh(node)
            if node.parent is not None:
                self.refresh(node.parent)

    def free_duplicates(self, i: int, slots: Tensor) -> None:
        """Frees slots of tokens that the tree has already."""
        self.device_pools[i].free(slots)

    def grow_leaf(self, parent: Node, tokens: Tokens, at: int, slots: Mapping[str, Tensor]) -> Node:
        """A new leaf for `tokens[at:]`, on the device."""
        leaf = self.grow(parent, tokens[at:])
        for i in self.per_token:
            given = slots[self.parts[i].name]
            self.put_device(leaf, i, given[at:] if at else given)
        self.refresh(leaf)
        self.refresh(parent)
        return leaf

    def take_state(self, node: Node, i: int, slots: Mapping[str, Tensor]) -> bool:
        """Gives the end of an inserted path its state; whether none is left with the caller."""
        given = slots.get(self.parts[i].name)
        if given is None:
            return True
        if node is self.root or node.data[i].device is not None:
            return False
        self.put_device(node, i, given)
        return True

    def count_hits(self, path: list[Node]) -> int:
        """Counts a hit for each node, and backs up those that it is due for; returns how many were refused."""
        for node in path:
            node.hits += 1
        due = [n for n in path if self.should_back_up(n)]
        for done, node in enumerate(due):
            if self.write_backup(node).refused is not None:
                return len(due) - done
        return 0

    def should_back_up(self, node: Node) -> bool:
        """Whether a node has been inserted often enough to be backed up, and there is something to back up."""
        if not self.config.writes_through or node.hits < self.config.backup_hits:
            return False
        return self.can_back_up(node)

    def reset(self) -> None:
        """Empties the cache, when all that is in flight has landed. Raises CacheError while a
        request is running or a lock is held."""
        if self.requests:
            raise CacheError(f"{len(self.requests)} requests are running: finish and release them first")
        self.drain()
        if self.receipts:
            raise CacheError(f"{len(self.receipts)} locks are held: release them first")
        self._clear()
        for pool in (*self.device_pools, *self.host_pools):
            pool.clear()

    def sanity_check(self) -> None:
        """Raises an AssertionError with a report where a rule of sanitree is violated."""
        from sanitree.models.reference.observe import subject

        # By name: models know no checker.
        importlib.import_module("sanitree.checker.live").sanity_check(subject(self))
