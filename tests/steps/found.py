"""What faults look for on a stage, and what they take from it."""

from __future__ import annotations

from tests.planted.tools import pick
from tests.steps.stage import forget


def transfer_id(ack):
    """A transfer as a report on a step names it."""
    return 2 * ack[1] + ack[0]


def fly(s, rng, is_write=None):
    """The row of a transfer in flight."""
    return pick(rng, [i for i, w in enumerate(s.after.transfers("is_write")) if is_write in (None, w)])


def pending(d, kind):
    return [r for r in d.rows() if d.nodes(f"{kind}_pending")[r]]


def lose_request(s, rng):
    """A request goes and leaves its locks."""
    d = s.after
    if not len(d.requests):
        return None
    row = rng.randrange(len(d.requests))
    number = d.requests.ids[row]
    forget(d.requests, row)
    return number


def full_of(d, c, t):
    return [r for r in d.rows() if d.nodes.of("holds", c, t)[r]]
