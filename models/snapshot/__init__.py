"""The snapshot: what was observed of one cache, as columns, as a graph and as a file."""

from sanitree.models.snapshot.errors import SnapshotError, SnapshotIOError
from sanitree.models.snapshot.files import decode, encode, read, receive, write
from sanitree.models.snapshot.graph import from_networkx, to_networkx
from sanitree.models.snapshot.privacy import hashed
from sanitree.models.snapshot.same import same
from sanitree.models.snapshot.table import Column, Key, Lists, Origin, Snapshot, Table, empty_table
from sanitree.models.snapshot.valid import validate

__all__ = [
    "Column",
    "Key",
    "Lists",
    "Origin",
    "Snapshot",
    "SnapshotError",
    "SnapshotIOError",
    "Table",
    "decode",
    "empty_table",
    "encode",
    "from_networkx",
    "hashed",
    "read",
    "receive",
    "same",
    "to_networkx",
    "validate",
    "write",
]
