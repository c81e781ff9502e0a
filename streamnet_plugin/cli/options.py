"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AllowFailures = Annotated[
    bool, typer.Option("--allow-failures", help="Exit 0 even if some videos failed.")
]
DataRoot = Annotated[
    list[str] | None,
    typer.Option(
        "--data-root",
        metavar="[NAME=]PATH",
        help="Dataset folder; overrides DATA_PATH. With several datasets: NAME=PATH for each "
        "(repeatable), or the folder that holds one folder per dataset.",
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="KEY=VALUE, e.g. EVALUATION.CONVENTION=neurips-2023")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Results folder; never overwritten.")]
Report = Annotated[
    bool | None,
    typer.Option(help="Write report.html, which opens offline; default: if plots are drawn."),
]
Baseline = Annotated[
    str | None,
    typer.Option("--baseline", help="Test every method against this one; default: every pair."),
]
CalibratorPath = Annotated[
    Path | None,
    typer.Option(
        "--calibrator",
        help="Intervals from a file of `streamnet calibrate`; default: every subject's from the "
        "other subjects.",
    ),
]
TargetMae = Annotated[
    float | None,
    typer.Option("--target-mae", help="Withhold windows until the others have this MAE, bpm."),
]
Keep = Annotated[
    float | None,
    typer.Option("--keep", help="Withhold the most unsure windows until this share is left, 0-1."),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Work on this Dask scheduler's cluster; default: $DASK_SCHEDULER_ADDRESS, or here.",
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="What computes STREAM-Net: torch, compile (torch.compile), onnxruntime or openvino "
        "(extras onnx, openvino). Default: torch.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="Of STREAM-Net: float32, bfloat16, or auto (bfloat16 where it is fast). Default: "
        "float32.",
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Videos preprocessed at a time.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown.")]
CropSize = Annotated[
    int | None,
    typer.Option("--size", min=1, help="Crops of so many px in all sections; default: the YAML's."),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="Weights to test; default: those of the protocol's training."),
]
Folders = Annotated[
    list[Path], typer.Argument(metavar="RESULTS...", help="Results folders, scored alike.")
]
Protocol = Annotated[str, typer.Argument(help="A YAML, or the name of a shipped one.")]
ProtocolOrDemo = Annotated[str, typer.Argument(help="A YAML, or a shipped one.")]
Plots = Annotated[bool, typer.Option(help="Draw the plots.")]
MethodName = Annotated[str, typer.Option("--method", "-m", help="See `streamnet methods`.")]
FileRate = Annotated[
    float | None, typer.Option("--fps", help="Frame rate, where the file does not say it.")
]
NetworkWeights = Annotated[
    Path | None, typer.Option("--weights", help="Network weights; default: the shipped ones.")
]
ConventionName = Annotated[
    str, typer.Option("--convention", help="HR band: toolbox-2025 or neurips-2023.")
]
Subjects = Annotated[
    Path | None,
    typer.Option(
        "--subjects",
        metavar="FILE",
        help="CSV with the columns recording and subject, where sources do not say whom they show; "
        "other columns are groups.",
    ),
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help="What sources that do not say it were read from, e.g. UBFC-rPPG or PURE: compares "
        "with published results.",
    ),
]
ScoredWindow = Annotated[
    float | None, typer.Option("--window", help="Window length in s; default: whole video.")
]
HrBy = Annotated[str, typer.Option("--hr", help="FFT or Peak.")]
