import numpy as np
import pytest
import scipy.signal

from streamnet_plugin.classical.chrom import chrom, chrom_paper, covered_frames


def window_by_window(rgb, length):
    """Overlap-added 3R - 2G and 1.5R + G - 1.5B, each window filtered by itself."""
    half = length // 2
    b, a = scipy.signal.butter(3, [0.7 / 15, 2.5 / 15], "bandpass")
    out = np.zeros(len(rgb))
    for start in range(0, len(rgb) - length + 1, half):
        r, g, b_ = (rgb[start : start + length] / rgb[start : start + length].mean(axis=0)).T
        x = scipy.signal.filtfilt(b, a, 3 * r - 2 * g)
        y = scipy.signal.filtfilt(b, a, 1.5 * r + g - 1.5 * b_)
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))
        out[start : start + length] += (x - x.std() / y.std() * y) * taper
    return out


def test_default_variant_equals_the_loop(skin):
    rgb = skin(seconds=13).rgb
    np.testing.assert_allclose(chrom(rgb, 30), window_by_window(rgb, 48), atol=1e-11)


@pytest.mark.parametrize(
    ("n", "fs", "covered"),
    [(900, 30, 888), (48, 30, 48), (71, 30, 48), (72, 30, 72), (500, 25, 500)],
)
def test_zeros_follow_what_the_toolbox_returns(n, fs, covered, skin):
    rgb = skin(fs=float(fs)).rgb[:n]
    bvp = chrom(rgb, fs)
    assert covered_frames(n, fs) == covered
    assert len(bvp) == n
    assert not bvp[covered:].any()
    np.testing.assert_allclose(bvp[:covered], chrom(rgb[:covered], fs), atol=1e-12)


def test_paper_variant_reads_up_to_the_last_frame(skin):
    video = skin(seconds=10.37, noise=0.0, light=0.0)
    bvp = chrom_paper(video.rgb, 30)
    for part in (slice(0, 60), slice(-60, None)):
        assert np.corrcoef(bvp[part], video.bvp[part])[0, 1] > 0.8


def test_paper_variant_passes_40_to_240_bpm(skin):
    """The default variant's band ends at 150 bpm; the paper's does not."""

    def strength(function, bpm):
        return function(skin(bpm=bpm, noise=0.0, light=0.0).rgb, 30)[100:800].std()

    assert strength(chrom_paper, 210) > 0.6 * strength(chrom_paper, 80)
    assert strength(chrom, 210) < 0.3 * strength(chrom, 80)


def test_paper_variants_filter_does_not_start_from_black(skin):
    """Brightness that climbs by 40 % over the clip is no step at its ends."""
    video = skin(seconds=20, noise=0.0, light=0.0)
    climbing = video.rgb * np.linspace(0.8, 1.2, len(video.rgb))[:, None]
    change = np.abs(chrom_paper(climbing, 30) - chrom_paper(video.rgb, 30))
    assert change[:60].max() < 0.1 * np.ptp(chrom_paper(video.rgb, 30))
