"""Legal steps: what calls do to a legal cache that ends in a legal one, and that no rule may report."""

from __future__ import annotations

from tests.steps import moves_of_copies, moves_of_requests
from tests.steps.move import MOVES, Move

__all__ = ["MOVES", "Move", "moves_of_copies", "moves_of_requests"]
