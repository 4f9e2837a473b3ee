"""Bytes at machine speed: compiled loads, searches, hashes and comparisons for the log kernel.

Rule: nothing here reads past the end it is given; eight bytes are loaded only where eight are left.
Rule: 64-bit hashes stay `uint64` throughout (mixed with `int64`, numba would turn them into floats).
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])
U64 = np.uint64

_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_S29, _S32 = np.uint64(29), np.uint64(32)


def compiled(function: F) -> F:
    """Compile `function` on first use; it runs without the GIL and is kept in the cache on disk."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:
        # neither the folder of the sources nor a home can be written to: compiled anew by every process
        return cast(F, numba.njit(nogil=True)(function))


def _load(_context: Any, array: Any, index: Any) -> Any:
    """Return the 8 bytes of `array` at `index` as one little-endian number, aligned or not."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        word = ir.IntType(64)
        place = builder.bitcast(builder.gep(struct.data, [args[1]]), word.as_pointer())
        loaded = builder.load(place)
        loaded.align = 1
        return loaded

    return types.uint64(array, types.int64), codegen


load_word = cast(Callable[[Any, Any], Any], intrinsic(_load))


def _prefetch(_context: Any, array: Any, index: Any) -> Any:
    """Ask for the element of a one-dimensional `array` at `index` to be fetched from memory meanwhile."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        struct = context.make_array(signature.args[0])(context, builder, args[0])
        place = builder.bitcast(builder.gep(struct.data, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        insert: Any = cgutils.get_or_insert_function
        function = insert(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


prefetch = cast(Callable[[Any, Any], None], intrinsic(_prefetch))


@compiled
def find_byte(data: Any, start: Any, end: Any, wanted: Any) -> Any:
    """Return the place of the first `wanted` byte in `data[start:end]`, or `end`."""
    pattern = U64(wanted) * _ONES
    place = start
    while place + 8 <= end:
        word = load_word(data, place) ^ pattern
        if (word - _ONES) & ~word & _HIGHS:
            break
        place += 8
    while place < end and data[place] != wanted:
        place += 1
    return place


@compiled
def find_either(data: Any, start: Any, end: Any, one: Any, other: Any) -> Any:
    """Return the place of the first byte in `data[start:end]` that is `one` or `other`, or `end`."""
    first, second = U64(one) * _ONES, U64(other) * _ONES
    place = start
    while place + 8 <= end:
        word = load_word(data, place)
        a, b = word ^ first, word ^ second
        if (((a - _ONES) & ~a) | ((b - _ONES) & ~b)) & _HIGHS:
            break
        place += 8
    while place < end and data[place] != one and data[place] != other:
        place += 1
    return place


@compiled
def hash_bytes(data: Any, start: Any, end: Any, seed: Any) -> Any:
    """Return a 64-bit hash of `data[start:end]`; `seed` (uint64) keeps others from choosing collisions."""
    value = seed ^ (U64(end - start) * _MULTIPLIER)
    place = start
    while place + 8 <= end:
        value = (value ^ load_word(data, place)) * _MULTIPLIER
        value ^= value >> _S32
        place += 8
    if place < end:
        tail = U64(0)
        if end - start >= 8:
            tail = load_word(data, end - 8)
        else:
            for k in range(place, end):
                tail = (tail << U64(8)) | U64(data[k])
        value = (value ^ tail) * _MULTIPLIER
        value ^= value >> _S32
    value *= _MULTIPLIER
    return value ^ (value >> _S29)


@compiled
def equal_bytes(left: Any, left_start: Any, right: Any, right_start: Any, length: Any) -> bool:
    """Return whether `length` bytes of `left` and `right` are the same."""
    k = 0
    while k + 8 <= length:
        if load_word(left, left_start + k) != load_word(right, right_start + k):
            return False
        k += 8
    while k < length:
        if left[left_start + k] != right[right_start + k]:
            return False
        k += 1
    return True
