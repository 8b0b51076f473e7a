"""The heap preset in Promela as a user of SPIN who wants speed would write it, apart from the explorer.

A node's five bits lie side by side, six nodes in an int; what a guard demands of a word is one
masked comparison; locks along a path are taken and released by one addition a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sanitree.invariants.vocabulary import Policy

D, H, P, L = 1, 2, 4, 8
"""Bits of a node: device copy, host copy, pending write; the lock is the two from L on, 0 to 2."""

NODE, IN_WORD = 5, 6

Demand = tuple[int, int, int]
"""Of a node: the mask of bits that are looked at, and their value."""


def by_hand(policy: Policy, nodes: int) -> str:
    """The text of the model, with nodes 0 … N-1."""
    words = "".join(f"int w{w};\n" for w in range((nodes - 1) // IN_WORD + 1))
    moves = "\n".join(f"  :: d_step {{ {g} -> {e} }}" for n in range(nodes) for g, e in _moves(policy, n, nodes))
    rules = "\n".join(f"  :: d_step {{ {wrong} -> assert(false) }}" for wrong in _rules(policy, nodes))
    return f"{words}active proctype heap() {{\nend: do\n{moves}\n{rules}\n  od\n}}\n"


def _moves(policy: Policy, n: int, nodes: int) -> Iterator[tuple[str, str]]:
    below = [c for c in (2 * n + 1, 2 * n + 2) if c < nodes]
    path = [n]
    while path[-1]:
        path.append((path[-1] - 1) // 2)
    leaf = [(c, D, 0) for c in below]
    yield _all([(n, D | H, 0), *((m, D, D) for m in path[1:2])]), _change([n], "|", D)
    if policy is Policy.WRITE_THROUGH:
        yield _all([(n, D | H | P, D), *((m, H, H) for m in path[1:2])]), _change([n], "|", P)
        yield _all([(n, D | P | 3 * L, D), *leaf]), _change([n], "^", D)
    else:
        yield _all([(n, D | H | P | 3 * L, D), *leaf]), _change([n], "|", P)
        yield _all([(n, D | H | P | 3 * L, D | H), *leaf]), _change([n], "^", D)
    yield _all([(n, P, P)]), f"{_change([n], '^', P)}; {_change([n], '|', H)}"
    yield _all([(n, D | H, H), *((c, D | H, 0) for c in below)]), _change([n], "^", H)
    copies = "".join(f" && (w{m // IN_WORD} & {_at(m, D | H)})" for m in path[1:])
    yield _all([(n, D | H, H)]) + copies, _change(path, "|", D)
    yield _all([(m, D | 2 * L, D) for m in path]), _change(path, "+", L)
    held = " + ".join(_lock(c) for c in below) or "0"
    yield f"{_lock(n)} > {held}", _change(path, "-", L)


def _rules(policy: Policy, nodes: int) -> Iterator[str]:
    inner = [(n, [c for c in (2 * n + 1, 2 * n + 2) if c < nodes]) for n in range(nodes)]
    covered = [f"{_lock(n)} < {' + '.join(_lock(c) for c in below)}" for n, below in inner if below]
    if covered:
        yield " || ".join(covered)
    yield " || ".join(_all([(n, D | P, P)]) for n in range(nodes))
    if policy is Policy.WRITE_THROUGH and nodes > 1:
        yield " || ".join(f"({_all([(n, H, H), ((n - 1) // 2, H, 0)])})" for n in range(1, nodes))


def _at(n: int, bits: int) -> int:
    return bits << NODE * (n % IN_WORD)


def _lock(n: int) -> str:
    return f"((w{n // IN_WORD} >> {NODE * (n % IN_WORD) + 3}) & 3)"


def _all(demands: Iterable[Demand]) -> str:
    """One masked comparison a word."""
    masks: dict[int, tuple[int, int]] = {}
    for n, mask, value in demands:
        m, v = masks.get(n // IN_WORD, (0, 0))
        masks[n // IN_WORD] = m | _at(n, mask), v | _at(n, value)
    return " && ".join(f"(w{w} & {m}) == {v}" for w, (m, v) in sorted(masks.items()))


def _change(nodes: Iterable[int], how: str, bits: int) -> str:
    """The same on some bits of each node: set (|), flip (^), count up or down."""
    numbers: dict[int, int] = {}
    for n in nodes:
        numbers[n // IN_WORD] = numbers.get(n // IN_WORD, 0) | _at(n, bits)
    return "; ".join(f"w{w} = w{w} {how} {x}" for w, x in sorted(numbers.items()))
