"""What is wrong with a snapshot, in one line."""

from __future__ import annotations

from typing import ClassVar

_SHOWN = 60


class SnapshotError(ValueError):
    """Something is not a snapshot: what, where, and what to do about it, in one printable line.

    where: a path that `jq` takes, such as `.nodes.columns["parent"][3]`, or words.
    exit_code: what a command line exits with; 2 because the input is at fault.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        line = ": ".join(p for p in (where, what) if p) + (f"; {hint}" if hint else "")
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


class SnapshotIOError(SnapshotError):
    """The system, an adapter or the tool failed, not the input: exit code 4."""

    exit_code: ClassVar[int] = 4


def shown(value: object) -> str:
    """A value of an untrusted file, short and safe enough for a message."""
    match value:
        case dict():
            return "an object"
        case list():
            return "an array"
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return ascii(value if len(value) <= _SHOWN else value[:_SHOWN] + "...")
    # The text of a giant int is quadratic work, and nobody reads it.
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    text = ascii(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
