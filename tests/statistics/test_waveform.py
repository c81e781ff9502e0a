import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.data.synthetic.pulse import beat
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.statistics import waveform
from streamnet_plugin.statistics.waveform import (
    TOLERANCE_S,
    WAVEFORM_METRICS,
    BeatErrors,
    beat_errors,
    beat_times,
    delay,
    match_beats,
    variability,
    waveform_metrics,
)

FS = 30.0


def pulse(starts, seconds, shift=0.0, fs=FS):
    """Clean BVP whose beats begin at `starts` (s), later by `shift`."""
    t = np.arange(0, seconds, 1 / fs) - shift
    cycle = np.interp(t, starts, np.arange(len(starts)))
    return clean_bvp(beat(cycle), fs, 0.6, 3.3, False)


def rhythm(bpm, swing=0.05, seconds=62.0):
    """Beginnings of beats whose intervals swing slowly, s."""
    n = int(seconds * bpm / 60) + 3
    ibi = 60 / bpm * (1 + swing * np.sin(2 * np.pi * np.arange(n) / 9))
    return np.concatenate([[0.0], np.cumsum(ibi)]) - 1.0


@pytest.mark.parametrize("bpm", [50, 72, 110, 150])
def test_beats_and_variability_of_a_known_rhythm(bpm):
    starts = rhythm(bpm)
    ibi = np.diff(starts[(starts > 0) & (starts < 59)]) * 1000
    x = pulse(starts, 60)
    found = beat_errors(x, x, FS)
    assert found.n_true == pytest.approx(len(ibi) + 1, abs=2)
    assert (found.ibi_error, found.f1, found.lag) == (0, 100, 0)
    # The smooth waveform follows a swing of the rhythm up to a few ms.
    assert found.rmssd_true == pytest.approx(np.sqrt(np.mean(np.diff(ibi) ** 2)), rel=0.1, abs=2)
    assert found.sdnn_true == pytest.approx(ibi.std(ddof=1), rel=0.1, abs=2)


def test_frames_of_33_ms_do_not_show_in_the_variability():
    found = beat_errors(*[pulse(rhythm(71.3, swing=0), 60)] * 2, FS)
    assert found.rmssd_true < 2  # 24 ms if peaks sat on frames


def test_a_constant_delay_is_no_error_and_jitter_is():
    starts, rng = rhythm(70), np.random.default_rng(0)
    true = pulse(starts, 60)
    late = beat_errors(pulse(starts, 60, shift=0.2), true, FS)
    assert late.lag == pytest.approx(200, abs=34)
    assert late.ibi_error < 2
    assert late.rmssd_error < 2
    jitter = rng.normal(0, 0.02, len(starts))
    shaky = beat_errors(pulse(starts + jitter, 60), true, FS)
    assert 10 < shaky.ibi_error < 35  # E|difference of two jitters| is 22 ms before the filter
    assert shaky.rmssd_read > shaky.rmssd_true
    assert shaky.rmssd_error == pytest.approx(shaky.rmssd_read - shaky.rmssd_true)
    assert shaky.sdnn_error == pytest.approx(abs(shaky.sdnn_read - shaky.sdnn_true))


@pytest.mark.parametrize("start", np.arange(0, 1, 0.1))
def test_a_dicrotic_wave_is_no_beat(start):
    phase = np.mod(start + np.arange(0, 60, 1 / FS) * 45 / 60, 1)
    x = sum(h * np.exp(-0.5 * ((phase - at) / 0.08) ** 2) for at, h in ((0.3, 1), (0.65, 0.5)))
    found = beat_times(x - x.mean(), FS)
    assert len(found) == pytest.approx(45, abs=1)
    assert np.diff(found) == pytest.approx(60 / 45, abs=0.01)


def test_an_interval_with_a_beat_too_many_is_left_out(monkeypatch):
    x, true = pulse(rhythm(60), 50), np.arange(1.0, 50)
    read = np.sort(np.append(true + 0.01 * (true % 2), [10.5, 20.5]))
    read = np.delete(read, 35)
    beats = iter([read, true])
    monkeypatch.setattr(waveform, "beat_times", lambda *_: next(beats))
    found = beat_errors(x, x, FS)
    assert (found.n_true, found.n_read, found.n_matched) == (49, 50, 48)
    assert found.n_intervals == 48 - 2 - 2  # two hold an extra beat, two lack their common end
    assert found.ibi_error == pytest.approx(10)
    assert found.f1 == pytest.approx(200 * 48 / 99)


def test_delay_has_a_sign():
    x = pulse(rhythm(60), 30)
    assert delay(np.roll(x, 6), x, FS) == pytest.approx(0.2)
    assert delay(x, np.roll(x, 6), FS) == pytest.approx(-0.2)


def test_noise_has_no_interval_error():
    x = pulse(rhythm(70), 60)
    noise = clean_bvp(np.random.default_rng(1).normal(size=len(x)), FS, 0.6, 3.3, False)
    found = beat_errors(noise, x, FS)
    assert found.ibi_error is None
    assert found.rmssd_error is None
    assert found.f1 < 80
    assert "of the true intervals were read" in found.reason


def test_short_and_broken_waveforms_say_why():
    x = pulse(rhythm(70), 60)
    short = beat_errors(x[:600], x[:600], FS)  # 20 s
    assert short.ibi_error == 0
    assert short.rmssd_error is None
    assert short.reason == f"{short.n_intervals} intervals: RMSSD and SDNN need 30"
    nan = x.copy()
    nan[3] = np.nan
    reasons = {
        "0.3 s are too short for beats": (x[:9], x[:9]),
        "not finite": (nan, x),
        "constant": (np.zeros(len(x)), x),
        "have 100 and 1800 samples": (x[:100], x),
        "are too short": (x[:0], x[:0]),
    }
    for reason, (pred, label) in reasons.items():
        found = beat_errors(pred, label, FS)
        assert reason in found.reason
        assert (found.ibi_error, found.f1) == (None, None)


def test_true_beats_that_do_not_fit_the_spectrum_are_not_believed():
    t = np.arange(0, 60, 1 / FS)
    label = np.sin(2 * np.pi * t) * (t < 4)  # the sensor fell off
    found = beat_errors(pulse(rhythm(60), 60), label, FS)
    assert (found.ibi_error, found.f1) == (None, None)
    assert found.reason == "4 beats in the true waveform, where 59 fit its 59 bpm"


def test_a_straight_line_has_no_beats():
    assert len(beat_times(np.linspace(-1, 1, 600), FS)) == 0


@given(
    st.lists(st.floats(0, 20), max_size=12, unique=True).map(sorted),
    st.lists(st.floats(0, 20), max_size=12, unique=True).map(sorted),
)
def test_matches_are_one_to_one_in_order_and_near(true, read):
    true, read = np.array(true), np.array(read)
    i, j = match_beats(true, read)
    assert np.all(np.diff(i) > 0)
    assert np.all(np.diff(j) > 0)
    assert np.all(np.abs(true[i] - read[j]) <= TOLERANCE_S)
    for a in set(range(len(true))) - set(i.tolist()):  # who is left has no free mutual neighbour
        for b in set(range(len(read))) - set(j.tolist()):
            near = abs(true[a] - read[b])
            others = np.append(np.abs(true - read[b]), np.abs(read - true[a]))
            assert near > TOLERANCE_S or np.count_nonzero(others <= near) > 2


def test_variability_skips_the_gap_of_a_lost_beat():
    ibi = np.array([800.0, 820, 810, 900, 905])
    rmssd, sdnn = variability(ibi, np.array([True, True, False, True]))
    assert rmssd == pytest.approx(np.sqrt((20**2 + 10**2 + 5**2) / 3))
    assert sdnn == pytest.approx(np.std(ibi, ddof=1))


def test_means_over_videos_with_intervals_over_subjects():
    why = "30 intervals are needed"
    errors = [BeatErrors(f1=90.0, ibi_error=10.0 + v, reason=why) for v in range(8)]
    errors.append(BeatErrors(reason="5.0 s are too short"))
    found = waveform_metrics(errors, [f"s{v}" for v in range(9)])
    assert set(found) == set(WAVEFORM_METRICS)
    assert found["IBI error (ms)"].value == pytest.approx(13.5)
    assert found["IBI error (ms)"].low < 13.5 < found["IBI error (ms)"].high
    assert found["RMSSD error (ms)"].value is None
    first = "9 of 9 videos without a value, the first: "
    assert found["RMSSD error (ms)"].reason == first + "30 intervals are needed"
    assert found["IBI error (ms)"].reason == (
        "1 of 9 videos without a value, the first: 5.0 s are too short"
    )
    few = waveform_metrics(errors[6:], ["s6", "s7", "s8"])["IBI error (ms)"]
    assert few.low is None
    assert few.reason.startswith("2 subjects: ")
    assert "1 of 3 videos" in few.reason
    assert waveform_metrics(errors[:8], list(range(8)))["IBI error (ms)"].reason == ""
    assert waveform_metrics([], [])["IBI error (ms)"].reason == "there are no waveforms"


def test_videos_without_a_value_are_named():
    errors = [BeatErrors(f1=90.0, ibi_error=20.0), BeatErrors(f1=50.0, reason="short")]
    found = waveform_metrics(errors, ["s1", "s2"], ["PURE/b", "PURE/a"])
    assert found["IBI error (ms)"].missing == ("PURE/a",)
    assert found["beat F1 (%)"].missing == ()
