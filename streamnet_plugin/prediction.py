"""The heart rate of one's own video, no labels needed."""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from streamnet_plugin.data.datasets import find_recordings
from streamnet_plugin.data.preprocess import PreprocessSettings, preprocess_recording
from streamnet_plugin.errors import ConfigError, DataError, NoResultError
from streamnet_plugin.evaluation.conventions import Convention, get_convention
from streamnet_plugin.evaluation.windows import mc_heart_rate
from streamnet_plugin.paths import cache_root
from streamnet_plugin.progress import Reporter, Silent
from streamnet_plugin.registry import get_method, takes_option
from streamnet_plugin.report.writer import file_name, in_new_folder
from streamnet_plugin.signal.confidence import PulseEvidence, pulse_evidence
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.signal.spectrum import refined_spectrum
from streamnet_plugin.types import FloatArray
from streamnet_plugin.uncertainty.abstention import (
    MAX_MC_SD_BPM,
    doubt,
    is_doubled,
    is_flicker,
    max_spread,
)
from streamnet_plugin.uncertainty.calibration import load_calibrators
from streamnet_plugin.uncertainty.conformal import Calibrator, finite_interval
from streamnet_plugin.uncertainty.window import WindowSigns, window_signs

log = logging.getLogger(__name__)

MIN_DURATION_S = 8.0
"""Below this a spectrum cannot tell neighbouring heart rates apart: 8 s resolve 7.5 bpm."""

MC_SAMPLES = 30
INTERVAL = 0.9
"""Nominal coverage of the interval that a calibrator gives."""
CROP_PX = 72
"""Crops of one's own video: what every shipped network can be fed from. A method that wants them
larger has an attribute `crop_px`."""
FS = 30.0
TRUST_MIN_SNR_DB = 0.0
"""The pulse must hold at least half of the band's power."""
TRUST_MAX_DISAGREEMENT_BPM = 8.0
"""Both halves of the video must read about the same heart rate."""


@dataclass(frozen=True)
class PulseReading:
    """What `predict` read from a video.

    Attributes:
        video: the file or folder.
        method: who read it.
        hr_bpm: heart rate over the whole video, bpm (refined spectral peak).
        hr_std_bpm: its Monte Carlo standard deviation, None for methods without dropout.
        hr_low_bpm, hr_high_bpm: 5th and 95th percentile of the samples, None likewise.
        half_width_bpm: of the calibrated 90 % interval around `hr_bpm`; infinite where too few
            subjects calibrate it, None without a calibrator.
        spread_bpm: the uncalibrated spread that this comes from.
        hr_range: the HR band that was looked at, bpm, with which the interval ends.
        evidence: how clearly a pulse stands out in the waveform's spectrum.
        trusted: whether the reading should be believed; `doubts` says why not.
        doubts: the reasons against it.
        t: (T,) s.
        bvp: (T,) blood volume pulse, detrended, band-passed, unit variance.
        folder: where the files were written, None if nowhere.
        notes: what else to know of the video, e.g. that the face was often out of view.
    """

    video: Path
    method: str
    hr_bpm: float
    hr_std_bpm: float | None
    hr_low_bpm: float | None
    hr_high_bpm: float | None
    evidence: PulseEvidence
    doubts: tuple[str, ...]
    t: FloatArray
    bvp: FloatArray
    folder: Path | None = None
    spread_bpm: float | None = None
    half_width_bpm: float | None = None
    hr_range: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        return not self.doubts

    @property
    def interval(self) -> tuple[float, float] | None:
        """The calibrated 90 % interval, bpm; None without one, or with an infinite one."""
        return finite_interval(self.hr_bpm, self.half_width_bpm, self.hr_range)

    def describe(self) -> str:
        """A few lines for a person."""
        lines = []
        spread = ""
        if self.hr_std_bpm is not None:
            spread = (
                f" +/- {self.hr_std_bpm:.1f} bpm (Monte Carlo SD; "
                f"90 % of samples in {self.hr_low_bpm:.1f}-{self.hr_high_bpm:.1f})"
            )
        if self.half_width_bpm is not None:
            spread += f", 90 % interval {self._interval()}"
        if self.trusted:
            lines.append(f"HR {self.hr_bpm:.1f} bpm{spread}  [{self.method}]")
        else:
            lines.append("The pulse is not to be trusted: " + "; ".join(self.doubts) + ".")
            lines.append(f"Untrusted reading: {self.hr_bpm:.1f} bpm{spread}  [{self.method}]")
        lines.append(
            f"{self.t[-1]:.1f} s of video, spectral SNR {self.evidence.snr_db:.1f} dB, "
            f"halves of the video agree within {self.evidence.disagreement_bpm:.1f} bpm"
        )
        lines += [f"Note: {note}." for note in self.notes]
        if self.folder is not None:
            lines.append(f"Written: {self.folder / 'bvp.csv'}, {self.folder / 'pulse.png'}")
        lines.append("For research; not a medical device.")
        return "\n".join(lines)

    def _interval(self) -> str:
        if self.interval is None:
            return "unknown (too few subjects in the calibrator)"
        return "{:.1f}-{:.1f} bpm".format(*self.interval)


def predict(
    video: str | Path,
    method: str = "STREAMNet",
    *,
    output: str | Path | bool | None = None,
    fps: float | None = None,
    weights: str | Path | None = None,
    seed: int = 0,
    calibrator: str | Path | None = None,
    engine: str | None = None,
    precision: str | None = None,
    progress: Reporter | None = None,
) -> PulseReading:
    """Read the heart rate of a video of one face.

    Args:
        video: a file OpenCV decodes, or a folder of images.
        method: any registered one.
        output: folder for `bvp.csv` and `pulse.png`; True for `<video>-pulse`; None for nowhere.
        fps: frame rate in Hz where the file does not say it.
        weights: a network's weights; None for the shipped ones.
        seed: of the Monte Carlo samples.
        calibrator: a file of `streamnet calibrate`, made with whole videos like this one in the
            convention toolbox-2025; gives an interval that holds for people and cameras like its.
        engine, precision: of a network, see `STREAMNetMethod`; None for its defaults.
        progress: hears of every step.

    Raises:
        DataError: not a video, no face, damaged.
        NoResultError: shorter than MIN_DURATION_S, or nothing moves in it.
        UnknownMethodError: no such method.
        ConfigError: the calibrator does not know the method, or another convention; the engine or
            precision is not to be had.
    """
    path, progress = Path(video), progress or Silent()
    reader = get_method(method, **_options(method, weights, seed, engine, precision))
    convention = get_convention("toolbox-2025")
    calibrated, calibrated_on = _calibrator(calibrator, reader.name, convention)
    recordings = find_recordings("video", path)
    if len(recordings) != 1:
        raise DataError(
            f"the folder holds {len(recordings)} videos", path=path, remedy="name one of them."
        )
    progress.start("Reading the pulse", 3)
    crop_px = getattr(reader, "crop_px", CROP_PX)
    settings = PreprocessSettings(width=crop_px, height=crop_px, fs=FS, fps=fps)
    face = preprocess_recording(recordings[0], settings, cache_root() / "faces")
    progress.step("face found")
    seconds = len(face.frames) / face.fs
    if seconds < MIN_DURATION_S:
        raise NoResultError(
            f"the video lasts {seconds:.1f} s, at least {MIN_DURATION_S:g} s are needed to tell "
            "heart rates apart",
            path=path,
            remedy="record 20 s or more, sitting still in good light.",
        )
    prediction = reader.predict(face)
    progress.step("waveform read")
    bvp = clean_bvp(prediction.bvp, face.fs, *convention.band, prediction.differential)
    if not bvp.std() > 0:
        raise NoResultError("the waveform is constant: there is no pulse in it", path=path)
    evidence = pulse_evidence(bvp, face.fs, convention.band)
    hr_bpm = refined_hr(bvp, face.fs, convention.band)
    mc = (
        None
        if prediction.samples is None
        else mc_heart_rate(prediction.samples, face.fs, convention, prediction.differential)
    )
    signs = window_signs(
        bvp,
        face.fs,
        hr_bpm,
        convention.band,
        mc_sd_bpm=mc.std if mc else None,
        rgb=face.rgb,
    )
    reading = PulseReading(
        video=path,
        method=reader.name,
        hr_bpm=hr_bpm,
        hr_std_bpm=mc.std if mc else None,
        hr_low_bpm=mc.q05 if mc else None,
        hr_high_bpm=mc.q95 if mc else None,
        evidence=evidence,
        doubts=_doubts(evidence, signs, hr_bpm),
        spread_bpm=signs.spread_bpm,
        half_width_bpm=calibrated.half_width(signs.spread_bpm, INTERVAL) if calibrated else None,
        hr_range=convention.hr_range,
        notes=(*face.notes, *calibrated_on),
        t=np.arange(len(bvp)) / face.fs,
        bvp=bvp / bvp.std(),
    )
    progress.step()
    if output is None or output is False:
        return reading
    name = f"{file_name(path.stem)}-pulse" if output is True else output
    folder = in_new_folder(name, lambda f: _write(reading, face.fs, convention.band, f))
    return replace(reading, folder=folder)


def _options(
    method: str, weights: str | Path | None, seed: int, engine: str | None, precision: str | None
) -> dict[str, Any]:
    wanted = {"checkpoint": weights, "mc_samples": MC_SAMPLES, "seed": seed}
    taken = {k: v for k, v in wanted.items() if takes_option(method, k)}
    return taken | engine_options(method, engine, precision)


def engine_options(method: str, engine: str | None, precision: str | None) -> dict[str, str]:
    """Those of the two that are asked for; `ConfigError` where the method does not take one."""
    given = {"engine": engine, "precision": precision}
    asked = {name: value for name, value in given.items() if value is not None}
    for name in asked:
        if not takes_option(method, name):
            raise ConfigError(f"{method} has no {name} to choose", remedy=f"omit --{name}.")
    return asked


def _calibrator(
    path: str | Path | None, method: str, convention: Convention
) -> tuple[Calibrator | None, tuple[str, ...]]:
    """A method's calibrator, and a note on what its intervals rest on; nothing without a file."""
    if path is None:
        return None, ()
    file = load_calibrators(path)
    if file.convention != str(convention):
        raise ConfigError(
            f"this calibrator was made with {file.convention}, predict reads with {convention}",
            path=path,
            remedy="make one from results of that convention.",
        )
    sampled = takes_option(method, "mc_samples")
    found = file.of_method(method, sampled, path=Path(path), reader="predict")
    return found, (
        f"the interval was calibrated on {file.window}, and holds for people and cameras like "
        "there",
    )


def _doubts(evidence: PulseEvidence, signs: WindowSigns, hr_bpm: float) -> tuple[str, ...]:
    """What speaks against the reading."""
    doubts = []
    if evidence.snr_db < TRUST_MIN_SNR_DB:
        doubts.append(
            f"no clear line in the spectrum (SNR {evidence.snr_db:.1f} dB, "
            f"at least {TRUST_MIN_SNR_DB:g} expected)"
        )
    if evidence.disagreement_bpm > TRUST_MAX_DISAGREEMENT_BPM:
        doubts.append(
            f"the two halves of the video disagree by {evidence.disagreement_bpm:.0f} bpm"
        )
    if not doubts and doubt(signs.spectral_bpm, signs.seconds):
        doubts.append(
            "beats, spectrum and parts of the video disagree (spread "
            f"{signs.spectral_bpm:.1f} bpm, at most {max_spread(signs.seconds):.1f} expected)"
        )
    if any(is_flicker(colour) for colour in signs.colours):
        doubts.append(
            "the brightness of all colours varies alike at this rate, or at half of it: the light "
            "flickers, or the video has lost its colours"
        )
    if signs.mc_sd_bpm is not None and signs.mc_sd_bpm > MAX_MC_SD_BPM:
        doubts.append(f"the network's samples disagree (SD {signs.mc_sd_bpm:.1f} bpm)")
    if is_doubled(signs.colours):
        doubts.append(
            "the skin's colour varies more at half of this rate: the heart may beat at "
            f"{hr_bpm / 2:.0f} bpm"
        )
    return tuple(doubts)


def _write(reading: PulseReading, fs: float, band: tuple[float, float], folder: Path) -> None:
    from streamnet_plugin.report import plots  # matplotlib is slow to import

    with (folder / "bvp.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time_s", "bvp"])
        writer.writerows(
            (f"{t:.4f}", f"{v:.6f}") for t, v in zip(reading.t, reading.bvp, strict=True)
        )
    f, power = refined_spectrum(reading.bvp, fs)
    shown = (f >= band[0]) & (f <= band[1])
    title = f"{reading.video.name}: {reading.hr_bpm:.1f} bpm by {reading.method}"
    if not reading.trusted:
        title += " (not to be trusted)"
    plots.reading(
        reading.t, reading.bvp, 60 * f[shown], power[shown], reading.hr_bpm, title,
        folder / "pulse.png",
    )  # fmt: skip
