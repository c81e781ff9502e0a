import numpy as np

from streamnet_plugin.classical import ica, ica_paper


def test_paper_variant_ignores_peaks_that_are_no_heart_rate():
    """A pulse of varying rate beside a pure 7 Hz hum, whose peak is the sharpest of all."""
    rng = np.random.default_rng(0)
    t = np.arange(1800) / 30
    rate = 1.2 + 0.1 * np.sin(2 * np.pi * 0.1 * t)
    pulse = np.sin(2 * np.pi * np.cumsum(rate) / 30)
    sources = np.stack([-pulse, 1.5 * np.sin(2 * np.pi * 7.0 * t), rng.laplace(size=1800)])
    rgb = 100 + sources.T @ np.array([[0.33, 0.77, 0.53], [0.9, -0.2, 0.1], [0.1, 0.1, -0.4]])
    assert np.corrcoef(ica_paper(rgb, 30), pulse)[0, 1] > 0.9
    assert abs(np.corrcoef(ica(rgb, 30), pulse)[0, 1]) < 0.5


def test_slow_tones_mislead_only_the_toolboxs_choice(skin):
    """A head swaying at 19 times a minute, which detrending at 20 Hz does not remove."""
    video = skin(bpm=131.0, fs=20.0)
    sway = np.sin(2 * np.pi * 0.32 * np.arange(len(video.rgb)) / 20)
    rgb = video.rgb + 0.5 * sway[:, None]
    assert np.corrcoef(ica_paper(rgb, 20), video.bvp)[0, 1] > 0.9
    assert abs(np.corrcoef(ica(rgb, 20), video.bvp)[0, 1]) < 0.5


def test_sign_does_not_depend_on_the_order_of_the_mixture(skin):
    video = skin()
    for function in (ica, ica_paper):
        for seconds in (12, 17, 23, 30):
            n = seconds * 30
            assert np.corrcoef(function(video.rgb[:n], 30), video.bvp[:n])[0, 1] > 0.8
