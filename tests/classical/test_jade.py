import numpy as np
import pytest

from streamnet_plugin.classical.jade import jade
from streamnet_plugin.errors import NoResultError


@pytest.mark.parametrize("seed", range(5))
def test_separates_what_was_mixed(seed):
    rng = np.random.default_rng(seed)
    t = np.arange(4000) / 30
    sources = np.stack([np.sin(7.1 * t), rng.laplace(size=4000), np.sign(np.sin(1.9 * t + 1))])
    mixing = rng.normal(size=(3, 3))
    mixed = mixing @ sources
    found = jade(mixed - mixed.mean(axis=1, keepdims=True))
    correlation = np.abs(np.corrcoef(found, sources)[:3, 3:])
    assert correlation.max(axis=0).min() > 0.98
    assert sorted(correlation.argmax(axis=0)) == [0, 1, 2]


def test_sources_are_white():
    x = np.random.default_rng(0).uniform(size=(3, 500))
    found = jade(x - x.mean(axis=1, keepdims=True))
    np.testing.assert_allclose(found @ found.T / 500, np.eye(3), atol=1e-9)


def test_mixing_does_not_matter():
    rng = np.random.default_rng(1)
    x = rng.laplace(size=(3, 3000))
    x -= x.mean(axis=1, keepdims=True)
    a, b = jade(x), jade(np.array([[2, 1, 0], [0, 1, -1], [1, 0, 3.0]]) @ x)
    assert np.abs(np.corrcoef(a, b)[:3, 3:]).max(axis=0).min() > 0.9999


def test_dependent_mixtures_are_an_error():
    x = np.random.default_rng(0).normal(size=(2, 300))
    with pytest.raises(NoResultError, match="dependent"):
        jade(np.vstack([x, x[0] - x[1]]))


def test_gaussian_noise_ends():
    x = np.random.default_rng(0).normal(size=(3, 60))
    assert np.isfinite(jade(x - x.mean(axis=1, keepdims=True))).all()
