"""Snapshot files: versioned JSON, plain or gzipped. What is read is never trusted.

Reading takes memory in proportion to the file: JSON of n bytes costs at most some
20 n while it is parsed, gzip is unpacked to at most RATIO times its size, and
nothing in a file can name a size that is then allocated.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import secrets
import stat
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

from sanitree.models.snapshot.document import from_document, to_document
from sanitree.models.snapshot.errors import SnapshotError, SnapshotIOError, shown
from sanitree.models.snapshot.privacy import hashed
from sanitree.models.snapshot.table import Snapshot
from sanitree.models.snapshot.valid import validate

# gzip can make one byte of a thousand. Of 100k nodes with hashed tokens it makes one of
# 4, of an idle tree without tokens one of 10, of all zeros one of 46: 64 refuses bombs
# and hardly ever a snapshot, and `encode` leaves uncompressed what would be refused.
RATIO = 64
_SMALL = 2**20

LARGEST = 2**30
"""Bytes that a stream may have."""
_PART = 2**20

# Snapshots have a few hundred arrays, objects and names, all else is numbers. More
# are refused unparsed: `[],` costs a parser thirty times its length, a number less.
_MOST_BRACKETS = 10_000
_MOST_QUOTES = 40_000

_FAST = 1
_MAGIC = b"\x1f\x8b"
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"(\s*:)?', re.DOTALL)
_DAMAGED = "the file is damaged or cut short: copy it again"


def write(
    snapshot: Snapshot,
    path: str | os.PathLike[str],
    *,
    tokens: Literal["hashed", "raw"] = "hashed",
    salt: bytes | None = None,
) -> None:
    """Write a snapshot to `*.json` or `*.json.gz`, all of it or nothing.

    tokens: tokens are customers' prompts, so a file holds salted hashes of them;
    "raw" writes them as they are. salt: see `hashed`. Raises SnapshotError for
    another ending, for raw tokens of a hashed snapshot, and for a snapshot that
    `read` would refuse; SnapshotIOError where the system fails.
    """
    name, where = Path(path), _named(path)
    if not name.name.endswith((".json", ".json.gz")):
        raise SnapshotError("not the name of a snapshot file", where, "end it in .json or .json.gz")
    try:
        data = encode(snapshot, tokens=tokens, salt=salt, packed=name.suffix == ".gz")
    except SnapshotError as error:
        raise _at(where, error) from None
    draft = name.with_name(f".{name.name[:100]}.{secrets.token_hex(8)}")
    try:
        try:
            draft.write_bytes(data)
            os.replace(draft, name)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise SnapshotIOError(f"cannot be written: {_reason(error)}", where) from None


def read(path: str | os.PathLike[str]) -> Snapshot:
    """The snapshot in a file that `write` wrote, gzipped or not, whatever its name.

    The file is taken for hostile. Raises SnapshotError, exit code 2, where it is
    missing or no snapshot: one line says what is wrong, where, and what to do.
    Raises SnapshotIOError, exit code 4, where the system could not read it. `notes`
    of the snapshot say what a newer minor version wrote and this one left out.
    """
    where = _named(path)
    try:
        # Not to wait for ever at a pipe that nobody writes to.
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SnapshotError("not a file", hint="name a snapshot file")
            data = file.read(status.st_size)
        return decode(data)
    except SnapshotError as error:
        raise _at(where, error) from None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError) as error:
        raise SnapshotError(f"there is no such file: {_reason(error)}", where, "name a snapshot file") from None
    except OSError as error:
        raise SnapshotIOError(f"cannot be read: {_reason(error)}", where) from None
    except MemoryError:
        raise SnapshotIOError("does not fit into memory", where) from None


def receive(stream: BinaryIO) -> Snapshot:
    """The snapshot that a stream carries, such as standard input: what a file holds, gzipped or not.

    Of a stream nobody knows how long it is, so at most LARGEST bytes are taken. Raises as `read`.
    """
    parts: list[bytes] = []
    try:
        room = LARGEST
        while part := stream.read(min(_PART, room + 1)):
            room -= len(part)
            if room < 0:
                raise SnapshotError(f"more than {LARGEST >> 20} MiB", hint="a larger one can be read from a file")
            parts.append(part)
        return decode(b"".join(parts))
    except OSError as error:
        raise SnapshotIOError(f"cannot be read: {_reason(error)}") from None
    except MemoryError:
        raise SnapshotIOError("does not fit into memory") from None


def encode(
    snapshot: Snapshot,
    *,
    tokens: Literal["hashed", "raw"] = "hashed",
    salt: bytes | None = None,
    packed: bool = False,
) -> bytes:
    """The bytes that `write` puts into a file; gzipped if packed. Raises SnapshotError."""
    if tokens not in ("hashed", "raw"):
        raise SnapshotError(f"tokens={tokens!r} is neither 'hashed' nor 'raw'")
    validate(snapshot)
    if tokens == "hashed":
        snapshot = hashed(snapshot, salt)
    elif snapshot.tokens != "raw":
        raise SnapshotError("raw tokens are wanted and it holds hashes", hint="write it hashed")
    data = orjson.dumps(to_document(snapshot), option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
    if not packed:
        return data
    small = gzip.compress(data, _FAST, mtime=0)
    return small if len(data) <= _unpacked_limit(len(small)) else gzip.compress(data, 0, mtime=0)


def decode(data: bytes) -> Snapshot:
    """The snapshot in the bytes of a file. Raises SnapshotError."""
    if data.startswith(_MAGIC):
        data = _unpack(data)
    snapshot, keys = from_document(_parse(data))
    # A parser keeps the last of two equal keys: what one reader checks, another would not see.
    if sum(m.group(1) is not None for m in _STRING.finditer(data)) != keys:
        raise SnapshotError(f"the key {_twice(data)} is written twice in one object", hint="write each once")
    return snapshot


def _unpacked_limit(size: int) -> int:
    return max(_SMALL, RATIO * size)


def _unpack(data: bytes) -> bytes:
    limit = _unpacked_limit(len(data))
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise SnapshotError(f"not gzip: {error}", hint=_DAMAGED) from None
    if len(plain) > limit:
        raise SnapshotError(f"it unpacks to more than {RATIO} times its size", hint="no snapshot does")
    if not unpacker.eof:
        raise SnapshotError("the gzip stream ends early", hint=_DAMAGED)
    if unpacker.unused_data:
        raise SnapshotError("something follows the gzip stream", hint="a snapshot file is one stream")
    return plain


def _parse(data: bytes) -> Any:
    if not data.strip():
        raise SnapshotError("the file is empty", hint="write it again")
    if not data.lstrip().startswith(b"{"):
        what = f"not a snapshot: it begins {shown(data[:16].decode('latin-1'))}"
        raise SnapshotError(what, hint="a snapshot is a JSON object")
    if data.count(b"[") + data.count(b"{") > _MOST_BRACKETS or data.count(b'"') > _MOST_QUOTES:
        raise SnapshotError("more arrays, objects or texts than a snapshot has", hint="this is some other JSON")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise SnapshotError(f"not JSON: {error}", hint=_DAMAGED) from None


def _twice(data: bytes) -> str:
    found: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                found.append(name)
            seen.add(name)

    with contextlib.suppress(ValueError, RecursionError):
        json.loads(data, object_pairs_hook=note)
    return shown(found[0]) if found else "of some value"


def _named(path: str | os.PathLike[str]) -> str:
    return os.fsdecode(os.fspath(path))


def _at(where: str, error: SnapshotError) -> SnapshotError:
    return type(error)(error.what, f"{where}: {error.where}" if error.where else where, error.hint)


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
