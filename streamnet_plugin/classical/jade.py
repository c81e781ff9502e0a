"""JADE: independent components by joint diagonalisation of fourth-order cumulants.

Cardoso & Souloumiac, "Blind beamforming for non-Gaussian signals", IEE Proc. F 140(6), 1993; the
real-valued form of Cardoso, "High-order contrasts for independent component analysis", Neural
Computation 11(1), 1999.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from streamnet_plugin.errors import NoResultError
from streamnet_plugin.types import FloatArray

MAX_SWEEPS = 100
"""Jacobi sweeps converge quadratically: a handful suffices for three sources."""


def jade(x: FloatArray) -> FloatArray:
    """Sources (m, T) of zero-mean mixtures `x` (m, T); order and signs are arbitrary.

    Raises:
        NoResultError: the mixtures are linearly dependent, or the rotations do not converge.
    """
    white = _whiten(x)
    rotation = _joint_diagonaliser(
        _cumulant_matrices(white), threshold=1 / (100 * math.sqrt(x.shape[1]))
    )
    sources: FloatArray = rotation.T @ white
    return sources


def _whiten(x: FloatArray) -> FloatArray:
    """C^(-1/2) x (m, T), with covariance I, by the symmetric root of the covariance C."""
    values, vectors = np.linalg.eigh(x @ x.T / x.shape[1])
    if values[0] <= 1e-12 * values[-1]:
        raise NoResultError(
            "the colour channels are linearly dependent: there are not three components",
            remedy="use another method.",
        )
    whitened: FloatArray = (vectors / np.sqrt(values)) @ vectors.T @ x
    return whitened


def _cumulant_matrices(y: FloatArray) -> FloatArray:
    """The m strongest eigenmatrices (m, m, m) of the fourth-order cumulants of white `y` (m, T).

    cum(i,j,k,l) = E[y_i y_j y_k y_l] - R_ij R_kl - R_ik R_jl - R_il R_jk.
    """
    m, n = y.shape
    pairs = (y[:, None, :] * y[None, :, :]).reshape(m * m, n)
    r = y @ y.T / n
    gaussian = (
        np.einsum("ij,kl->ijkl", r, r)
        + np.einsum("ik,jl->ijkl", r, r)
        + np.einsum("il,jk->ijkl", r, r)
    )
    values, vectors = np.linalg.eigh(pairs @ pairs.T / n - gaussian.reshape(m * m, m * m))
    strongest = np.argsort(np.abs(values))[::-1][:m]
    eigenmatrices: FloatArray = (values * vectors)[:, strongest].T.reshape(m, m, m)
    return eigenmatrices


def _joint_diagonaliser(matrices: FloatArray, threshold: float) -> FloatArray:
    """Rotation V (m, m) that makes V' M V as diagonal as possible for all M (K, m, m).

    Jacobi: each pair (p, q) is turned by the angle that minimises its off-diagonal squares in
    closed form, until no turn's sine exceeds `threshold`, a hundredth of the statistical error.
    """
    matrices, m = matrices.copy(), matrices.shape[1]
    rotation = np.eye(m)
    for _ in range(MAX_SWEEPS):
        turned = False
        for p, q in combinations(range(m), 2):
            difference = matrices[:, p, p] - matrices[:, q, q]
            off = matrices[:, p, q] + matrices[:, q, p]
            # Twice the angle of the leading eigenvector of the 2 x 2 scatter of (difference, off).
            angle = 0.25 * np.arctan2(2 * difference @ off, difference @ difference - off @ off)
            if abs(np.sin(angle)) <= threshold:
                continue
            turned = True
            c, s = np.cos(angle), np.sin(angle)
            givens = np.eye(m)
            givens[[p, q], [p, q]] = c
            givens[p, q], givens[q, p] = -s, s
            rotation = rotation @ givens
            matrices = givens.T @ matrices @ givens
        if not turned:
            return rotation
    raise NoResultError(
        f"independent components did not converge in {MAX_SWEEPS} sweeps",
        remedy="use another method.",
    )
