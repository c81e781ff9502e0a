"""`streamnet synth`: recordings with a known pulse in the datasets' formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamnet_plugin.cli.base import progress_bars, report_failures, synth_app
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.wording import count

Seed = Annotated[int, typer.Option(help="Of everything random; the same gives the same data.")]
Seconds = Annotated[float, typer.Option(help="Length of each recording in s.")]
Fps = Annotated[float, typer.Option("--fps", help="Frame rate, Hz.")]
Motion = Annotated[str, typer.Option(help="steady, talking, slow_translation, swaying, ...")]
MotionScale = Annotated[float, typer.Option(help="1 moves as in PURE, 0 not at all.")]
Tone = Annotated[int | None, typer.Option(help="Fitzpatrick type 1-6; default: drawn.")]
Light = Annotated[float, typer.Option(help="1 is good light, 0.4 weak.")]
Drift = Annotated[float, typer.Option(help="Relative size of slow changes of the light.")]
Flicker = Annotated[float, typer.Option(help="Relative size of fast changes of the light.")]
FlickerHz = Annotated[float, typer.Option(help="Rate of that flicker; 0: at random.")]
Clutter = Annotated[float, typer.Option(help="Of the room behind: 0 a wall, 1 full of things.")]
Noise = Annotated[float, typer.Option(help="Sensor noise, 8-bit levels.")]
Pulse = Annotated[float, typer.Option(help="Strength of the pulse; 1 is normal, 0 a doll.")]
HeartRate = Annotated[float | None, typer.Option("--hr", help="Mean HR; default: drawn.")]
Size = Annotated[str, typer.Option(help="WIDTHxHEIGHT in px.")]


def _width_height(size: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in size.lower().split("x"))
    except ValueError as error:
        raise ConfigError(
            f"the size {size!r} is not of the form WIDTHxHEIGHT", remedy="use e.g. 640x480."
        ) from error
    return width, height


def _setups(text: str) -> tuple[int, ...]:
    from streamnet_plugin.data.synthetic.motion import SETUPS

    known = {str(setup): setup for setup in SETUPS}
    chosen = [part.strip() for part in text.split(",")]
    if not set(chosen) <= set(known):
        raise ConfigError(f"the setups {text!r} are not all among 1 to 6", remedy="give e.g. 1,3.")
    return tuple(dict.fromkeys(known[part] for part in chosen))


@synth_app.command("ubfc")
def synth_ubfc(
    out: Annotated[Path, typer.Argument(help="Folder for subject1, subject2, ...")],
    subjects: Annotated[int, typer.Option(min=1)] = 4,
    seed: Seed = 0,
    seconds: Seconds = 20.0,
    fps: Fps = 30.0,
    size: Size = "640x480",
    motion: Motion = "steady",
    motion_scale: MotionScale = 1.0,
    skin_tone: Tone = None,
    light: Light = 1.0,
    drift: Drift = 0.01,
    flicker: Flicker = 0.001,
    flicker_hz: FlickerHz = 0.0,
    clutter: Clutter = 0.0,
    noise: Noise = 1.5,
    pulse: Pulse = 1.0,
    hr: HeartRate = None,
    codec: Annotated[str, typer.Option(help="raw (as the real set) or mjpg (small).")] = "raw",
    quality: Annotated[int, typer.Option(help="JPEG quality of mjpg, 1-100.")] = 95,
    part: Annotated[int, typer.Option(min=1, max=2, help="DATASET_1 or DATASET_2.")] = 2,
) -> None:
    """Write recordings in the UBFC-rPPG format; those already there are kept.

    Examples:

        streamnet synth ubfc twin --subjects 10 --motion talking --codec mjpg

        streamnet synth ubfc bad-light --light 0.5 --drift 0.05 --codec mjpg --quality 60
    """
    from streamnet_plugin.data.synthetic.writers import write_ubfc_set

    if codec not in ("raw", "mjpg"):
        raise ConfigError(f"unknown codec {codec!r}", remedy="use raw or mjpg.")
    width, height = _width_height(size)
    with progress_bars() as bars:
        bars.start("Recordings", subjects)
        write_ubfc_set(
            out,
            subjects,
            seed,
            "raw" if codec == "raw" else "mjpg",
            part,
            bars.step,
            quality,
            duration_s=seconds,
            fs=fps,
            width=width,
            height=height,
            motion=motion,
            motion_scale=motion_scale,
            skin_tone=skin_tone,
            light=light,
            illumination_drift=drift,
            flicker=flicker,
            flicker_hz=flicker_hz,
            clutter=clutter,
            noise=noise,
            pulse=pulse,
            hr_bpm=hr,
        )
    typer.echo(f"{count(subjects, 'recording')} in {out}")


@synth_app.command("pure")
def synth_pure(
    out: Annotated[Path, typer.Argument(help="Folder for 01-01, 01-02, ...")],
    subjects: Annotated[int, typer.Option(min=1)] = 2,
    seed: Seed = 0,
    seconds: Seconds = 20.0,
    fps: Fps = 30.0,
    setups: Annotated[str, typer.Option(help="PURE's setups, e.g. 1,3.")] = "1,2,3,4,5,6",
    size: Size = "640x480",
    motion_scale: MotionScale = 1.0,
    skin_tone: Tone = None,
    light: Light = 1.0,
    drift: Drift = 0.01,
    flicker: Flicker = 0.001,
    flicker_hz: FlickerHz = 0.0,
    clutter: Clutter = 0.0,
    noise: Noise = 1.5,
    pulse: Pulse = 1.0,
    hr: HeartRate = None,
) -> None:
    """Write recordings in the PURE format, all six setups; those already there are kept.

    Example:

        streamnet synth pure twin --subjects 10 --setups 1,4
    """
    from streamnet_plugin.data.synthetic.writers import write_pure_set

    chosen = _setups(setups)
    width, height = _width_height(size)
    with progress_bars() as bars:
        bars.start("Recordings", subjects * len(chosen))
        write_pure_set(
            out,
            subjects,
            seed,
            chosen,
            bars.step,
            duration_s=seconds,
            fs=fps,
            width=width,
            height=height,
            motion_scale=motion_scale,
            skin_tone=skin_tone,
            light=light,
            illumination_drift=drift,
            flicker=flicker,
            flicker_hz=flicker_hz,
            clutter=clutter,
            noise=noise,
            pulse=pulse,
            hr_bpm=hr,
        )
    typer.echo(f"{count(subjects * len(chosen), 'recording')} in {out}")


@synth_app.command("photos")
def synth_photos(
    photographs: Annotated[Path, typer.Argument(help="Folder of pictures, each with a face.")],
    out: Annotated[Path, typer.Argument(help="Folder for subject1, subject2, ...")],
    seed: Seed = 0,
    seconds: Seconds = 20.0,
    fps: Fps = 30.0,
    size: Size = "320x240",
    sway: Annotated[float, typer.Option(help="Of the head, SD in widths of the face.")] = 0.025,
    sway_s: Annotated[float, typer.Option(help="Time constant of that sway, s.")] = 0.5,
    drift: Drift = 0.01,
    noise: Noise = 1.5,
    pulse: Pulse = 1.0,
    hr: HeartRate = None,
) -> None:
    """Give photographs of faces a known pulse, in the UBFC-rPPG format.

    One recording of every picture; those that cannot be used are named, and the exit code is 1.

    Example:

        streamnet synth photos portraits moving --sway 0.1 --sway-s 0.25
    """
    from streamnet_plugin.data.synthetic.photographs import PhotoSettings, find_photographs
    from streamnet_plugin.data.synthetic.writers import write_photograph_set
    from streamnet_plugin.report.results import FailureRow

    width, height = _width_height(size)
    found = len(find_photographs(photographs))
    with progress_bars() as bars:
        bars.start("Photographs", found)
        failures = write_photograph_set(
            photographs,
            out,
            PhotoSettings(
                seed=seed,
                duration_s=seconds,
                fs=fps,
                width=width,
                height=height,
                hr_bpm=hr,
                pulse=pulse,
                sway=sway,
                sway_s=sway_s,
                drift=drift,
                noise=noise,
            ),
            bars.step,
        )
    typer.echo(f"{count(found - len(failures), 'recording')} in {out}")
    report_failures(
        [FailureRow(name, str(e.path), e.what, e.remedy) for name, e in failures.items()], False
    )
