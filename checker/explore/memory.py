"""What numba has no words for: memory by address, a plane of 256 states, a line of a table, a model's functions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import extending, njit, types

_FILES = [Path(__file__).with_name(f"{name}.py") for name in ("memory", "block", "table", "kernel", "backward")]
_STAMP = tuple((s.st_mtime, s.st_size) for s in (f.stat() for f in _FILES))

_I64, _I32, _I8 = ir.IntType(64), ir.IntType(32), ir.IntType(8)
_PLANE, _LINE = ir.VectorType(_I64, 4), ir.VectorType(_I32, 16)


def compiled(function: Callable[..., Any]) -> Any:
    """A function for numba to compile, once an installation where it has somewhere to keep it."""
    try:
        made: Any = njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)
    with contextlib.suppress(AttributeError):  # it would notice a change of the function's own file only
        made._cache._cache_file._source_stamp = _STAMP
    return made


def _intrinsic(function: Callable[..., Any]) -> Any:
    return extending.intrinsic(function)


def _load(kind: ir.IntType) -> Any:
    @_intrinsic
    def load(typing: Any, address: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            found = builder.load(builder.inttoptr(args[0], kind.as_pointer()))
            return found if kind is _I64 else builder.zext(found, _I64)

        return types.int64(types.int64), make

    return load


def _store(kind: ir.IntType) -> Any:
    @_intrinsic
    def store(typing: Any, address: Any, value: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = args[1] if kind is _I64 else builder.trunc(args[1], kind)
            builder.store(value, builder.inttoptr(args[0], kind.as_pointer()))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), make

    return store


load64, load32, load16 = _load(_I64), _load(_I32), _load(ir.IntType(16))
store64, store32, store16 = _store(_I64), _store(_I32), _store(ir.IntType(16))


@_intrinsic
def called(typing: Any, function: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """A model's function of four numbers."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = ir.FunctionType(_I64, [_I64] * 4).as_pointer()
        return builder.call(builder.inttoptr(args[0], pointer), args[1:])

    return types.int64(*[types.int64] * 5), make


@_intrinsic
def prefetch(typing: Any, address: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _I8.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _I32, _I32, _I32])
        function = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(
            builder.module, kind, "llvm.prefetch.p0"
        )
        builder.call(function, [builder.inttoptr(args[0], pointer), _I32(0), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return types.void(types.int64), make


@_intrinsic
def ones(typing: Any, value: Any) -> Any:
    """How many bits are set."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.int64), make


@_intrinsic
def lowest(typing: Any, value: Any) -> Any:
    """The place of the lowest bit that is set, of a number that is not 0."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.IntType(1)(1))

    return types.int64(types.int64), make


@_intrinsic
def exchange(typing: Any, a: Any, b: Any, shift: Any, mask: Any) -> Any:
    """Of two planes, each lane: the upper bits of the one for the lower bits of the other."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to_a, to_b = (builder.inttoptr(x, _PLANE.as_pointer()) for x in args[:2])
        shift, mask = (_everywhere(builder, x, _PLANE) for x in args[2:])
        a, b = (builder.load(to, align=8) for to in (to_a, to_b))
        change = builder.and_(builder.xor(builder.lshr(a, shift), b), mask)
        builder.store(builder.xor(a, builder.shl(change, shift)), to_a, align=8)
        builder.store(builder.xor(b, change), to_b, align=8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), make


@_intrinsic
def alike(typing: Any, address: Any, mask: Any, value: Any) -> Any:
    """Which of 16 numbers of 32 bits have a value, as far as the mask goes: a bit for each."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = builder.load(builder.inttoptr(args[0], _LINE.as_pointer()), align=64)
        mask, value = (_everywhere(builder, builder.trunc(x, _I32), _LINE) for x in args[1:])
        found = builder.icmp_unsigned("==", builder.and_(line, mask), value)
        return builder.zext(builder.bitcast(found, ir.IntType(16)), _I64)

    return types.int64(*[types.int64] * 3), make


def _everywhere(builder: Any, value: Any, kind: Any) -> Any:
    nothing = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(nothing, value, _I32(0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count))
