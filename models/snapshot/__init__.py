"""The snapshot: what was observed of one cache, as columns, as a graph and as a file."""

from sanitree.models.snapshot.table import Column, Key, Lists, Origin, Snapshot, Table, empty_table

__all__ = ["Column", "Key", "Lists", "Origin", "Snapshot", "Table", "empty_table"]
