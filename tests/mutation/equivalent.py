"""Mutants that say the same as their rule, each with why: (rule, the change in words) → reason."""

EQUIVALENT: dict[tuple[str, str], str] = {}
