"""What one window's waveform and colours say of the heart rate that was read from it."""

from __future__ import annotations

from dataclasses import dataclass

from streamnet_plugin.signal.light import RhythmColour, rhythms
from streamnet_plugin.types import FloatArray
from streamnet_plugin.uncertainty.abstention import doubt
from streamnet_plugin.uncertainty.spectral import joint_spread, spectral_signs, spectral_spread


@dataclass(frozen=True)
class WindowSigns:
    """For and against a heart rate, the same in the benchmark, in `predict` and live.

    Attributes:
        seconds: length of the window.
        spectral_bpm: the spectral spread, see `spectral_spread`.
        mc_sd_bpm: standard deviation of HR over Monte Carlo samples, None without.
        colours: of the rhythms that the HR may stand for; none where they are not known.
    """

    seconds: float
    spectral_bpm: float
    mc_sd_bpm: float | None = None
    colours: tuple[RhythmColour, ...] = ()

    @property
    def spread_bpm(self) -> float:
        """The spread before calibration."""
        return joint_spread(self.spectral_bpm, self.mc_sd_bpm)

    @property
    def withheld(self) -> str:
        """Why the window is withheld at the default setting; empty where it is not."""
        return doubt(self.spectral_bpm, self.seconds, self.mc_sd_bpm, self.colours)


def window_signs(
    bvp: FloatArray,
    fs: float,
    hr_bpm: float,
    band: tuple[float, float],
    *,
    mc_sd_bpm: float | None = None,
    rgb: FloatArray | None = None,
) -> WindowSigns:
    """The signs of a window.

    Args:
        bvp: (T,) clean BVP, see `clean_bvp`.
        fs: Hz.
        hr_bpm: refined heart rate that was read.
        band: Hz.
        mc_sd_bpm: see `WindowSigns`.
        rgb: (T, 3) mean colours of the frames, None where they are not known.
    """
    return WindowSigns(
        seconds=len(bvp) / fs,
        spectral_bpm=spectral_spread(spectral_signs(bvp, fs, band), band),
        mc_sd_bpm=mc_sd_bpm,
        colours=() if rgb is None else rhythms(rgb, fs, hr_bpm, band),
    )
