"""JSON documents of traces, read strictly: what is read is never trusted.

It is JSON of known keys and bounded numbers, or an error that says what is wrong, where, and
what to do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sanitree.models.snapshot import SnapshotError, SnapshotIOError
from sanitree.models.snapshot.errors import shown

T = TypeVar("T")

_LARGEST_FILE = 2**26
_LARGEST = 2**31


class TraceError(SnapshotError):
    """Something is not a trace: what, where, and what to do about it, in one printable line."""


def document_of(text: str | bytes, kind: str, version: int) -> dict[str, Any]:
    """The object that JSON of a format and version says. Raises TraceError for anything else."""
    document = _parsed(text)
    if not isinstance(document, dict) or document.get("format") != kind:
        raise TraceError(f"not a {kind.replace('-', ' ')}", "", f'such a file begins {{"format": "{kind}"')
    said = document.get("version")
    if type(said) is not int or said != version:
        newer = type(said) is int and said > version
        hint = "update sanitree" if newer else f"this sanitree reads version {version}"
        raise TraceError(f"unknown version {shown(said)}", ".version", hint)
    return document


def format_of(path: str | Path) -> str | None:
    """What format a file says it has, None where it says none. Raises what `read_file` raises."""
    document = read_file(path, _parsed)
    said = document.get("format") if isinstance(document, dict) else None
    return said if isinstance(said, str) else None


def _parsed(text: str | bytes) -> Any:
    if len(text) > _LARGEST_FILE:
        raise TraceError(f"larger than {_LARGEST_FILE} bytes", "", "no trace is: is it another file?")
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(
            f"not JSON: {str(error)[:80]}", "", "the file is damaged or cut short: copy it again"
        ) from None


def write_file(path: str | Path, text: str) -> None:
    """Raises SnapshotIOError where the system fails."""
    try:
        Path(path).write_text(text)
    except OSError as error:
        raise SnapshotIOError(f"cannot be written: {error.strerror or error}", str(path)) from None


def read_file(path: str | Path, decode: Callable[[bytes], T]) -> T:
    """What `decode` makes of a file. Raises TraceError with the file's name, SnapshotIOError where the system fails."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        raise TraceError("no such file", str(path), "check the name") from None
    except (OSError, ValueError) as error:
        raise SnapshotIOError(f"cannot be read: {getattr(error, 'strerror', None) or error}", str(path)) from None
    try:
        return decode(data)
    except TraceError as error:
        raise TraceError(error.what, f"{path}: {error.where}" if error.where else str(path), error.hint) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(n for n in names if names.count(n) > 1)
        raise TraceError(f"{shown(twice)} is written twice in one object", "", "write each key once")
    return found


def part(value: object, where: str, needed: Sequence[str], more: Sequence[str] = ()) -> dict[str, Any]:
    """An object with just these keys."""
    if not isinstance(value, dict):
        raise TraceError(f"an object is wanted, not {shown(value)}", where, f"with {', '.join(needed)}")
    for name in needed:
        if name not in value:
            raise TraceError("missing", f"{where}.{name}", "the file is incomplete: record it again")
    for name in value:
        if name not in needed and name not in more:
            known = ", ".join((*needed, *more))
            raise TraceError(f"unknown key {shown(name)}", where or ".", f"one of {known}; or update sanitree")
    return value


def list_of(value: object, where: str, most: int) -> list[Any]:
    """An array of at most so many."""
    if not isinstance(value, list) or len(value) > most:
        what = f"an array of {len(value)}" if isinstance(value, list) else shown(value)
        raise TraceError(f"an array of at most {most} is wanted, not {what}", where)
    return value


def text_of(value: object, where: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise TraceError(f"text is wanted, not {shown(value)}", where)
    return value


def number_of(value: object, where: str, least: int = 0, most: int = _LARGEST) -> int:
    """A whole number in a range."""
    if type(value) is not int or not least <= value <= most:
        raise TraceError(f"a number from {least} to {most} is wanted, not {shown(value)}", where)
    return value


def one_of(value: object, where: str, names: Iterable[Any]) -> Any:
    """One of some texts, or null where that is one of them."""
    known = list(names)
    if not isinstance(value, str | None) or value not in known:
        listed = ", ".join("null" if n is None else str(n) for n in known)
        raise TraceError(f"{shown(value)} is none of these", where, f"write one of {listed}")
    return value
