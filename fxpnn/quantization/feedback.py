"""Weights rounded with feedback: the error of each is passed on to those not yet rounded.

The output of a layer is off by ``D x`` where its weights are off by ``D``; the mean square of that
is ``D H D'`` with the second moments ``H`` of its inputs. With ``H = R R'``, R upper triangular, it
is the square of ``D R``, to whose column j only the errors up to the j-th contribute: so each
weight in turn is rounded to what cancels best the errors of those before it. GPTQ (Frantar et al.,
2022, arXiv 2210.17323) makes the same words by an inverse of H.

What is made is kept with the moments: a search asks for most of it again with each network.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from fxpnn.fixedpoint.casting import limits
from fxpnn.fixedpoint.qformat import Overflow, QFormat
from fxpnn.network.layers import Array
from fxpnn.quantization.calibration import FINER, fitting
from fxpnn.quantization.moments import Factor, Moments
from fxpnn.reference.blas import one_thread

_Made = TypeVar("_Made", "Words", list[QFormat])


class Words(NamedTuple):
    """Raw words of rows of weights, int16 ``(out, K)``, and the weighted error of each row."""

    raw: Array
    errors: Array


def rounded(
    rows: Array,
    formats: list[QFormat],
    moments: Moments,
    overflow: Overflow = Overflow.SATURATE,
) -> Words:
    """Round rows of weights, float64 ``(out, K)``, each to its format; all have one word.

    A row whose weighted error is not less than that of its nearest words keeps these.
    """
    how = (*formats, overflow)
    return _kept(moments, rows, how, lambda: _rounded(rows, formats, moments, overflow))


def _kept(moments: Moments, rows: Array, how: object, make: Callable[[], _Made]) -> _Made:
    """Return what was made before, or make it, with floats that depend on no number of threads."""
    key = hashlib.sha256(rows.tobytes()).digest(), rows.shape, how
    if key not in moments.made:
        with one_thread():
            moments.made[key] = make()
    found: _Made = moments.made[key]
    return found


def _rounded(rows: Array, formats: list[QFormat], moments: Moments, overflow: Overflow) -> Words:
    assert moments.second is not None
    groups = len(moments.second)
    fracs = np.array([fmt.frac for fmt in formats])[:, None]
    ends = limits(formats[0], overflow)
    counts = np.ldexp(rows, fracs).reshape(groups, -1, rows.shape[1])
    near = np.clip(np.rint(counts), *ends)
    fed = np.stack(
        [_fed(part, factor, ends) for part, factor in zip(counts, moments.factors, strict=True)]
    )
    better = _errors(counts - fed, moments.second) < _errors(counts - near, moments.second)
    raw = np.where(better[..., None], fed, near)
    errors = _errors(counts - raw, moments.second).reshape(-1)
    return Words(raw.reshape(rows.shape).astype(np.int16), np.ldexp(errors, -2 * fracs[:, 0]))


def _fed(counts: Array, factor: Factor, ends: tuple[int, int]) -> Array:
    """Round the columns of one group in turn."""
    order, triangle = factor
    wanted, raw = counts[:, order], np.empty_like(counts)
    errors = np.zeros_like(counts)
    for j in range(counts.shape[1]):
        passed = errors[:, :j] @ triangle[:j, j] / triangle[j, j]
        words = np.clip(np.rint(wanted[:, j] + passed), *ends)
        errors[:, j] = wanted[:, j] - words
        raw[:, order[j]] = words
    return raw


def _errors(off: Array, second: Array) -> Array:
    """Weigh what weights are off, ``(groups, out / groups, K)``, by the second moments."""
    weighed: Array = np.einsum("gok,gok->go", off @ second, off)
    return weighed


def finest(
    rows: Array,
    word: int,
    per_channel: bool,
    moments: Moments,
    overflow: Overflow = Overflow.SATURATE,
) -> list[QFormat]:
    """Choose one format of ``word`` bits for each row, or one for all, by the weighted error.

    Tried are the format that holds all weights and the next finer ones, as long as one gains.
    """
    how = (word, per_channel, overflow)
    return _kept(moments, rows, how, lambda: _finest(rows, word, per_channel, moments, overflow))


def _finest(
    rows: Array, word: int, per_channel: bool, moments: Moments, overflow: Overflow
) -> list[QFormat]:
    ends = np.stack([rows.min(1), rows.max(1)], 1)
    if not per_channel:
        ends[:] = rows.min(), rows.max()
    if overflow is Overflow.SATURATE_SYMMETRIC:
        ends[:, 1] = np.abs(ends).max(1)
    best = [fitting(float(low), float(high), word) for low, high in ends]
    tried, least = best, np.full(len(rows), np.inf)
    for finer in range(FINER + 1):
        formats = [QFormat(word, min(fmt.frac + finer, 1000)) for fmt in tried]
        errors = _rounded(rows, formats, moments, overflow).errors
        if not per_channel:
            errors[:] = errors.sum()
        gains = errors < least
        if not gains.any():
            break
        best = [new if gain else old for new, old, gain in zip(formats, best, gains, strict=True)]
        least = np.minimum(errors, least)
    return best if per_channel else best[:1]
