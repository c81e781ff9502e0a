"""The generator: physiology, reproducibility, faces that are found, and difficulty that matters."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.signal import find_peaks

from streamnet_plugin.classical import chrom, pos
from streamnet_plugin.data.face import find_faces
from streamnet_plugin.data.synthetic import (
    SETUPS,
    SynthSettings,
    easy,
    hard,
    render,
    render_face_clip,
    writers,
)
from streamnet_plugin.data.synthetic.head import N_HEADS, head
from streamnet_plugin.data.synthetic.pulse import beat, bvp, heart_rate
from streamnet_plugin.data.synthetic.writers import write_demo, write_pure_set, write_ubfc_set
from streamnet_plugin.errors import ConfigError, OutputError
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp

BAND = (0.6, 3.3)


def read_hr(x):
    return refined_hr(clean_bvp(x, 30.0, *BAND, False), 30.0, BAND)


def test_beat_has_a_steep_upstroke_and_a_dicrotic_notch():
    phase = np.linspace(0, 1, 1000, endpoint=False)
    wave = beat(phase)
    peaks, _ = find_peaks(wave)
    assert len(peaks) == 2
    systole, dicrotic = peaks
    notch = systole + np.argmin(wave[systole:dicrotic])
    assert wave[systole] > wave[dicrotic] > wave[notch]
    foot = np.argmin(np.roll(wave, -dicrotic))  # samples from the dicrotic wave to the next foot
    upstroke = (systole - (dicrotic + foot)) % 1000
    assert upstroke < 0.6 * (1000 - upstroke)


@pytest.mark.parametrize("bpm", [45, 72, 110, 150, 180])
def test_pulse_has_the_heart_rate_asked_for(bpm):
    rng = np.random.default_rng(bpm)
    t = np.arange(1800) / 30
    hr = heart_rate(t, bpm, rng)
    assert hr.mean() == pytest.approx(bpm)
    assert 0.5 < hr.std() < 0.1 * bpm
    assert read_hr(bvp(t, hr, rng)) == pytest.approx(bpm, abs=2.0)


def test_same_settings_same_pixels_and_another_seed_others():
    settings = SynthSettings(seed=3, duration_s=1, width=160, height=120)
    first, again, other = (
        np.stack(list(render(s).frames())) for s in (settings, settings, replace(settings, seed=4))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pulse_darkens_the_skin_in_systole_most_in_green():
    settings = SynthSettings(seed=1, noise=0, motion_scale=0, illumination_drift=0, flicker=0)
    frames, wave = render_face_clip(settings)
    inside = frames[:, 10:26, 12:24].reshape(len(frames), -1, 3).mean(axis=1)
    swing = [np.corrcoef(inside[:, c], wave)[0, 1] for c in range(3)]
    assert swing[1] < -0.9
    relative = inside.std(axis=0) / inside.mean(axis=0)
    assert relative[1] > relative[2] > relative[0]


def test_a_mannequin_has_no_pulse():
    settings = SynthSettings(
        seed=1, pulse=0, noise=0, motion_scale=0, illumination_drift=0, flicker=0
    )
    frames, _ = render_face_clip(settings)
    assert np.ptp(frames.mean(axis=(1, 2)), axis=0).max() == 0


def test_the_detector_finds_the_face_in_99_of_100_frames():
    found = total = 0
    for number, motion in enumerate(SETUPS.values()):
        for tone in range(1, 7):
            settings = SynthSettings(
                seed=10 * number + tone,
                duration_s=6,
                fs=1,  # sampled once a second: what moves in between is not looked at
                width=320,
                height=240,
                skin_tone=tone,
                motion=motion,
            )
            for frame in render(settings).frames():
                # The face is 96 px wide here; Haar's boxes are a little larger.
                found += any(80 < w < 160 for _, _, w, _ in find_faces(frame))
                total += 1
    assert total == 216
    assert found >= 0.99 * total


def test_every_head_and_tone_is_drawn_differently():
    seen = {head(i, tone).albedo.tobytes() for i in range(N_HEADS) for tone in (1, 6)}
    assert len(seen) == 2 * N_HEADS
    assert head(0, 1).albedo.mean() > 1.3 * head(0, 6).albedo.mean()


def errors(make, seeds):
    """Absolute errors of POS and CHROM, (2, seeds) bpm."""
    out = []
    for seed in seeds:
        frames, _ = render_face_clip(make(seed))
        rgb, true = frames.mean(axis=(1, 2), dtype=float), render(make(seed)).settings.hr_bpm
        out.append([abs(read_hr(method(rgb, 30.0)) - true) for method in (pos, chrom)])
    return np.array(out).T


def test_easy_recordings_are_read_within_a_beat():
    assert (errors(easy, range(5)).mean(axis=1) < 1.0).all()


def test_hard_recordings_defeat_the_classical_methods():
    assert (errors(hard, range(5)).mean(axis=1) > 5.0).all()


def test_training_crops_look_like_preprocessed_ones():
    settings = SynthSettings(seed=5, duration_s=2)
    fast, _ = render_face_clip(settings)
    frames = list(render(settings).frames())
    from streamnet_plugin.data.face import crop, enlarged, largest_face

    box = enlarged(largest_face(frames[0]), 1.5)
    slow = np.stack(
        [cv2.resize(crop(f, box), (36, 36), interpolation=cv2.INTER_AREA) for f in frames]
    )
    assert np.corrcoef(fast.mean(axis=0).ravel(), slow.mean(axis=0).ravel())[0, 1] > 0.99
    assert np.abs(fast.mean(axis=0) - slow.mean(axis=0)).mean() < 4.0
    noise = [np.diff(x.astype(float), axis=0).std() for x in (fast, slow)]
    assert noise[0] == pytest.approx(noise[1], rel=0.35)


def test_unknown_motion_is_refused_by_name():
    with pytest.raises(ConfigError, match="steady"):
        list(render(SynthSettings(motion="dancing")).frames())


@pytest.mark.parametrize(
    "wrong",
    [
        {"duration_s": 0}, {"duration_s": float("nan")}, {"duration_s": float("inf")},
        {"seed": -1}, {"seed": 0.5}, {"hr_bpm": 30}, {"hr_bpm": 181}, {"light": 0},
        {"light": -1}, {"noise": -0.1}, {"width": 32}, {"height": 63}, {"width": 10**6},
        {"fs": 0}, {"skin_tone": 7}, {"pulse": -1}, {"flicker": 2}, {"noise": "loud"},
    ],
)  # fmt: skip
def test_settings_that_make_no_recording_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SynthSettings(**wrong)


def test_a_lamp_flickers_at_its_rate_and_leaves_the_rest_alone():
    plain = SynthSettings(seed=3, duration_s=10, flicker=0.02)
    light = render(replace(plain, flicker_hz=1.4))._light[:, 1]
    power = np.abs(np.fft.rfft(light - light.mean())) ** 2
    power[:5] = 0  # the slow drift
    assert np.argmax(power) == 14
    assert np.array_equal(render(plain).bvp, render(replace(plain, flicker_hz=1.4)).bvp)


QUICK = {"duration_s": 0.5, "width": 96, "height": 72}


class TestWhatIsThereAlready:
    def make(self, out, **changes):
        write_ubfc_set(out, 1, 0, "mjpg", **{**QUICK, **changes})
        return out / "subject1"

    def test_the_same_is_kept(self, tmp_path):
        before = (self.make(tmp_path) / "vid.avi").stat().st_mtime_ns
        assert (self.make(tmp_path) / "vid.avi").stat().st_mtime_ns == before

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"noise": 3.0}, "noise 1.5 instead of 3.0"),
            ({"quality": 40}, "quality 95 instead of 40"),
            ({"dataset": 1}, None),  # another name: nothing is in the way
        ],
    )
    def test_another_is_not_passed_off_for_it(self, tmp_path, changes, says):
        folder = self.make(tmp_path)
        if says is None:
            self.make(tmp_path, **changes)
            return
        with pytest.raises(OutputError, match=says) as error:
            self.make(tmp_path, **changes)
        assert error.value.path == folder
        assert "another folder, or delete it" in error.value.remedy

    def test_pure_too(self, tmp_path):
        write_pure_set(tmp_path, 1, setups=(1,), **QUICK)
        write_pure_set(tmp_path, 1, setups=(1, 2), **QUICK)
        with pytest.raises(OutputError, match="duration_s"):
            write_pure_set(tmp_path, 1, setups=(1,), **{**QUICK, "duration_s": 1.0})

    @pytest.mark.parametrize("text", [None, "[]", "{}"])
    def test_what_is_not_ours_is_left_alone(self, tmp_path, text):
        (tmp_path / "subject1").mkdir()
        if text is not None:
            (tmp_path / "subject1" / "synthetic.json").write_text(text)
        with pytest.raises(OutputError, match="not made by this command"):
            self.make(tmp_path)

    def test_a_cut_file_is_told(self, tmp_path):
        (self.make(tmp_path) / "vid.avi").write_bytes(b"cut")
        with pytest.raises(OutputError, match=r"damaged: vid\.avi"):
            self.make(tmp_path)

    def test_the_demo_mends_itself(self, tmp_path, monkeypatch, caplog):
        few = [SynthSettings(seed=i, **QUICK) for i in range(2)]
        monkeypatch.setattr(writers, "demo_settings", lambda: few)
        write_demo(tmp_path)
        whole = (tmp_path / "subject1" / "vid.avi").read_bytes()
        (tmp_path / "subject1" / "vid.avi").write_bytes(whole[:1000])
        write_demo(tmp_path)
        assert (tmp_path / "subject1" / "vid.avi").read_bytes() == whole
        assert [r.message.count("subject1") for r in caplog.records] == [1]
        assert sorted(p.name for p in tmp_path.iterdir()) == ["subject1", "subject2"]
