import numpy as np

from streamnet_plugin.signal.pulse import clean_bvp


def test_differential_waveforms_are_integrated():
    t = np.arange(900) / 30
    bvp = np.sin(2 * np.pi * 1.2 * t)
    difference = np.append(np.diff(bvp), 0.0)
    direct = clean_bvp(bvp, 30, 0.6, 3.3, False)[100:800]
    integrated = clean_bvp(difference, 30, 0.6, 3.3, True)[99:799]  # sum of differences: one late
    assert np.corrcoef(direct, integrated)[0, 1] > 0.999


def test_rows_are_cleaned_along_time():
    x = np.random.default_rng(0).normal(size=(2, 3, 200))
    together = clean_bvp(x, 30, 0.6, 3.3, True)
    assert together.shape == x.shape
    np.testing.assert_allclose(together[1, 2], clean_bvp(x[1, 2], 30, 0.6, 3.3, True), atol=1e-9)


def test_single_precision_is_integrated_as_such():
    """As the toolbox does with its networks' output, so that SNR agrees beyond 1e-5 dB."""
    x = np.random.default_rng(0).standard_normal(1800).astype(np.float32)
    integrated = np.cumsum(x, dtype=np.float32).astype(np.float64)
    expected = clean_bvp(integrated, 30.0, 0.6, 3.3, differential=False)
    assert np.array_equal(clean_bvp(x, 30.0, 0.6, 3.3, differential=True), expected)
