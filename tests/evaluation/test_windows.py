import logging
import math
import warnings

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from streamnet_plugin.errors import DataError
from streamnet_plugin.evaluation.conventions import CONVENTIONS, get_convention
from streamnet_plugin.evaluation.windows import (
    evaluate_video,
    evaluate_window,
    mc_heart_rate,
    window_slices,
)
from streamnet_plugin.types import Prediction

TOOLBOX = get_convention("toolbox-2025")


# A straight implementation of the formulas, as slow as they are written.


def straight_clean(x, fs, band, differential):
    x = np.cumsum(x) if differential else np.asarray(x)
    n = len(x)
    d2 = np.zeros((n - 2, n))
    for row in range(n - 2):
        d2[row, row : row + 3] = 1, -2, 1
    x = (np.eye(n) - np.linalg.inv(np.eye(n) + 100**2 * d2.T @ d2)) @ x
    b, a = scipy.signal.butter(1, [band[0] / (fs / 2), band[1] / (fs / 2)], "bandpass")
    return scipy.signal.filtfilt(b, a, x)


def straight_power(x, fs):
    n = 1
    while n < len(x):
        n *= 2
    k = np.arange(n // 2 + 1)
    fourier = np.exp(-2j * np.pi * np.outer(k, np.arange(len(x))) / n) @ x
    return k * fs / n, np.abs(fourier) ** 2


def straight_fft_hr(x, fs, band):
    f, p = straight_power(x, fs)
    inside = [(p[i], f[i]) for i in range(len(f)) if band[0] <= f[i] <= band[1]]
    return 60 * max(inside)[1] if inside else math.nan


def straight_peak_hr(x, fs):
    peaks = [i for i in range(1, len(x) - 1) if x[i - 1] < x[i] > x[i + 1]]
    return 60 * fs * (len(peaks) - 1) / (peaks[-1] - peaks[0]) if len(peaks) > 1 else math.nan


def straight_snr(x, hr, fs, band):
    f, p = straight_power(x, fs)
    h = hr / 60
    signal = rest = 0.0
    for hz, power in zip(f, p, strict=True):
        first, second = h - 0.1 <= hz <= h + 0.1, 2 * h - 0.1 <= hz <= 2 * h + 0.1
        if first or second:
            signal += power
        elif band[0] <= hz <= band[1]:
            rest += power
    if rest == 0:
        return 0.0
    return 10 * math.log10(signal / rest) if signal else -math.inf


def straight_macc(p, g):
    return max(abs(np.corrcoef(p, np.roll(g, k))[0, 1]) for k in range(len(p) - 1))


signals = {
    "n": st.integers(10, 220),
    "fs": st.sampled_from([20.0, 25.0, 29.97, 30.0, 60.0]),
    "seed": st.integers(0, 2**32 - 1),
    "differential": st.booleans(),
    "name": st.sampled_from(sorted(CONVENTIONS)),
}


def noisy_pair(n, fs, seed):
    rng = np.random.default_rng(seed)
    t = np.arange(n) / fs
    beat = np.sin(2 * np.pi * rng.uniform(0.8, 2.4) * t)
    return beat + rng.normal(size=n), beat + 0.3 * rng.normal(size=n)


@settings(deadline=None, max_examples=60)
@given(method=st.sampled_from(["FFT", "Peak"]), **signals)
def test_equals_the_formulas(n, fs, seed, differential, name, method):
    convention = CONVENTIONS[name]
    pred, label = noisy_pair(n, fs, seed)
    p, g = (straight_clean(x, fs, convention.band, differential) for x in (pred, label))
    if method == "FFT":
        hr = [straight_fft_hr(x, fs, convention.band) for x in (g, p)]
    else:
        hr = [straight_peak_hr(x, fs) for x in (g, p)]
    result = evaluate_window(
        pred, label, fs, convention, differential=differential, hr_method=method
    )
    if not np.isfinite(hr).all():
        assert not result.ok
        return
    assert result.ok, result.reason
    np.testing.assert_allclose([result.hr_label, result.hr_pred], hr, atol=1e-6)
    np.testing.assert_allclose(
        [result.hr_label_peak, result.hr_pred_peak],
        [straight_peak_hr(g, fs), straight_peak_hr(p, fs)],
        atol=1e-6,
    )
    expected = straight_snr(p, hr[0], fs, convention.band)
    assert result.snr_db == pytest.approx(expected, abs=1e-6)
    assert result.macc == pytest.approx(straight_macc(p, g), abs=1e-6)


# The band is a constant in the toolbox's code, so only its own convention can be compared.
@settings(deadline=None, max_examples=40)
@given(
    n=signals["n"],
    fs=signals["fs"],
    seed=signals["seed"],
    differential=st.booleans(),
    method=st.sampled_from(["FFT", "Peak"]),
)
def test_equals_the_toolbox(toolbox_post_process, n, fs, seed, differential, method):
    pred, label = noisy_pair(n, fs, seed)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            expected = toolbox_post_process.calculate_metric_per_video(
                pred, label, fs=fs, diff_flag=differential, hr_method=method
            )
        except ValueError:  # no point of its frequency grid lies in the band
            expected = (math.nan,) * 4
    result = evaluate_window(pred, label, fs, TOOLBOX, differential=differential, hr_method=method)
    if not np.isfinite(np.array(expected[:2], dtype=float)).all():
        assert not result.ok
        return
    got = [result.hr_label, result.hr_pred, result.snr_db, result.macc]
    np.testing.assert_allclose(got, [float(np.squeeze(e)) for e in expected], atol=1e-6, rtol=0)


@pytest.mark.parametrize("differential", [False, True])
@pytest.mark.parametrize(
    ("pred", "reason"),
    [
        (np.full(900, np.nan), "900 of 900 values that are not finite"),
        (np.zeros(900), "constant"),
        (np.full(900, 0.1), "constant"),
        (np.where(np.arange(900) == 450, np.inf, 1.0), "1 of 900 values"),
    ],
)
def test_nothing_read_is_no_result_and_never_36_9_bpm(pred, reason, differential):
    label = np.sin(np.arange(900) * 0.25)
    result = evaluate_window(pred, label, 30, TOOLBOX, differential=differential)
    assert result.status == "no result"
    assert reason in result.reason
    numbers = (result.hr_label, result.hr_pred, result.hr_pred_refined, result.hr_pred_peak)
    assert np.isnan((*numbers, result.snr_db, result.macc)).all()


def test_a_straight_line_has_no_pulse():
    label = np.sin(np.arange(900) * 0.25)
    result = evaluate_window(np.linspace(100, 150, 900), label, 30, TOOLBOX, differential=False)
    assert "straight line" in result.reason


def test_a_bad_label_is_named_as_such():
    pred = np.sin(np.arange(900) * 0.25)
    result = evaluate_window(pred, np.zeros(900), 30, TOOLBOX, differential=False)
    assert "label" in result.reason


@pytest.mark.parametrize("n", [0, 1, 9])
def test_too_short_for_the_filter(n):
    x = np.sin(np.arange(n) * 0.25)
    assert not evaluate_window(x, x, 30, TOOLBOX, differential=False).ok


def test_lengths_must_agree():
    x = np.sin(np.arange(900) * 0.25)
    assert "888" in evaluate_window(x[:888], x, 30, TOOLBOX, differential=False).reason


@settings(deadline=None, max_examples=20)
@given(scale=st.floats(1e-3, 1e4), offset=st.floats(-1e3, 1e3), flip=st.booleans())
def test_amplitude_offset_and_sign_do_not_matter(scale, offset, flip):
    pred, label = noisy_pair(600, 30.0, 4)
    other = (-scale if flip else scale) * pred + offset
    a = evaluate_window(pred, label, 30, TOOLBOX, differential=False)
    b = evaluate_window(other, label, 30, TOOLBOX, differential=False)
    assert b.hr_pred == a.hr_pred
    assert b.snr_db == pytest.approx(a.snr_db, abs=1e-4)
    assert b.macc == pytest.approx(a.macc, abs=1e-6)


def test_refined_hr_sees_between_the_grid_points():
    t = np.arange(900) / 30
    pred, label = np.sin(2 * np.pi * 72.9 / 60 * t), np.sin(2 * np.pi * 73.5 / 60 * t)
    result = evaluate_window(pred, label, 30, TOOLBOX, differential=False)
    assert result.hr_pred_refined == pytest.approx(72.9, abs=0.1)
    assert result.hr_label_refined == pytest.approx(73.5, abs=0.1)


# Whole videos.


@pytest.mark.parametrize(
    ("n", "window_s", "lengths"),
    [
        (900, None, [900]),
        (900, 10, [300, 300, 300]),
        (950, 10, [300, 300, 300, 50]),
        (909, 10, [300, 300, 300, 9]),
        (908, 10, [300, 300, 300]),
        (900, 60, [900]),
        (5, None, [5]),
        (0, None, [0]),
    ],
)
def test_cut_as_the_toolbox_cuts(n, window_s, lengths):
    slices = window_slices(n, 30, window_s)
    assert [s.stop - s.start for s in slices] == lengths
    assert slices[0].start == 0


def test_a_tail_too_short_to_be_a_window_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        window_slices(905, 30, 10)
    assert "last 5 frames" in caplog.text


def test_fractional_frame_rate():
    assert [s.stop - s.start for s in window_slices(600, 29.97, 10)] == [300, 300]


@pytest.mark.parametrize("window_s", [0, -3, 0.001])
def test_a_window_without_samples_is_refused(window_s):
    with pytest.raises(DataError, match="no sample"):
        window_slices(900, 30, window_s)


def test_nine_frame_tail_is_no_result_not_a_crash():
    x = np.sin(np.arange(909) * 0.25)
    results = evaluate_video(Prediction(bvp=x), x, 30, TOOLBOX, window_s=10)
    assert [r.ok for r in results] == [True, True, True, False]
    assert "9 samples" in results[-1].reason


def test_one_bad_window_leaves_the_others():
    x = np.sin(np.arange(900) * 0.25)
    pred = x.copy()
    pred[400] = np.nan
    results = evaluate_video(Prediction(bvp=pred), x, 30, TOOLBOX, window_s=10)
    assert [r.ok for r in results] == [True, False, True]


def test_differential_prediction_is_scored_against_the_whole_videos_difference_label():
    _, bvp = noisy_pair(900, 30.0, 7)
    difference = np.diff(bvp)
    label = np.append(difference / np.std(difference), 0.0)
    pred = label + np.random.default_rng(1).normal(size=900)
    results = evaluate_video(Prediction(bvp=pred, differential=True), bvp, 30, TOOLBOX, window_s=10)
    for result, part in zip(results, window_slices(900, 30, 10), strict=True):
        expected = evaluate_window(pred[part], label[part], 30, TOOLBOX, differential=True)
        assert result == expected


def test_prediction_of_another_length_has_no_result_in_any_window():
    x = np.sin(np.arange(900) * 0.25)
    for pred in (x[:888], x[:0]):
        results = evaluate_video(Prediction(bvp=pred), x, 30, TOOLBOX, window_s=10)
        assert [r.ok for r in results] == [False] * 3


def test_domains_of_prediction_and_label_may_differ():
    _, bvp = noisy_pair(900, 30.0, 3)
    pred = np.append(0.0, np.diff(bvp))
    mixed = evaluate_window(pred, bvp, 30, TOOLBOX, differential=True, differential_label=False)
    assert mixed.macc == pytest.approx(1.0, abs=1e-3)
    assert mixed.hr_pred == mixed.hr_label


# Monte Carlo samples.


def test_spread_of_the_samples():
    t = np.arange(900) / 30
    bpm = np.array([70.0, 71.0, 72.0, 73.0, 74.0])
    samples = np.sin(2 * np.pi * bpm[:, None] / 60 * t)
    mc = mc_heart_rate(samples, 30, TOOLBOX, False)
    assert mc.mean == pytest.approx(72, abs=0.1)
    assert mc.std == pytest.approx(np.std(bpm, ddof=1), abs=0.1)
    assert (mc.q05, mc.q50, mc.q95) == pytest.approx((70.2, 72, 73.8), abs=0.1)
    assert mc.n == 5


def test_unusable_samples_are_counted_out():
    t = np.arange(900) / 30
    samples = np.sin(2 * np.pi * np.array([[1.1], [1.2], [1.3], [1.2]]) * t)
    samples[1] = np.nan
    samples[3] = 0
    mc = mc_heart_rate(samples, 30, TOOLBOX, False)
    assert mc.n == 2
    assert mc.mean == pytest.approx(72, abs=0.2)
    assert mc_heart_rate(samples[1:], 30, TOOLBOX, False) is None


def test_windows_see_their_own_samples():
    t = np.arange(600) / 30
    bpm = np.where(t < 10, 60.0, 90.0)
    bvp = np.sin(2 * np.pi * np.cumsum(bpm) / 60 / 30)
    samples = bvp + 0.1 * np.random.default_rng(0).normal(size=(8, 600))
    first, second = evaluate_video(
        Prediction(bvp=bvp, samples=samples), bvp, 30, TOOLBOX, window_s=10
    )
    assert first.mc.mean == pytest.approx(60, abs=1)
    assert second.mc.mean == pytest.approx(90, abs=1)


def test_samples_of_another_length_are_refused():
    x = np.sin(np.arange(900) * 0.25)
    with pytest.raises(DataError, match="samples"):
        evaluate_window(x, x, 30, TOOLBOX, differential=False, samples=np.ones((3, 899)))


def test_no_warnings_are_raised():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pred in (np.zeros(300), np.full(300, np.nan), np.sin(np.arange(300.0))):
            for n in (10, 40, 300):
                evaluate_window(
                    pred[:n], np.cos(np.arange(n) * 0.3), 30, TOOLBOX, differential=False
                )
