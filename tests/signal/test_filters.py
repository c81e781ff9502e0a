import numpy as np
import pytest

from streamnet_plugin.errors import ConfigError, NoResultError
from streamnet_plugin.signal.filters import bandpass, min_samples


def amplitude(hz, fs=30.0):
    t = np.arange(1800) / fs
    return np.abs(bandpass(np.sin(2 * np.pi * hz * t), fs, 0.6, 3.3))[600:1200].max()


def test_passes_the_band_and_stops_the_rest():
    assert amplitude(1.4) > 0.95
    assert amplitude(0.05) < 0.05
    assert amplitude(12.0) < 0.1


def test_corners_are_at_half_amplitude():
    # -3 dB per pass, two passes.
    assert amplitude(0.6) == pytest.approx(0.5, abs=0.02)
    assert amplitude(3.3) == pytest.approx(0.5, abs=0.02)


def test_no_delay():
    t = np.arange(900) / 30
    x = np.sin(2 * np.pi * 1.4 * t)
    y = bandpass(x, 30, 0.6, 3.3)[200:700]
    lags = [np.corrcoef(y, x[200 + k : 700 + k])[0, 1] for k in range(-5, 6)]
    assert int(np.argmax(lags)) == 5


def test_columns_are_filtered_along_time():
    x = np.random.default_rng(0).normal(size=(100, 4))
    y = bandpass(x, 30, 0.6, 3.3)
    np.testing.assert_allclose(y[:, 2], bandpass(x[:, 2], 30, 0.6, 3.3), atol=1e-12)


@pytest.mark.parametrize("order", [1, 3])
def test_min_samples_is_the_exact_bound(order):
    n = min_samples(order)
    assert len(bandpass(np.arange(float(n)), 30, 0.6, 3.3, order)) == n
    with pytest.raises(NoResultError, match=f"found {n - 1}"):
        bandpass(np.arange(float(n - 1)), 30, 0.6, 3.3, order)


def test_band_above_nyquist_names_the_frame_rate():
    with pytest.raises(ConfigError, match="5 Hz"):
        bandpass(np.zeros(100), 5.0, 0.6, 3.3)
