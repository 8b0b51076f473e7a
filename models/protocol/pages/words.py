"""The words of the page model: what it keeps of each page besides what a live tree shows.

Every page of a node has the node's copies, locks and marks; what a node has once, as
recurrent state, its last page has.
"""

from __future__ import annotations

from sanitree.invariants.language import Element, Expr, all_of, ite, path_sum, some
from sanitree.invariants.language import children as children_of
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component, Index, Sort, Tier
from sanitree.models.protocol.system import word
from sanitree.models.snapshot import Key

_B, _I = Sort.BOOL, Sort.INT

CUT = word("cut", _B, "", "the page begins a node: it is not of the node of the page above it")
HELD = word("held", _I, "requests", "requests whose locked path ends here")
HITS = Key("hits")
IN_WRITE = word("in_write", _B, "", "the page is of a node that a write in flight was submitted for")
WITH_PARENT = word("in_write_of_parent", _B, "", "by the same write as the page above it")
WRITE_COPIED = word("write_copied", _B, "", "the bytes of that write have arrived")
IN_LOAD = word("in_load", _B, "", "the page is of a node that a load in flight brings something of")
LOAD_WITH_PARENT = word("in_load_of_parent", _B, "", "by the same load as the page above it")
LOAD_COPIED = word("load_copied", _B, "", "the bytes of that load have arrived")
COPIED = {True: WRITE_COPIED, False: LOAD_COPIED}
"""That of a write, and that of a load."""
REACH = word("reach", _I, "pages", "pages of a window that a lock on this node covers, whole nodes")
WRITE_REACH = word("write_reach", _I, "pages", "the same, of the write in flight that was submitted for it")
LOAD_REACH = word("load_reach", _I, "pages", "the same, of the load in flight that was submitted for it")
HELD_REACH = word("held_reach", _I, "pages", "the same, of the request that has locked it")

word("taken", _B, "", "the page's slot is handed out", Index.COPY)
word("free_twice", _B, "", "the free lists name the page's slot once more than they should", Index.COPY)
word("right", _B, "", "the copy holds the bytes that belong to the page", Index.COPY)
word("locks", _I, "locks", "the host lock count, where it is not below 0", Index.COPY)
word("below_zero", _B, "", "a lock was released more often than it was acquired", Index.COPY)
word("being_written", _B, "", "a write in flight copies it to the host", Index.COMPONENT)
word("being_loaded", _B, "", "a load in flight copies it to the device", Index.COMPONENT)
word("goes_on", _B, "", "the page below is of the same node")
word("run_length", _I, "pages", "pages of its node, up to and with this one")
word("write_ends", _B, "", "a write in flight was submitted for the node that ends here")
word("load_ends", _B, "", "a load in flight was submitted for the node that ends here")
word("write_top", _I, "page", "the topmost page of the write that the page is of: it tells writes apart")
word("load_top", _I, "page", "the same, of loads")


def there(n: Element) -> Expr:
    """The page is cached somewhere."""
    return n[FULL].on_device | n[FULL].on_host


def tail(n: Element) -> Expr:
    """A node ends here."""
    return there(n) & ~n.goes_on


def in_node_of(n: Element, x: Element) -> Expr:
    """Of a page `x` on the path to `n`: both are of one node."""
    return _cuts(n) == _cuts(x)


def _cuts(n: Element) -> Expr:
    return path_sum(n, lambda y: ite(y.cut, 1, 0))


def distance(n: Element, x: Element) -> Expr:
    """Pages from `x`, on the path to `n`, down to `n`: 0 of `n` itself."""
    return path_sum(n, lambda y: 1) - path_sum(x, lambda y: 1)


def unmarked(n: Element) -> Expr:
    """The node waits for no acknowledgement."""
    return ~n.write_pending & ~n.load_pending


def alone_on_device(n: Element) -> Expr:
    """Nothing below is on the device."""
    return ~some(children_of(n), lambda c: c[FULL].on_device)


def childless(n: Element) -> Expr:
    """Nothing is below."""
    return ~some(children_of(n), lambda c: there(c))


def unlocked(n: Element, components: tuple[Component, ...], tier: Tier = DEVICE) -> Expr:
    """No lock of any component."""
    return all_of(*(n[c, tier].lock == 0 for c in components))


def device_leaf(n: Element, components: tuple[Component, ...]) -> Expr:
    """Eviction may take the node that ends here off the device."""
    return all_of(n[FULL].on_device, unlocked(n, components), alone_on_device(n))


def host_leaf(n: Element, components: tuple[Component, ...]) -> Expr:
    """Eviction may take the node that ends here off the host, and so out of the tree."""
    free = unlocked(n, components) & unlocked(n, components, HOST)
    return all_of(~n[FULL].on_device, n[FULL].on_host, free, childless(n))
