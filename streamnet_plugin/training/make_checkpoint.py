"""Makes a shipped checkpoint: render, train, measure, write weights and their model card.

    python -m streamnet_plugin.training.make_checkpoint --work WORK --out OUT

Run it again to go on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from streamnet_plugin.atomic import write_text
from streamnet_plugin.data.datasets import dataset_fingerprint
from streamnet_plugin.errors import CheckpointError, ConfigError, StreamnetError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.model.checkpoint import (
    SIDES,
    file_hash,
    load_checkpoint,
    save_checkpoint,
)
from streamnet_plugin.model.method import usable_device
from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig
from streamnet_plugin.progress import Bars
from streamnet_plugin.registry import get_method
from streamnet_plugin.report.provenance import git_commit
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.training.augment import Augment
from streamnet_plugin.training.clips import VideoClips
from streamnet_plugin.training.loop import fit
from streamnet_plugin.training.recipe import TrainSettings
from streamnet_plugin.training.state import StateFolder
from streamnet_plugin.training.synthetic_clips import (
    HELD_OUT_MOTIONS,
    TEST_HEADS,
    held_out_settings,
    rendered,
    training_settings,
    validation_settings,
)
from streamnet_plugin.training.tracking import BEST, Recorder, RunLog
from streamnet_plugin.training.validation import make_validate
from streamnet_plugin.types import FaceVideo, Method

log = logging.getLogger(__name__)
CLIP = 180
"""Frames of a training clip."""
SWAYING_TO_VALIDATE = 24
AUGMENT = Augment(flip=True, crop_jitter=0.06, shake=0.08, gain=0.1, noise=1.0, resample=0.1)
BAND = get_convention("toolbox-2025").band
BESIDE = ("POS", "CHROM", "GREEN")
"""Classical methods measured on the same recordings."""
YARDSTICK = "open-rppg:ME-chunk.rlap"
"""A network trained on real faces, measured beside where open-rppg is installed."""
YARDSTICK_PX = 72


def hr_errors(method: Method, videos: Iterable[FaceVideo]) -> dict[str, float | None]:
    """Absolute error in bpm of the refined HR of whole recordings, by id; None without result."""
    errors: dict[str, float | None] = {}
    for video in videos:
        try:
            read = method.predict(video)
        except StreamnetError as error:
            log.warning("%s on %s: %s", method.name, video.recording.id, error)
            errors[video.recording.id] = None
            continue
        assert video.bvp is not None  # synthetic recordings have labels
        hr, true = (
            refined_hr(clean_bvp(x, video.fs, *BAND, differential), video.fs, BAND)
            for x, differential in ((read.bvp, read.differential), (video.bvp, False))
        )
        errors[video.recording.id] = float(abs(hr - true)) if np.isfinite(hr) else None
    return errors


def by_group(
    errors: dict[str, float | None], videos: Sequence[FaceVideo]
) -> dict[str, dict[str, Any]]:
    """MAE, median error and share within 5 bpm overall, per motion and per skin tone."""
    groups: dict[str, list[float | None]] = defaultdict(list)
    for video in videos:
        error = errors[video.recording.id]
        groups["all"].append(error)
        for kind, value in video.recording.groups.items():
            groups[f"{kind} {value}"].append(error)
    found = {}
    for name, all_of in sorted(groups.items()):
        known = [e for e in all_of if e is not None]
        found[name] = {
            "recordings": len(all_of),
            "no_result": len(all_of) - len(known),
            "mae_bpm": round(float(np.mean(known)), 2) if known else None,
            "median_bpm": round(float(np.median(known)), 2) if known else None,
            "within_5_bpm": round(sum(e <= 5 for e in known) / len(all_of), 3),
        }
    return found


def model_card(metadata: dict[str, Any]) -> str:
    """Markdown that says what the weights were trained on, how they did, and where they fail."""
    t, size = metadata["training"], metadata["image_size"]
    methods = list(metadata["test"])
    return "\n".join(
        [
            f"# Model card: STREAM-Net, {size} px, synthetic",
            "",
            "**These weights have seen no real face.** They exist so that the software runs end",
            "to end out of the box, and to start experiments from. For research; not a medical",
            "device. Licence: MIT, as the package.",
            "",
            f"- Network: STREAM-Net, {metadata['parameters']:,} parameters, {size} x {size} px,",
            "  segments of 10 frames.",
            *_training_text(metadata),
            f"- Test data: {metadata['test_recordings']} recordings of {t['test_duration_s']:g} s"
            f" of {len(TEST_HEADS)} heads and a camera that training never",
            f"  saw; {' and '.join(HELD_OUT_MOTIONS)} are motions that training never saw either.",
            "  (Looking around, nodding, that third, a longer training and swaying came after",
            "  networks without them had been seen to fail there or on photographs; the test was",
            "  drawn anew each time. Camera shake came after photographs alone: the test is that",
            "  of the weights before it.)",
            "  The same generator drew them: expect no more than these figures anywhere else.",
            "- Known failures: what the generator does not draw, e.g. hands before the face,",
            "  outdoor light, video codecs, several people; some heads that sway fast and wide",
            "  (README, on photographs); and where the table says so.",
            "",
            "MAE in bpm (refined HR, whole recordings; in brackets recordings without a result):",
            "",
            "| group | recordings | " + " | ".join(methods) + " |",
            "|---|---|" + "---|" * len(methods),
            *_rows(metadata["test"], methods),
            "",
            *_yardstick_text(methods),
            *_origin(metadata),
            "",
        ]
    )


SWAYING_HEADS = "of them of heads that sway at random, fast and wide, most of them"


def _training_text(metadata: dict[str, Any]) -> list[str]:
    t, (first, *later) = metadata["training"], [part["training"] for part in _history(metadata)]
    lines = [
        f"- Training data: {first['recordings']} synthetic recordings of {t['duration_s']:g} s",
        "  from this package's generator: other heads than the test's, six skin tones, glasses",
        "  and beards in part, the six motion setups of PURE, bobbing, looking around and nodding,",
        "  HR 40-180 bpm, webcams of several sizes, colours, tone curves, noise, JPEG quality and",
        "  timing. A third shows the two darkest skin tones in talk, nodding, looking around,",
        "  bobbing or turning.",
    ]
    if first.get("swaying"):
        lines += [f"  {first['swaying']} {SWAYING_HEADS}", "  before a cluttered room."]
    lines += [f"- Training: {_stage(first)}."]
    for part in later:
        lines += [
            f"- Then, from there: {_stage(part)}.",
            f"  They are of {part['recordings']} recordings, {part['swaying']} {SWAYING_HEADS}",
            "  before a cluttered room, and the others of the kinds above.",
        ]
    best = f"(number {metadata['epoch'] + 1}), by the loss on"
    return [
        *lines,
        f"- The best of the {'last ' * bool(later)}epochs is taken {best}",
        f"  {t['validation']} other recordings.",
    ]


def _history(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """What is known of each training in turn, the first one from random weights."""
    start = metadata.get("start")
    return [*(_history(start) if start else []), metadata]


def _stage(t: dict[str, Any]) -> str:
    shaking = "camera shake in half of the clips, " if t["augment"].get("shake") else ""
    return (
        f"{t['epochs']} epochs of {t['clips']} clips of {CLIP} frames, AdamW,\n"
        f"  one-cycle learning rate up to {t['learning_rate']:g}, mean squared error plus\n"
        f"  1 - Pearson, {t['precision']}, seed {t['seed']}; augmented by mirroring, shift,\n"
        f"  {shaking}gain, noise and resampling in time"
    )


def _origin(metadata: dict[str, Any]) -> list[str]:
    lines = [f"Made by `{metadata['command']}` at commit {metadata['git_commit']}."]
    *before, _ = _history(metadata)
    for which, part in zip(("START", *["Its own START"] * len(before)), before[::-1], strict=False):
        lines.append(
            f"{which}, SHA-256 {part['sha256']}, was made by `{part['command']}` at commit "
            f"{part['git_commit']}."
        )
    return lines


def _rows(test: dict[str, Any], methods: Sequence[str]) -> Iterator[str]:
    for group, row in test[methods[0]].items():
        cells = []
        for method in methods:
            found = test[method][group]
            mae = "none" if found["mae_bpm"] is None else f"{found['mae_bpm']:.2f}"
            cells.append(mae + (f" ({found['no_result']})" if found["no_result"] else ""))
        yield f"| {group} | {row['recordings']} | " + " | ".join(cells) + " |"


def _yardstick_text(methods: Sequence[str]) -> list[str]:
    if YARDSTICK not in methods:
        return []
    return [
        f"`{YARDSTICK}` was trained on real faces and stands beside as a yardstick: what a",
        "network that never saw this generator reads from its pictures.",
        "",
    ]


def main() -> None:
    """Run the whole recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of crops and training")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and card")
    parser.add_argument("--size", type=int, default=36, help="px of the crops")
    parser.add_argument("--recordings", type=int, default=600, help="to train on, 12 s each")
    parser.add_argument("--swaying", type=int, default=0, help="more to train on, of such heads")
    parser.add_argument("--start", type=Path, help="weights to begin with, in place of random ones")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="bfloat16 is faster where the processor multiplies it natively",
    )
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2, help="of the test, 72 recordings each")
    parser.add_argument("--jobs", type=int, default=2, help="recordings rendered at a time")
    parser.add_argument("--device", default="cpu", help="to train on, e.g. cuda:0")
    parser.add_argument("--workers", type=int, default=0, help="processes that load clips")
    parser.add_argument(
        "--only",
        choices=("train", "measure"),
        help="train where there is a GPU, and measure the weights in OUT elsewhere",
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    try:
        if args.only != "measure":
            with Bars(Console(stderr=True)) as bars:
                train_checkpoint(args, bars)
        if args.only == "train":
            return
        measured = measure(args)
        write_text(weights_path(args).with_suffix(".md"), model_card(measured), "the model card")
    except StreamnetError as error:
        parser.exit(2, f"error: {error}\n")
    log.warning("test: %s", json.dumps(measured["test"], indent=1))


def train_checkpoint(args: argparse.Namespace, bars: Bars) -> None:
    """Train, or go on training, by the command's options; write the best epoch's weights."""
    settings = TrainSettings(
        epochs=args.epochs,
        learning_rate=args.learning_rate,
        loss="both",
        precision=args.precision,
        clip_norm=5.0,
        select_by="loss",
        seed=args.seed,
        workers=args.workers,
    )
    torch.manual_seed(args.seed)
    model, start = begun(args)
    crops = args.work / "clips"
    sets = {
        "train": training_settings(args.recordings, swaying=args.swaying),
        "valid": validation_settings(swaying=min(args.swaying, SWAYING_TO_VALIDATE)),
    }
    videos = {
        name: rendered(s, crops / name, [args.size], args.jobs)[args.size]
        for name, s in sets.items()
    }
    clips = VideoClips(videos["train"], CLIP, augment=AUGMENT, seed=args.seed)
    validate = make_validate(
        VideoClips(videos["valid"], CLIP), settings.loss, batch=4, fs=30.0, band=BAND
    )
    print_ = dataset_fingerprint([*videos["train"], *videos["valid"]])
    recipe = {key: value for key, value in asdict(settings).items() if key != "workers"}
    identity = {"settings": recipe, "augment": asdict(AUGMENT), "data": print_}
    if start:
        identity["start"] = start["sha256"]
    folder = args.work / f"training-{args.size}px"
    recorder = Recorder(
        model,
        folder,
        RunLog(folder, 30.0),
        args.epochs,
        lambda report: {"epoch": report.epoch, "valid_hr_mae_bpm": report.valid_hr_mae},
        bars,
    )
    began = time.monotonic()
    with recorder:
        fit(
            model.to(usable_device(args.device)).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            clips,
            settings,
            validate=validate,
            states=StateFolder(
                folder / "state", identity, remedy="restore them, or give another folder (--work)."
            ),
            listener=recorder,
        )
    log.info("trained for %.0f minutes", (time.monotonic() - began) / 60)
    used = {name: len(part) for name, part in videos.items()}
    _finish(args, folder, settings, used, len(clips), print_, start)


def begun(args: argparse.Namespace) -> tuple[STREAMNet, dict[str, Any]]:
    """The network to train, and where its first weights are from, if they are not random.

    Raises:
        CheckpointError: `args.start` is none of this command's weights, or of another size.
        ConfigError: it is the file that the new weights would be written to.
    """
    if args.start is None:
        return STREAMNet(STREAMNetConfig(args.size, args.size)), {}
    if args.start.resolve() == weights_path(args).resolve():
        raise ConfigError(
            "the new weights would be written over the ones to begin with",
            path=args.start,
            remedy="give another folder with --out, or begin with a copy.",
        )
    model, told = load_checkpoint(args.start, stated=dict.fromkeys(SIDES, args.size))
    if "command" not in told:
        raise CheckpointError(
            "it does not say how it was made",
            path=args.start,
            remedy="begin with weights that this command made.",
        )
    known = ("command", "git_commit", "training", "start")
    start: dict[str, Any] = {key: told[key] for key in known if key in told}
    return model, {"sha256": file_hash(args.start), **start}


def _finish(
    args: argparse.Namespace,
    folder: Path,
    settings: TrainSettings,
    used: dict[str, int],
    clips: int,
    data: str,
    start: dict[str, Any],
) -> None:
    """Write the best epoch's network to `args.out` with all that is known but the test."""
    model, told = load_checkpoint(folder / BEST)
    metadata = {
        **told,
        "image_size": args.size,
        "segment_length": model.config.segment_length,
        "parameters": sum(p.numel() for p in model.parameters()),
        "git_commit": git_commit(),
        "command": "python -m streamnet_plugin.training.make_checkpoint "
        f"--work WORK --out OUT --size {args.size} --recordings {args.recordings} "
        + f"--swaying {args.swaying} " * (args.swaying > 0)
        + "--start START " * bool(start)
        + f"--epochs {args.epochs} --learning-rate {args.learning_rate:g} "
        f"--precision {args.precision} --seed {args.seed} --rounds {args.rounds}"
        + f" --device {args.device}"
        * (args.device != "cpu"),
        "training": {
            "data": "synthetic, streamnet_plugin.training.synthetic_clips",
            "fingerprint": data,
            "recordings": used["train"],
            "swaying": args.swaying,
            "duration_s": 12.0,
            "clips": clips,
            "validation": used["valid"],
            "test_duration_s": 20.0,
            "augment": asdict(AUGMENT),
            **asdict(settings),
        },
        **({"start": start} if start else {}),
    }
    save_checkpoint(model, weights_path(args), metadata)


def weights_path(args: argparse.Namespace) -> Path:
    """Where the weights are written."""
    return Path(args.out) / f"streamnet_{args.size}px_synthetic.safetensors"


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Errors of the network, the classical methods and the yardstick on the held-out test."""
    sizes = sorted({args.size, YARDSTICK_PX})
    videos = rendered(
        held_out_settings(args.rounds), args.work / "clips" / "test", sizes, args.jobs
    )
    path = weights_path(args)
    methods: dict[str, tuple[Method, int]] = {
        "STREAMNet": (get_method("STREAMNet", checkpoint=path), args.size),
        **{name: (get_method(name), args.size) for name in BESIDE},
    }
    try:
        methods[YARDSTICK] = get_method(YARDSTICK), YARDSTICK_PX
    except StreamnetError as error:
        log.warning("%s is not measured: %s", YARDSTICK, error)
    test = {}
    for name, (method, size) in methods.items():
        test[name] = by_group(hr_errors(method, videos[size]), videos[size])
    model, metadata = load_checkpoint(path)
    metadata |= {"test": test, "test_recordings": len(videos[args.size])}
    save_checkpoint(model, path, metadata)
    return metadata


if __name__ == "__main__":
    main()
