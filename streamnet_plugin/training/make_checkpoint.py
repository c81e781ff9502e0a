"""Makes the shipped checkpoint: render, train, measure, write weights and their model card.

python -m streamnet_plugin.training.make_checkpoint --out OUT --clips 700 --epochs 12
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamnet_plugin.classical import POS
from streamnet_plugin.data.synthetic import SETUPS, SynthSettings
from streamnet_plugin.data.synthetic.head import N_HEADS
from streamnet_plugin.errors import NoResultError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.model.checkpoint import save_checkpoint
from streamnet_plugin.model.method import STREAMNetMethod
from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.training.loop import EpochReport, Listener, Validation, fit
from streamnet_plugin.training.recipe import TrainSettings
from streamnet_plugin.training.synthetic_clips import (
    HELD_OUT_HEADS,
    ClipDataset,
    load_video,
    random_settings,
    render_many,
)
from streamnet_plugin.types import FaceVideo, Method, Recording

log = logging.getLogger(__name__)
TEST_SEED = 1_000_000
"""Seeds from here on are never trained on."""


def test_settings(per_setup: int) -> list[SynthSettings]:
    """Held-out heads: every motion setup, the skin tones in turn, moderate camera and light."""
    return [
        SynthSettings(
            seed=TEST_SEED + 100 * number + i,
            head=HELD_OUT_HEADS[i % len(HELD_OUT_HEADS)],
            skin_tone=1 + i % 6,
            motion=name,
            light=0.8,
            illumination_drift=0.02,
            noise=2.0,
        )
        for number, name in SETUPS.items()
        for i in range(per_setup)
    ]


def measure(method: Method, settings: Sequence[SynthSettings], paths: Sequence[Path]) -> Any:
    """MAE in bpm (refined HR, whole clip) overall, per motion setup and per skin tone."""
    band = get_convention("toolbox-2025").band
    errors: dict[str, list[float]] = defaultdict(list)
    for s, path in zip(settings, paths, strict=True):
        frames, bvp = load_video(path)
        recording = Recording("synthetic", path.stem, str(s.head), path)
        video = FaceVideo(recording, frames, s.fs, bvp, (0, 0, 0, 0), path.stem)
        try:
            read = method.predict(video)
        except NoResultError:
            errors["no result"].append(float("nan"))
            continue
        hr = [
            refined_hr(clean_bvp(x, s.fs, *band, differential), s.fs, band)
            for x, differential in ((read.bvp, read.differential), (bvp, False))
        ]
        for group in ("all", f"motion {s.motion}", f"skin tone {s.skin_tone}"):
            errors[group].append(abs(hr[0] - hr[1]))
    return {
        group: {"mae_bpm": round(float(np.mean(e)), 2), "clips": len(e)}
        for group, e in sorted(errors.items())
    }


def model_card(metadata: dict[str, Any]) -> str:
    """Markdown that says what the weights were trained on and how they did."""
    net, pos = metadata["test"]["STREAMNet"], metadata["test"]["POS"]
    rows = [
        f"| {group} | {net[group]['clips']} | {net[group]['mae_bpm']:.2f} "
        f"| {pos.get(group, {}).get('mae_bpm', float('nan')):.2f} |"
        for group in net
    ]
    t = metadata["training"]
    return "\n".join(
        [
            "# Model card: STREAM-Net, 36 px, synthetic",
            "",
            "**These weights have seen no real face.** They exist so that the software runs end",
            "to end out of the box, and to start experiments from. For research; not a medical",
            "device.",
            "",
            f"- Network: STREAM-Net, {metadata['parameters']:,} parameters, segments of 10 frames.",
            f"- Training data: {t['clips']} synthetic recordings of {t['duration_s']:g} s from",
            "  this package's generator: drawn heads 0-17 of 24, six skin tones, the six motion",
            "  setups of PURE, HR 40-180 bpm, varied light, sensor noise and pulse strength.",
            f"- Training: {t['epochs']} epochs, AdamW, one-cycle learning rate up to"
            f" {t['learning_rate']:g},",
            "  mean squared error plus 1 - Pearson, seed"
            f" {t['seed']}, {t['minutes']:.0f} minutes on {t['threads']} CPU threads.",
            "- Test data: synthetic recordings of heads 18-23, which training never saw; 20 s",
            "  each, same generator, so an upper bound of what to expect on anything else.",
            "- Known failures: everything the generator does not draw, e.g. glasses, beards,",
            "  occlusion, compression artefacts, outdoor light, several people.",
            "",
            "Mean absolute error of HR in bpm (refined HR, whole clip):",
            "",
            "| group | clips | STREAM-Net | POS |",
            "|---|---|---|---|",
            *rows,
            "",
            "Made by `python -m streamnet_plugin.training.make_checkpoint"
            f" --clips {t['clips_asked']} --epochs {t['epochs']} --duration {t['duration_s']:g}`.",
            "",
        ]
    )


def main() -> None:
    """Run the whole recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and card")
    parser.add_argument("--work", type=Path, required=True, help="folder for rendered clips")
    parser.add_argument("--clips", type=int, default=700)
    parser.add_argument("--duration", type=float, default=12.0, help="s per training clip")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--test-per-setup", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--float32", action="store_true", help="do not compute in bfloat16")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    size = 36
    heads = [h for h in range(N_HEADS) if h not in HELD_OUT_HEADS]
    asked = [random_settings(i, heads, args.duration) for i in range(args.clips)]
    train_paths = render_many(asked, args.work, size, args.jobs)
    test_set = test_settings(args.test_per_setup)
    pairs = [(s, render_many([s], args.work, size, 1)) for s in test_set]
    kept = [(s, p[0]) for s, p in pairs if p]
    log.info("%d training and %d test clips rendered", len(train_paths), len(kept))
    torch.manual_seed(args.seed)
    model = STREAMNet(STREAMNetConfig(size, size)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = TrainSettings(
        epochs=args.epochs,
        learning_rate=args.learning_rate,
        loss="both",
        precision="float32" if args.float32 else "bfloat16",
        seed=args.seed,
    )
    metadata: dict[str, Any] = {
        "image_size": size,
        "segment_length": model.config.segment_length,
        "parameters": sum(p.numel() for p in model.parameters()),
        "training": {
            "data": "synthetic, streamnet_plugin.data.synthetic",
            "clips_asked": args.clips,
            "clips": len(train_paths),
            "duration_s": args.duration,
            "epochs": args.epochs,
            "learning_rate": args.learning_rate,
            "seed": args.seed,
            "threads": torch.get_num_threads(),
        },
    }
    weights = args.out / "streamnet_36px_synthetic.safetensors"
    start = time.monotonic()

    class Keep(Listener):
        def after_epoch(self, report: EpochReport, validation: Validation | None) -> None:
            loss = round(report.train_loss, 4)
            metadata["training"] |= {"epochs_done": report.epoch + 1, "loss": loss}
            save_checkpoint(model, weights, metadata)

    clips = ClipDataset([load_video(p) for p in train_paths])
    fit(model, clips, settings, listener=Keep())
    metadata["training"]["minutes"] = (time.monotonic() - start) / 60
    chosen, paths = [s for s, _ in kept], [p for _, p in kept]
    metadata["test"] = {
        "STREAMNet": measure(STREAMNetMethod(weights), chosen, paths),
        "POS": measure(POS, chosen, paths),
    }
    save_checkpoint(model, weights, metadata)
    (args.out / "MODEL_CARD.md").write_text(model_card(metadata), encoding="utf-8")
    log.info("test: %s", metadata["test"])


if __name__ == "__main__":
    main()
