"""The words for what happens between two states: operations, and what a call is told to do and says it did.

A step rule sees two states and the call that led from one to the other. These fields
belong to the call; those of the states themselves are in `vocabulary`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from sanitree.invariants.vocabulary import FIELDS, Field, Index, Lowering, Sort


class Operation(Enum):
    """What a cache can be asked to do, under the names that its engine has for it."""

    MATCH = "match_prefix"
    INSERT = "insert"
    ALLOCATE = "alloc"
    FREE = "free"
    ACQUIRE = "inc_lock_ref"
    RELEASE = "dec_lock_ref"
    EVICT = "evict"
    EVICT_HOST = "evict_host"
    BACK_UP = "write_backup"
    POLL_WRITES = "writing_check"
    LOAD_BACK = "load_back"
    POLL_LOADS = "loading_check"
    PREFETCH = "insert_host"
    COPY = "copy"
    RESET = "reset"


ANY_CALL = tuple(Operation)


def _field(owner: Sort, name: str, sort: Sort, unit: str, index: Index, meaning: str) -> tuple[tuple[Sort, str], Field]:
    return (owner, name), Field(owner, name, sort, unit, index, Lowering.NONE, meaning)


CALL_FIELDS: Mapping[tuple[Sort, str], Field] = dict(
    [
        _field(Sort.CALL, "asked", Sort.INT, "slots", Index.COPY, "slots that the call is asked to free; 0 if none"),
        _field(Sort.CALL, "evicted", Sort.INT, "slots", Index.COPY, "slots of copies that it says it has evicted"),
        _field(Sort.CALL, "dropped", Sort.INT, "slots", Index.COPY, "of these, slots whose data is nowhere any more"),
        _field(Sort.CALL, "refused", Sort.INT, "backups", Index.NONE, "backups that it says it could not make"),
        _field(Sort.REQUEST, "called", Sort.BOOL, "", Index.NONE, "the call is made for this request"),
        _field(Sort.TRANSFER, "submitted", Sort.INT, "times", Index.NONE, "how often the call submitted it"),
        _field(Sort.TRANSFER, "acked", Sort.INT, "times", Index.NONE, "how often the call acknowledged it"),
        *(
            _field(owner, "exists", Sort.BOOL, "", Index.NONE, "it is there at that moment")
            for owner in (Sort.NODE, Sort.REQUEST, Sort.TRANSFER)
        ),
    ]
)
"""Fields of a call, and of what it speaks of. A slot is there always: what nobody names is named 0 times."""

GHOST_FIELDS: dict[tuple[Sort, str], Field] = {}
"""Fields that nobody observes and the checker keeps from call to call; declared with `ghosts.ghost`."""

MODEL_FIELDS: dict[tuple[Sort, str], Field] = {}
"""Fields that only models have: what an action needs and no live tree shows; declared with `system.word`."""

_TABLES = (FIELDS, CALL_FIELDS, GHOST_FIELDS, MODEL_FIELDS)


def field_named(owner: Sort, name: str) -> Field | None:
    """The field of this name, whoever tells it: a state, a call, the checker, or a model."""
    return next((t[owner, name] for t in _TABLES if (owner, name) in t), None)


def names_of(owner: Sort, index: Index) -> list[str]:
    """The names of an element's fields with this index, for messages."""
    said_of_all = (FIELDS, CALL_FIELDS, GHOST_FIELDS)
    return sorted(f.name for t in said_of_all for f in t.values() if (f.owner, f.index) == (owner, index))


def is_of_a_state(field: Field) -> bool:
    """Whether a single state tells the field."""
    return (field.owner, field.name) in FIELDS
