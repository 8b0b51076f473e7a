"""Hunting: searches a live cache for operations after which a rule is violated."""
