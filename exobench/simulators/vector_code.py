"""Two inner loops written as vector instructions for numba, whose own vectoriser makes them half as fast.

Both work on a tile of `TILE` neighbouring float32 and keep their sums in registers. Each lane goes through the same
operations in the same order, so a number does not depend on where in a tile or in a batch it is computed.

After a change here, save `fused_kernel.py` again: numba looks at that file alone to see whether its kept code is stale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_LANES, _VECTORS = 8, 5
TILE = _LANES * _VECTORS

# Two to the power of such a number is subnormal in float32: nothing to a depth, and out of the reach of the bit tricks.
_SMALLEST_EXPONENT = -126.0
# 2^r on [-1/2, 1/2], exactly one at zero, fitted for the smallest relative error (9e-8) by iterated least squares.
_EXP2_COEFFICIENTS = (1.0, 0.69314698, 0.24022242, 0.05550734, 0.00967151, 0.00132647)
# Added to a small float32, this leaves the nearest integer in the lowest bits.
_ROUNDER = 1.5 * 2.0**23

_FLOAT, _INT, _INDEX = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR, _INT_VECTOR = ir.VectorType(_FLOAT, _LANES), ir.VectorType(_INT, _LANES)

Codegen = tuple[Any, Callable[..., Any]]


def _vector_code(generate: Callable[..., Codegen]) -> Any:
    """A numba intrinsic, whose callers leave out ``typingctx``."""
    return intrinsic(generate)


@_vector_code
def combine(
    typingctx: Any, weights: Any, first_weight: Any, rows: Any, first_value: Any, n_row: Any, out: Any, first_out: Any
) -> Codegen:
    """``out[i] = sum_r weights[r] * rows[r, i]`` for one tile, the rows lying `TILE` apart.

    Each array is contiguous float32 of any shape, followed by the flat index to start at.
    Nothing is checked.
    """
    del typingctx

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        weights, rows, out = (_pointer(context, builder, signature, arguments, index) for index in (0, 2, 5))
        sums = [_zero(builder) for _ in range(_VECTORS)]
        with cgutils.for_range(builder, arguments[4], intp=_INDEX) as loop:
            weight = _broadcast(builder, weights, loop.index)
            row = builder.gep(rows, [builder.mul(loop.index, _INDEX(TILE))])
            for number, total in enumerate(sums):
                value = _load(builder, row, number)
                builder.store(_multiply_add(builder, weight, value, builder.load(total)), total)
        for number, total in enumerate(sums):
            _store(builder, builder.load(total), out, number)
        return context.get_dummy_value()

    index = types.intp
    return types.void(weights, index, rows, index, index, out, index), generate


@_vector_code
def add_two_rings(
    typingctx: Any,
    columns: Any,
    first_column: Any,
    stride: Any,
    areas: Any,
    first_area: Any,
    absorption: Any,
    n_column: Any,
    out: Any,
) -> Codegen:
    """``out[i] += sum_l areas[l] * (1 - 2^(sum_c columns[l, c] * absorption[c, i]))`` for two rings and one tile.

    Under the terms of `combine`; ``stride`` is from ring to ring in ``columns``.
    """
    del typingctx

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        columns, areas = (_pointer(context, builder, signature, arguments, index) for index in (0, 3))
        absorption, out = (context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in (5, 7))
        rings = (columns, builder.gep(columns, [arguments[2]]))
        exponents = [[_zero(builder) for _ in range(_VECTORS)] for _ in rings]
        with cgutils.for_range(builder, arguments[6], intp=_INDEX) as loop:
            lengths = [_broadcast(builder, ring, loop.index) for ring in rings]
            row = builder.gep(absorption, [builder.mul(loop.index, _INDEX(TILE))])
            for number in range(_VECTORS):
                value = _load(builder, row, number)
                for length, exponent in zip(lengths, exponents, strict=True):
                    here = exponent[number]
                    builder.store(_multiply_add(builder, length, value, builder.load(here)), here)
        for number in range(_VECTORS):
            total = _load(builder, out, number)
            for ring, exponent in enumerate(exponents):
                area = _broadcast(builder, areas, _INDEX(ring))
                stopped = builder.fsub(_constant(1.0), _exp2(builder, builder.load(exponent[number])))
                total = _multiply_add(builder, area, stopped, total)
            _store(builder, total, out, number)
        return context.get_dummy_value()

    index = types.intp
    return types.void(columns, index, index, areas, index, absorption, index, out), generate


def _exp2(builder: Any, exponent: Any) -> Any:
    """Two to the power of a vector."""
    lowest = _constant(_SMALLEST_EXPONENT)
    held = builder.select(builder.fcmp_ordered(">", exponent, lowest), exponent, lowest)
    shifted = builder.fadd(held, _constant(_ROUNDER))
    rest = builder.fsub(held, builder.fsub(shifted, _constant(_ROUNDER)))
    power = _constant(_EXP2_COEFFICIENTS[-1])
    for coefficient in reversed(_EXP2_COEFFICIENTS[:-1]):
        power = _multiply_add(builder, power, rest, _constant(coefficient))
    # The whole part goes where a float32 keeps its exponent.
    whole = builder.shl(builder.bitcast(shifted, _INT_VECTOR), ir.Constant(_INT_VECTOR, [23] * _LANES))
    return builder.bitcast(builder.add(builder.bitcast(power, _INT_VECTOR), whole), _VECTOR)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, in one instruction where the processor has it."""
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any, index: int) -> Any:
    """Where the array among the arguments starts, moved by the flat index that follows it."""
    array = context.make_array(signature.args[index])(context, builder, arguments[index])
    return builder.gep(array.data, [arguments[index + 1]])


def _zero(builder: Any) -> Any:
    """A vector set to zero; LLVM keeps it in a register."""
    variable = cgutils.alloca_once(builder, _VECTOR)
    builder.store(_constant(0.0), variable)
    return variable


def _constant(value: float) -> Any:
    return ir.Constant(_VECTOR, [value] * _LANES)


def _broadcast(builder: Any, values: Any, index: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, builder.load(builder.gep(values, [index])), _INT(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_INT_VECTOR, [0] * _LANES))


def _load(builder: Any, row: Any, number: int) -> Any:
    return builder.load(_vector_at(builder, row, number), align=4)


def _store(builder: Any, value: Any, row: Any, number: int) -> None:
    builder.store(value, _vector_at(builder, row, number), align=4)


def _vector_at(builder: Any, row: Any, number: int) -> Any:
    return builder.bitcast(builder.gep(row, [_INDEX(number * _LANES)]), _VECTOR.as_pointer())
