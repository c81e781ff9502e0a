"""The benchmark: videos -> face crops -> every method -> one table with its provenance."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from socket import gethostname
from typing import Any

import numpy as np
from joblib import delayed

from streamnet_plugin.analysis import analyse_run
from streamnet_plugin.backends import BUILTIN, foreign_backend
from streamnet_plugin.checks import check_config
from streamnet_plugin.cluster import current_client
from streamnet_plugin.config import Config, Data, load_config
from streamnet_plugin.data.cache import SHARE, by_reference, opened
from streamnet_plugin.data.clips import chunk_name, label_of, split_clips
from streamnet_plugin.data.datasets import dataset_fingerprint, foreign_dataset
from streamnet_plugin.data.natural import natural_key
from streamnet_plugin.data.preprocess import (
    Alignment,
    PreprocessReport,
    PreprocessSettings,
    preprocess_all,
)
from streamnet_plugin.data.splits import check_split, write_split
from streamnet_plugin.data.synthetic.writers import DEMO_VERSION, demo_settings, write_demo
from streamnet_plugin.data_root import DataRoot, with_data_root
from streamnet_plugin.errors import ConfigError, DataError, OutputError, StreamnetError
from streamnet_plugin.evaluation.conventions import Convention, get_convention
from streamnet_plugin.evaluation.windows import HrMethod
from streamnet_plugin.leaks import subjects_by_section
from streamnet_plugin.parallel import processes
from streamnet_plugin.paths import cache_root
from streamnet_plugin.people import assumed_notes
from streamnet_plugin.progress import Reporter, Silent
from streamnet_plugin.registry import get_method, takes_option
from streamnet_plugin.report.provenance import provenance
from streamnet_plugin.report.results import BenchmarkResults, FailureRow, MethodSummary
from streamnet_plugin.report.writer import check_writable, n_files, write_results
from streamnet_plugin.scoring import WaveformPair, nothing_read, plot_waveform, save_pairs, score
from streamnet_plugin.sections import recordings_of
from streamnet_plugin.types import FaceVideo, Method, Prediction
from streamnet_plugin.uncertainty.calibration import (
    Wanted,
    check_fits,
    load_calibrators,
    with_uncertainty,
)
from streamnet_plugin.uncertainty.mc_dropout import Sampled, can_be_sampled, cannot_be_sampled
from streamnet_plugin.wording import count, some

log = logging.getLogger(__name__)
DEMO = "demo"
SPLIT = "split.json"
"""In the results folder: who was in which section of the protocol."""
SEEN = "was trained on"
"""A note on weights that may have seen the test data: the method's name, this, and what."""


@dataclass(frozen=True)
class Prepared:
    """Face crops of a protocol's test data: every recording is in `videos` or in `failures`."""

    videos: tuple[FaceVideo, ...]
    failures: tuple[FailureRow, ...]
    cache: Path


@dataclass(frozen=True)
class Scoring:
    """How waveforms become numbers; `window_s` None takes whole videos.

    Attributes:
        uncertainty: how intervals are calibrated and windows withheld.
        baseline: the method that the others are compared with; None compares every pair.
    """

    convention: Convention
    hr_method: HrMethod = "FFT"
    window_s: float | None = None
    uncertainty: Wanted = field(default_factory=Wanted)
    baseline: str | None = None

    @property
    def window(self) -> str:
        """The windows in words."""
        return "whole videos" if self.window_s is None else f"{self.window_s:g} s windows"


@dataclass(frozen=True)
class BenchmarkRun:
    """What `benchmark` found, and where it is written (None if it is not)."""

    results: BenchmarkResults
    folder: Path | None


def benchmark(
    config: str | Path | Config = "benchmark/demo",
    *,
    overrides: Sequence[str] = (),
    data_root: DataRoot | None = None,
    output: str | Path | None = "streamnet-results",
    methods: Sequence[str] | None = None,
    jobs: int = 2,
    plots: bool = True,
    report: bool | None = None,
    backend: str = "builtin",
    checkout: str | Path | None = None,
    progress: Reporter | None = None,
) -> BenchmarkRun:
    """Compare methods on one dataset.

    Args:
        config: a YAML, the name of a shipped one, or a parsed one.
        overrides: `KEY=VALUE` strings.
        data_root: the dataset's folder, or one for each dataset by name; overrides DATA_PATH.
        output: results folder; if it exists, `-2`, `-3`, ... is appended. None writes nothing.
        methods: names; None takes the configuration's.
        jobs: videos preprocessed at a time.
        plots: whether to draw files of their own.
        report: whether to write report.html; None if plots are drawn.
        backend: "builtin", or a foreign one such as "toolbox"; that takes a YAML, and no methods.
        checkout: of a foreign backend's toolbox; None for what its environment variable names.
        progress: hears of every step.

    Raises:
        ConfigError: the configuration cannot work; lists every problem found.
        DataError: no video could be used at all; names the first reason.
        OutputError: cache or results cannot be written.
    """
    progress = progress or Silent()
    if backend != BUILTIN:
        if methods or isinstance(config, Config):
            raise ConfigError(
                f"the backend {backend!r} takes a YAML, and the methods that it names",
                remedy="set MODEL.NAME or UNSUPERVISED.METHOD in it.",
            )
        done: BenchmarkRun = foreign_backend(backend)(
            config,
            checkout=checkout,
            overrides=overrides,
            data_root=data_root,
            output=output,
            plots=plots,
            report=report,
            progress=progress,
        )
        return done
    parsed = config if isinstance(config, Config) else load_config(config, overrides)
    parsed = with_data_root(parsed, data_root)
    if methods:
        parsed = with_methods(parsed, methods)
    problems = list(check_config(parsed, "builtin"))
    if problems:
        raise ConfigError("; ".join(problems))
    scoring = scoring_of(parsed)
    if output is not None:
        check_writable(output)  # before minutes are spent on results
    chosen = [make_method(name, parsed) for name in parsed.methods]
    check_baseline(scoring.baseline, [method.name for method in chosen])
    prepared = prepare(parsed, jobs=jobs, progress=progress)
    split = subjects_by_section(parsed.sections, _test_section(parsed), prepared.videos)
    check_split(split)
    videos = _scored_videos(prepared.videos, parsed)
    pairs, failures, seconds = predict_all(chosen, videos, parsed, progress)
    demo = parsed.test_data.DATA_PATH == DEMO
    return report_pairs(
        pairs,
        title=("Synthetic demo, " if demo else "") + parsed.test_data.DATASET,
        scoring=scoring,
        failures=(*prepared.failures, *failures),
        provenance=provenance(
            parsed.model_dump(mode="json"),
            parsed.UNCERTAINTY.SEED,
            dataset_fingerprint(prepared.videos),
            {m.name: getattr(m, "provenance", {}) for m in chosen},
        ),
        seconds=seconds,
        notes=(
            *_notes(chosen, parsed.test_data, prepared.videos),
            *(_unsampled(chosen, pairs) if parsed.UNCERTAINTY.MC_SAMPLES else ()),
            *assumed_notes(pairs),
        ),
        split=split,
        output=output,
        plots=plots,
        report=report,
        progress=progress,
    )


def _test_section(config: Config) -> str:
    return "UNSUPERVISED" if config.TOOLBOX_MODE == "unsupervised_method" else "TEST"


def _notes(methods: Sequence[Method], data: Data, videos: Sequence[FaceVideo]) -> Iterator[str]:
    """What a reader of the table must know."""
    if data.DATA_PATH == DEMO:
        yield "Synthetic faces: no figure here says how a method does on people."
    for m in methods:
        if data.DATA_PATH != DEMO and getattr(m, "trained_on", None) == data.DATASET:
            yield f"{m.name} {SEEN} {data.DATASET}: it may have seen these very recordings."
        yield from _seen_before(m, data, videos)
        if changed := getattr(m, "metadata", {}).get("changed"):
            yield f"{m.name} {forced_note(changed)}"
    for video in videos:
        for note in video.notes:
            yield f"{video.recording.id}: {note}."


def forced_note(changed: Sequence[str]) -> str:
    """What weights say whose training was changed on its way, see `TrainRun.changed`."""
    return (
        "was trained with other settings, at first or all the time, and kept by force "
        f"({'; '.join(changed)})."
    )


def _unsampled(methods: Sequence[Method], pairs: Sequence[WaveformPair]) -> Iterator[str]:
    """The networks with dropout that Monte Carlo samples, which were asked for, are without."""
    with_samples = {pair.method for pair in pairs if pair.samples is not None}
    for m in methods:
        layers = ", ".join(cannot_be_sampled(m))
        if not layers:
            continue
        why = f"the dropout inside {layers}, which cannot be switched on alone."
        if isinstance(m, Sampled):
            yield f"{m.name}: its Monte Carlo samples are without {why}"
        elif m.name not in with_samples:  # whoever samples by himself knows his layers
            yield f"{m.name}: no Monte Carlo samples, as it has nothing but {why}"


def _seen_before(method: Method, data: Data, videos: Sequence[FaceVideo]) -> Iterator[str]:
    """People that weights of ours say they were trained on, and that are tested here."""
    told = getattr(method, "metadata", {})
    if told.get("trained_on") != data.DATASET:
        return
    seen = set(told.get("train_subjects", ())) & {v.recording.subject for v in videos}
    if seen:
        named = some(sorted(seen, key=natural_key))
        yield (
            f"{method.name} {SEEN} {count(len(seen), 'person', 'people')} of the test ({named}), "
            "if the names mean the same people: its figures say nothing of new people."
        )


def scoring_of(config: Config) -> Scoring:
    """The keys INFERENCE.EVALUATION_*, EVALUATION and UNCERTAINTY of a YAML.

    Raises:
        DataError, ConfigError: the calibrator file cannot be read, or is for other windows.
    """
    window, keys = config.INFERENCE.EVALUATION_WINDOW, config.UNCERTAINTY
    scoring = Scoring(
        convention=get_convention(config.EVALUATION.CONVENTION),
        hr_method="FFT" if config.INFERENCE.EVALUATION_METHOD == "FFT" else "Peak",
        window_s=float(window.WINDOW_SIZE) if window.USE_SMALLER_WINDOW else None,
        uncertainty=Wanted(
            calibrators=load_calibrators(keys.CALIBRATOR) if keys.CALIBRATOR else None,
            folds=keys.FOLDS or None,
            target_mae=keys.TARGET_MAE,
            keep=keys.KEEP,
            seed=keys.SEED,
        ),
        baseline=config.EVALUATION.BASELINE or None,
    )
    check_calibrator(scoring)
    return scoring


def check_calibrator(scoring: Scoring) -> None:
    """`ConfigError` where a calibrator is given that was made from other windows."""
    if scoring.uncertainty.calibrators is not None:
        check_fits(scoring.uncertainty.calibrators, str(scoring.convention), scoring.window)


def check_baseline(baseline: str | None, methods: Sequence[str]) -> None:
    """`ConfigError` where the methods are to be compared with one that is not among them."""
    if baseline is not None and baseline not in methods:
        raise ConfigError(
            f"the baseline {baseline!r} is none of the methods",
            remedy=f"set EVALUATION.BASELINE to one of {', '.join(methods)}.",
        )


def report_pairs(
    pairs: Sequence[WaveformPair],
    *,
    title: str,
    scoring: Scoring,
    failures: tuple[FailureRow, ...],
    provenance: Mapping[str, Any],
    seconds: Mapping[str, float] | None = None,
    notes: tuple[str, ...] = (),
    notes_of: Callable[[Sequence[MethodSummary]], Iterable[str]] = lambda summaries: (),
    split: Mapping[str, Sequence[str]] | None = None,
    output: str | Path | None = None,
    plots: bool = True,
    report: bool | None = None,
    progress: Reporter | None = None,
) -> BenchmarkRun:
    """Score waveforms and write a results folder; `output` None writes nothing.

    A recording in which a method has a result in no window is among the failures. `notes_of` makes
    more notes of the figures. `split`, the subjects of every section of the protocol, is kept
    beside the numbers.

    Raises:
        OutputError: the results cannot be written.
    """
    progress = progress or Silent()
    convention, window_s = scoring.convention, scoring.window_s
    progress.start("Scoring", 2)
    rows, summaries = score(pairs, convention, window_s, scoring.hr_method, seconds)
    rows, said = with_uncertainty(rows, scoring.uncertainty)
    known = {(f.method, f.dataset, f.recording) for f in failures}
    silent = (
        f for f in nothing_read(pairs, rows) if (f.method, f.dataset, f.recording) not in known
    )
    progress.step()
    analysis = analyse_run(
        pairs,
        rows,
        convention,
        scoring.hr_method,
        baseline=scoring.baseline,
        seed=scoring.uncertainty.seed,
    )
    progress.step()
    results = BenchmarkResults(
        title=title,
        convention=str(convention),
        hr_method=scoring.hr_method,
        window=scoring.window,
        summaries=summaries,
        rows=rows,
        failures=(*failures, *silent),
        provenance=provenance,
        notes=(*notes, *notes_of(summaries), *said),
        analysis=analysis,
    )
    if output is None:
        return BenchmarkRun(results, None)
    report = plots if report is None else report
    progress.start("Report", n_files(results, plots, report))
    shown = pairs if plots or report else ()
    drawn = [w for p in shown if (w := plot_waveform(p, convention)) is not None]

    def extra(folder: Path) -> None:
        save_pairs(folder, pairs)
        if split is not None:
            write_split(split, folder / SPLIT)

    folder = write_results(
        results, output, drawn, plots, report=report, extra=extra, progress=progress.step
    )
    return BenchmarkRun(results, folder)


def with_methods(config: Config, methods: Sequence[str]) -> Config:
    """The configuration comparing these methods instead of its own."""
    once: dict[str, str] = {}
    for name in methods:
        once.setdefault(name.lower(), name)
    unsupervised = config.UNSUPERVISED.model_copy(update={"METHOD": tuple(once.values())})
    model = config.MODEL.model_copy(update={"NAME": methods[0]})
    return config.model_copy(update={"UNSUPERVISED": unsupervised, "MODEL": model})


def with_weights(config: Config, path: str | Path) -> Config:
    """The configuration testing these weights."""
    inference = config.INFERENCE.model_copy(update={"MODEL_PATH": str(path)})
    return config.model_copy(update={"INFERENCE": inference})


def prepare(
    config: Config,
    *,
    data_root: DataRoot | None = None,
    jobs: int = 1,
    progress: Reporter | None = None,
) -> Prepared:
    """Find, decode, crop and cache the recordings of a protocol's test data.

    Raises:
        ConfigError: `data_root` does not say where every dataset is.
        DataError: nothing there, or not one recording could be used.
        OutputError: the cache cannot be written.
    """
    progress = progress or Silent()
    data = with_data_root(config, data_root).test_data
    remedy = ""
    if data.DATA_PATH == DEMO:
        folder = _demo(progress, jobs)
        data = data.model_copy(update={"DATA_PATH": str(folder)})
        remedy = f"delete {folder}; the demo recordings are made anew."
    settings = preprocess_settings(data, config.EVALUATION.LABEL_ALIGNMENT)
    report = preprocess_data(data, settings, jobs=jobs, progress=progress)
    failures = failure_rows(report, remedy)
    if not report.videos:
        raise nothing_usable(failures)
    return Prepared(report.videos, failures, cache_of(data))


def failure_rows(report: PreprocessReport, remedy: str = "") -> tuple[FailureRow, ...]:
    """The recordings that gave no crops; `remedy` stands for their own."""
    return tuple(
        FailureRow(
            f.recording.id, str(f.path), f.reason, remedy or f.remedy, dataset=f.recording.dataset
        )
        for f in report.failures
    )


def nothing_usable(failures: Sequence[FailureRow], where: str = "") -> DataError:
    """That not one recording, `where` says of what, could be used, and why the first could not."""
    lost, first = count(len(failures), "recording"), failures[0]
    return DataError(
        f"none of {lost}{where} could be used; the first: {first.reason}",
        path=first.path,
        remedy=first.remedy,
    )


def preprocess_data(
    data: Data, settings: PreprocessSettings, *, jobs: int = 1, progress: Reporter | None = None
) -> PreprocessReport:
    """Crops of the recordings that a DATA section of a YAML names, from the cache if there."""
    progress = progress or Silent()
    foreign = foreign_dataset(data.DATASET)
    if foreign is not None:
        report: PreprocessReport = foreign(data, cache_of(data), progress)
        return report
    recordings = recordings_of(data)
    progress.start("Face crops", len(recordings))
    return preprocess_all(recordings, settings, cache_of(data), jobs=jobs, progress=progress.step)


def cache_of(data: Data) -> Path:
    """Where crops are kept: CACHED_PATH, or our own folder where that is left at its default."""
    default = data.CACHED_PATH == Data().CACHED_PATH
    return cache_root() / "faces" if default else Path(data.CACHED_PATH)


def preprocess_settings(data: Data, align: Alignment) -> PreprocessSettings:
    """The keys of a DATA section as settings of the crops."""
    face = data.PREPROCESS.CROP_FACE
    if face.DO_CROP_FACE and face.BACKEND != "HC":
        raise ConfigError(
            f"the face detector {face.BACKEND!r} is not available here", remedy="set BACKEND: HC."
        )
    return PreprocessSettings(
        width=data.PREPROCESS.RESIZE.W,
        height=data.PREPROCESS.RESIZE.H,
        fs=float(data.FS),
        crop_face=face.DO_CROP_FACE,
        box_coefficient=face.LARGE_BOX_COEF if face.USE_LARGE_FACE_BOX else 1.0,
        detect_every=(
            face.DETECTION.DYNAMIC_DETECTION_FREQUENCY if face.DETECTION.DO_DYNAMIC_DETECTION else 0
        ),
        median_box=face.DETECTION.USE_MEDIAN_FACE_BOX,
        align=align,
    )


def _demo(progress: Reporter, jobs: int) -> Path:
    progress.start("Demo recordings", len(demo_settings()))
    return write_demo(cache_root() / f"demo-{DEMO_VERSION}", progress.step, jobs)


def make_method(name: str, config: Config) -> Method:
    """A method with those of the configuration's options that it takes."""
    options: dict[str, Any] = {
        "checkpoint": config.INFERENCE.MODEL_PATH or None,
        "mc_samples": config.UNCERTAINTY.MC_SAMPLES,
        "mc_rate": config.UNCERTAINTY.MC_RATE,
        "mc_precision": config.UNCERTAINTY.MC_PRECISION,
        "seed": config.UNCERTAINTY.SEED,
        "device": config.DEVICE,
        "engine": config.MODEL.STREAMNET.ENGINE,
        "precision": config.MODEL.STREAMNET.PRECISION,
        "stated": config.MODEL.STREAMNET.stated(config.test_data.PREPROCESS.RESIZE),
    }
    if config.test_data.PREPROCESS.DO_CHUNK:  # the clips that the toolbox would cut
        options["clip_frames"] = config.test_data.PREPROCESS.CHUNK_LENGTH
    method = get_method(name, **{k: v for k, v in options.items() if takes_option(name, k)})
    keys = config.UNCERTAINTY
    if keys.MC_SAMPLES and not takes_option(name, "mc_samples") and can_be_sampled(method):
        return Sampled(method, keys.MC_SAMPLES, keys.MC_RATE, keys.SEED)
    return method


def predict_all(
    methods: Sequence[Method],
    videos: Sequence[FaceVideo],
    config: Config,
    progress: Reporter,
    how: str = "",
) -> tuple[list[WaveformPair], list[FailureRow], dict[str, float]]:
    """Every method on every video; a method that fails on one has no result there, by name.

    `how` stands beside the method's name in the progress.
    """
    pairs, failures, seconds = [], [], {}
    for method in methods:
        progress.start(f"{method.name} {how}".rstrip(), len(videos))
        start = time.perf_counter()
        for video, (pair, reason) in zip(videos, _predictions(method, videos, config), strict=True):
            if reason is not None:
                failures.append(
                    FailureRow(
                        video.recording.id, str(video.recording.path), reason[0], reason[1],
                        method.name, video.recording.dataset,
                    )
                )  # fmt: skip
            if pair is not None:
                pairs.append(pair)
            progress.step(video.recording.id)
        seconds[method.name] = time.perf_counter() - start
    return pairs, failures, seconds


def _predictions(
    method: Method, videos: Sequence[FaceVideo], config: Config
) -> Iterator[tuple[WaveformPair | None, tuple[str, str] | None]]:
    """What `_predict` gives for every video, here or on the cluster that is in use."""
    if current_client() is None:
        for video in videos:
            yield _predict(method, video, config)
        return
    work = (delayed(_predict_elsewhere)(method.name, by_reference(v), config) for v in videos)
    with processes(
        work, 1, lambda: None, lambda number, error: (None, (error.what, error.remedy))
    ) as done:
        yield from done


def _made(name: str, config: str) -> Method:
    return make_method(name, Config.model_validate_json(config))


class _OfThread(threading.local):
    """Every thread's own methods: a network that is sampled is changed while it is."""

    def __init__(self) -> None:
        self.made_once = lru_cache(maxsize=4)(_made)


_of_thread = _OfThread()


def _predict_elsewhere(
    name: str, video: FaceVideo, config: Config
) -> tuple[WaveformPair | None, tuple[str, str] | None]:
    """On another machine, where every method is made once in a thread."""
    try:
        here = opened(video)
    except OSError as error:
        raise OutputError(
            f"a worker on {gethostname()} cannot read the crops of {video.recording.id}: {error}",
            path=video.recording.path,
            remedy=SHARE,
        ) from error
    return _predict(_of_thread.made_once(name, config.model_dump_json()), here, config)


def _predict(
    method: Method, video: FaceVideo, config: Config
) -> tuple[WaveformPair | None, tuple[str, str] | None]:
    """A pair and, where the method gave nothing, why: (reason, remedy)."""
    if video.bvp is None:
        return None, ("there is no ground truth to compare with", "use `streamnet predict`.")
    recording, reason = video.recording, None
    prediction = Prediction(np.empty(0))
    try:
        prediction = method.predict(video)
    except StreamnetError as error:
        reason = (error.what, error.remedy)
    except Exception as error:  # a third party's method may raise anything: the rest must go on
        log.exception("%s failed on %s", method.name, recording.path)
        reason = (f"{type(error).__name__}: {error}", "report it to the method's author.")
    label, pred, samples = video.bvp, prediction.bvp, prediction.samples
    if prediction.differential:
        # The precision in which the toolbox's networks and labels come, so that it scores the same.
        label = label_of(video, "DiffNormalized").astype(np.float32)
        pred = pred.astype(np.float32)
    n = _scored_frames(len(label), config)
    pair = WaveformPair(
        method=method.name,
        dataset=recording.dataset,
        recording=recording.id,
        subject=recording.subject,
        fs=video.fs,
        pred=pred[:n],
        label=label[:n],
        differential=prediction.differential,
        variant=_variant(method),
        samples=None if samples is None else samples[:, :n],
        groups=recording.groups,
        covered=None if prediction.covered is None else min(n, prediction.covered),
        inverted=prediction.inverted,
        rgb=video.rgb[:n],
        path=str(recording.path),
        subject_assumed=recording.subject_assumed,
    )
    return pair, reason


def _scored_videos(videos: Sequence[FaceVideo], config: Config) -> Sequence[FaceVideo]:
    """With DO_CHUNK, the toolbox's classical methods take every chunk as a video of its own."""
    chunks = config.test_data.PREPROCESS
    if config.TOOLBOX_MODE != "unsupervised_method" or not chunks.DO_CHUNK:
        return videos
    return [
        replace(
            video,
            recording=replace(video.recording, id=video.recording.id + chunk_name(number)),
            frames=video.frames[part],
            bvp=None if video.bvp is None else video.bvp[part],
            bvp_after=np.empty(0),
        )
        for video in videos
        for number, part in enumerate(split_clips(len(video.frames), chunks.CHUNK_LENGTH))
    ]


def _scored_frames(n: int, config: Config) -> int:
    """With DO_CHUNK the frames after the last whole chunk are not scored, as in the toolbox."""
    chunks = config.test_data.PREPROCESS
    if not chunks.DO_CHUNK or n < chunks.CHUNK_LENGTH:
        return n
    return n // chunks.CHUNK_LENGTH * chunks.CHUNK_LENGTH


def _variant(method: Method) -> str:
    own = getattr(method, "variant", None)
    if isinstance(own, str):
        return own
    return "paper" if method.name.endswith(":paper") else "toolbox"
