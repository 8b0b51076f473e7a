"""Shape: what makes it a radix tree. Cost: a few field reads a node; what reads the key costs more."""

from sanitree.invariants.language import children, count, distinct, iff, implies, ite, nodes, page_size, trait
from sanitree.invariants.rules import Cost, Family, rule
from sanitree.invariants.vocabulary import DEVICE, HOST, Kind, Sort

SHAPE = Family.SHAPE


@rule(SHAPE, Sort.NODE)
def root_is_the_top(n):
    """The root, and no other node, has no parent."""
    return iff(n.is_root, ~n.has_parent_link)


@rule(SHAPE, Sort.NODE)
def parent_and_child_agree(n):
    """The node that holds a child in its children map is the one that the child's parent pointer names."""
    return implies(~n.is_root & n.has_parent_link, n.parent_link == n.parent)


@rule(SHAPE, Sort.NODE)
def node_is_readable(n):
    """Every field of a node is of its kind, and no two nodes share an id.

    What cannot be read is unknown to every other rule; this one says that it is there.
    """
    return n.readable


@rule(SHAPE, Sort.NODE)
def one_parent(n):
    """Each node is in exactly one children map, once; the root is in none.

    A node that is reached twice is a cycle or a shared subtree: prefixes that should differ are one.
    """
    return n.references == ite(n.is_root, 0, 1)


@rule(SHAPE, Sort.NODE, cost=Cost.KEY)
def key_is_not_empty(n):
    """Every node but the root holds tokens."""
    return iff(n.key_len == 0, n.is_root)


@rule(SHAPE, Sort.NODE, cost=Cost.KEY)
def key_is_whole_pages(n):
    """A key is a whole number of pages: the allocator hands out pages, and a node owns them whole."""
    return n.key_len % page_size == 0


@rule(SHAPE, Sort.NODE, cost=Cost.KEY)
def edge_names_first_page(n):
    """The children map holds a node under the first page of its key, where a match looks for it."""
    return implies(~n.is_root, n.edge == n.first_page)


@rule(SHAPE, Sort.NODE, cost=Cost.KEY)
def siblings_differ(n):
    """Siblings differ on their first page: a prompt has one way down."""
    return distinct(children(n), lambda child: child.first_page)


@rule(SHAPE, Sort.NODE, per=Kind.PER_TOKEN, tiers=(DEVICE, HOST), cost=Cost.KEY)
def copy_covers_key(n, c, tier):
    """A copy of a per-token component has one slot for each token of the key."""
    return implies(~n.is_root & n[c, tier].present, n[c, tier].tokens == n.key_len)


@rule(SHAPE, Sort.NODE, per=Kind.PER_NODE, tiers=(DEVICE, HOST), cost=Cost.KEY)
def state_is_one_slot(n, c, tier):
    """A copy of a per-node component, the recurrent state at the key's end, is one slot."""
    return implies(~n.is_root & n[c, tier].present, n[c, tier].tokens == 1)


@rule(SHAPE, Sort.TREE, when=trait("table_of_nodes"))
def table_of_nodes_is_exact(t):
    """The table of nodes by id has the nodes of the tree, as many as there are.

    An entry more is a node that left the tree and can still be addressed.
    """
    return t.registered_nodes == count(nodes)
