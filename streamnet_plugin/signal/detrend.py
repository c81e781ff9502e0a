"""Smoothness-priors detrending (Tarvainen et al., IEEE TBME 49(2), 2002)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from streamnet_plugin.errors import NoResultError
from streamnet_plugin.types import FloatArray


def detrend(x: FloatArray, lam: float = 100.0) -> FloatArray:
    """Remove the slow trend: x - (I + lam^2 D2' D2)^-1 x, D2 the second difference.

    Args:
        x: (T,) or (T, N), one series per column.
        lam: regularisation; larger keeps slower components.

    Returns:
        Same shape as `x`. The matrix has five diagonals, so the cost grows linearly with T, where
        the textbook's inverse grows with T^3.

    Raises:
        NoResultError: fewer than 3 samples, which have no second difference.
    """
    x = np.asarray(x, dtype=np.float64)
    if len(x) < 3:
        raise NoResultError(
            f"detrending needs at least 3 samples, found {len(x)}", remedy="use a longer waveform."
        )
    trend: FloatArray = solveh_banded(
        _smoothing_matrix(len(x), lam), x, check_finite=False, lower=False
    )
    return x - trend


def _smoothing_matrix(n: int, lam: float) -> FloatArray:
    """Upper diagonals (3, n) of I + lam^2 D2' D2 in LAPACK's banded storage."""
    main, first, second = np.zeros(n), np.zeros(n - 1), np.zeros(n - 2)
    # D2' D2 is the sum over its n - 2 rows (1, -2, 1) of their outer products.
    for offset, value in enumerate((1.0, 4.0, 1.0)):
        main[offset : n - 2 + offset] += value
    first[: n - 2] -= 2.0
    first[1:] -= 2.0
    second += 1.0
    bands = np.zeros((3, n))
    bands[2] = 1.0 + lam**2 * main
    bands[1, 1:] = lam**2 * first
    bands[0, 2:] = lam**2 * second
    return bands
