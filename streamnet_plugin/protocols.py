"""A protocol from recordings to table: every fold and seed is trained, tested, and put together.

What is finished is not done again: trainings go on from their last step, tests that were made from
the same settings, weights, data and code are read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from streamnet_plugin.atomic import taken, write_text
from streamnet_plugin.checks import STREAMNET
from streamnet_plugin.comparison import (
    SEEN,
    SPLIT,
    BenchmarkRun,
    benchmark,
    check_baseline,
    forced_note,
    prepare,
    report_pairs,
    scoring_of,
    with_methods,
    with_weights,
)
from streamnet_plugin.config import MAX_SEED, Config, load_config, size_keys
from streamnet_plugin.data.datasets import dataset_fingerprint, find_recordings
from streamnet_plugin.data.splits import (
    MIN_FOLDS,
    fold_splits,
    read_split,
    subjects_of,
    write_split,
)
from streamnet_plugin.data.synthetic.writers import write_pure_set, write_ubfc_set
from streamnet_plugin.data_root import DataRoot, with_data_root
from streamnet_plugin.errors import ConfigError, DataError, DivergedError, StreamnetError
from streamnet_plugin.model.checkpoint import file_hash
from streamnet_plugin.paths import cache_root
from streamnet_plugin.progress import Reporter, Silent
from streamnet_plugin.registry import registered_name
from streamnet_plugin.report.provenance import provenance
from streamnet_plugin.report.results import BenchmarkResults, FailureRow, MethodSummary
from streamnet_plugin.report.writer import read_results
from streamnet_plugin.scoring import WaveformPair, load_pairs
from streamnet_plugin.training.run import (
    ELSEWHERE,
    TrainRun,
    check_training,
    fabric_of,
    train,
)
from streamnet_plugin.wording import count

log = logging.getLogger(__name__)
PROTOCOLS = {
    **{n: f"train/{n}" for n in ("ubfc-intra", "pure-intra", "pure-to-ubfc", "ubfc-to-pure")},
    "ubfc-30-12": "splits/ubfc-30-12",
}
"""Name of a protocol -> its shipped YAML."""
CLASSICAL = ("GREEN", "ICA", "CHROM", "LGI", "PBV", "POS", "OMIT")
NETWORKS: dict[str, dict[str, Any]] = {
    STREAMNET: {},
    "TS-CAN": {"SHIFT": "zero", "SSFEM": False},
    "no shift": {"SHIFT": "none"},
    "zero-padded shift": {"SHIFT": "zero"},
    "no SS-FEM": {"SSFEM": False},
    "no STLAM": {"ATTENTION": False},
}
"""What can be trained: STREAM-Net, and what is left of it without one of its parts, as keys of
MODEL.STREAMNET.

TS-CAN (Liu et al. 2020) is our network with its zero-padded shift and without SS-FEM: the same
layers and parameter names, not the original code."""
TESTED_BY = ("MODEL", "UNSUPERVISED", "EVALUATION", "UNCERTAINTY", "DEVICE")
"""Sections of a YAML that a test depends on, beside TEST and INFERENCE."""
SPLIT_SEED = 100
"""Of the folds: the same people are tested together, whatever a training begins with."""
TWINS = ("UBFC-rPPG", "PURE")
"""The datasets that can be drawn."""
RESULTS, TRAINING, SUMMARY = "results", "training", "protocol.json"
SUMMARY_UNITS = {"MAE": "bpm", "RMSE": "bpm", "MAPE": "%"}
"""The metrics that are summed up over seeds."""


@dataclass(frozen=True)
class Twins:
    """Synthetic recordings in the formats of both datasets, where these are not to be had.

    Attributes:
        ubfc_subjects, pure_subjects: people; those of PURE are in all six setups.
        duration_s: of a recording.
        width, height: px of the video.
        seed: of everything; other parameters make other twins.
    """

    ubfc_subjects: int = 10
    pure_subjects: int = 5
    duration_s: float = 15.0
    width: int = 320
    height: int = 240
    seed: int = 7000

    def folder(self) -> Path:
        """Where they are kept."""
        name = (
            f"twins-{self.ubfc_subjects}-{self.pure_subjects}-{self.duration_s:g}s-"
            f"{self.width}x{self.height}-{self.seed}"
        )
        return cache_root() / name


@dataclass(frozen=True)
class ProtocolRun:
    """What a protocol came to.

    Attributes:
        name: of the protocol.
        run: all methods in one table.
        summary: by network, MAE and the like over seeds; see `summarised`.
        folder: of everything.
    """

    name: str
    run: BenchmarkRun
    summary: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class _Part:
    """One training and test: a network, a seed, a fold."""

    network: str
    seed: int
    fold: int | None
    config: Config
    folder: Path

    @property
    def name(self) -> str:
        fold = "" if self.fold is None else f", fold {self.fold}"
        return f"{self.network}, seed {self.seed}{fold}"


def run_protocol(
    name: str,
    *,
    folds: int = 0,
    seeds: int = 1,
    networks: Sequence[str] = (STREAMNET,),
    twins: Twins | None = None,
    data_root: DataRoot | None = None,
    size: int | None = None,
    overrides: Sequence[str] = (),
    output: str | Path | None = None,
    jobs: int = 2,
    force: bool = False,
    plots: bool = True,
    progress: Reporter | None = None,
) -> ProtocolRun | None:
    """Train and test networks by a protocol, beside the classical methods, in one table.

    In several processes, see `train`, all train, and then the first one tests and the others are
    done.

    Args:
        name: of `PROTOCOLS`.
        folds: K parts of the subjects, each tested once by a network trained on the others; 0
            takes the YAML's own split. For protocols within one dataset.
        seeds: trainings from so many starts, TRAINING.SEED and those after it; their errors are
            shown each, and their mean.
        networks: of `NETWORKS`.
        twins: synthetic data in place of the datasets.
        data_root: the datasets' folders, as of `train`.
        size: px of the crops; None for the YAML's.
        overrides: `KEY=VALUE` strings, on top of the protocol's YAML.
        output: folder of everything; None for protocols/NAME. What is finished in it is kept.
        jobs: videos preprocessed at a time.
        force: go on with trainings even if settings or data changed since they began.
        plots: whether to draw files of their own.
        progress: hears of every step.

    Returns:
        None in all processes but the first.

    Raises:
        ConfigError: an unknown name or network, folds where there is nothing to fold, or see
            `train`.
        DataError, OutputError: see `train`.
        DivergedError: every training did; those that do beside others are failures of the table.
    """
    progress = progress or Silent()
    networks = tuple(dict.fromkeys(networks))  # twice in the table, each would count double
    _check_names(name, networks, folds, seeds)
    _check_twins(name, folds, twins)
    config = load_config(PROTOCOLS[name], (*size_keys(size), *overrides))
    check_training(config, data=False)  # before processes are started, minutes of drawing
    _check_rows(config, networks, seeds)
    fabric = fabric_of(config)
    if not fabric.is_global_zero:
        progress = Silent()
    with fabric.rank_zero_first():  # the others find everything written
        if twins is not None:
            used = {data.DATASET for data in config.sections.values()}
            data_root = write_twins(twins, progress, [name for name in TWINS if name in used])
        config = with_data_root(config, data_root)
        check_training(config)
        folder = Path("protocols") / name if output is None else Path(output)
        parts = list(_parts(config, networks, folds, seeds, folder))

    diverged: list[FailureRow] = []

    def trained() -> Iterator[tuple[_Part, TrainRun]]:
        for number, part in enumerate(parts, 1):
            log.info("%s: part %d of %d: %s", name, number, len(parts), part.name)
            progress.start(f"Part {number} of {len(parts)}", 1)
            progress.step(part.name)
            place = part.folder / TRAINING
            try:
                done = train(
                    part.config,
                    output=place,
                    jobs=jobs,
                    force=force,
                    fabric=fabric,
                    progress=progress,
                )
            except DivergedError as error:  # the others may not, and are as good without it
                log.error("%s: %s", part.name, error)
                row = _row(part.network, part.seed, seeds)
                remedy = f"{error.remedy} Run it in another folder (-o)."
                diverged.append(FailureRow(part.name, str(place), error.what, remedy, row))
                continue
            except StreamnetError as error:
                error.what = f"{part.name}: {error.what}"
                raise
            yield part, done

    runs: Iterable[tuple[_Part, TrainRun]] = trained()
    if fabric.world_size > 1:  # all of them first: nobody is to wait for the others' tests
        runs = list(runs)
        if not fabric.is_global_zero:
            return None
    tests = [_tested(part, done, jobs, progress) for part, done in runs]
    # Without one of its folds a row would be of fewer people, perhaps the easier ones.
    lost = {one.method for one in diverged}
    tests = [t for t in tests if _row(t.part.network, t.part.seed, seeds) not in lost]
    if not tests:
        raise DivergedError(
            "; ".join(f"{row.recording}: {row.reason}" for row in diverged),
            path=folder,
            remedy=diverged[0].remedy,
        )
    classical = _classical(config, folds, folder, jobs, progress)
    run = _together(name, config, parts, tests, diverged, classical, folder, plots, progress, twins)
    summary = summarised(run.results.summaries, parts)
    assert run.folder is not None  # it was told one
    told = {"protocol": name, "results": run.folder.name, "networks": summary}
    write_text(folder / SUMMARY, json.dumps(told, indent=1) + "\n", "the protocol's summary")
    return ProtocolRun(name, run, summary, folder)


def _check_names(name: str, networks: Sequence[str], folds: int, seeds: int) -> None:
    if name not in PROTOCOLS:
        raise ConfigError(
            f"no protocol is named {name!r}", remedy=f"use one of {', '.join(PROTOCOLS)}."
        )
    for network in networks:
        if network not in NETWORKS:
            raise ConfigError(
                f"no network is named {network!r}", remedy=f"use one of {', '.join(NETWORKS)}."
            )
    if not networks or seeds < 1:
        raise ConfigError("there is nothing to train", remedy="name a network, and 1 seed or more.")
    if folds and not name.endswith("intra"):
        why = "trains on one dataset and tests on all of another: there is nothing to fold"
        if "-to-" not in name:
            why = "is a published split: it is not to be folded"
        raise ConfigError(f"{name} {why}", remedy="leave --folds out.")


def _check_rows(config: Config, networks: Sequence[str], seeds: int) -> None:
    """What stands in the table, before anything is trained for it."""
    beside = [registered_name(method) for method in config.UNSUPERVISED.METHOD or CLASSICAL]
    if STREAMNET in beside:
        raise ConfigError(
            f"UNSUPERVISED.METHOD names {STREAMNET}, whose weights this protocol trains",
            remedy="leave it out; the network is in the table anyway.",
        )
    first = config.TRAINING.SEED
    if first + seeds > MAX_SEED + 1:
        raise ConfigError(
            f"there are no {seeds} seeds from TRAINING.SEED {first} on",
            remedy="set a smaller TRAINING.SEED.",
        )
    trained = [_row(network, first + n, seeds) for network in networks for n in range(seeds)]
    check_baseline(config.EVALUATION.BASELINE or None, [*trained, *beside])


def _check_twins(name: str, folds: int, twins: Twins | None) -> None:
    """What can be told before they are drawn."""
    subjects = range(0)
    if twins is not None:
        people = {"ubfc": twins.ubfc_subjects, "pure": twins.pure_subjects}
        subjects = range(people[name.partition("-")[0]])
    if folds and (folds < MIN_FOLDS or twins is not None):
        fold_splits([str(subject) for subject in subjects], folds, SPLIT_SEED)
    if twins is not None and PROTOCOLS[name].startswith("splits/"):
        raise ConfigError(
            f"{name} names people of the real dataset, whom the twins do not have",
            remedy="leave --synthetic out, or run another protocol.",
        )


def write_twins(
    twins: Twins,
    progress: Reporter | None = None,
    datasets: Sequence[str] = TWINS,
) -> dict[str, str | Path]:
    """The synthetic datasets, or those of them that are wanted, made once; their folders by name.

    Raises:
        ConfigError, OutputError: see `write_ubfc_set`.
    """
    progress = progress or Silent()
    recordings = {"UBFC-rPPG": twins.ubfc_subjects, "PURE": 6 * twins.pure_subjects}
    progress.start("Synthetic twins", sum(recordings[dataset] for dataset in datasets))
    common: dict[str, Any] = {
        "duration_s": twins.duration_s,
        "width": twins.width,
        "height": twins.height,
        "noise": 1.5,
        "illumination_drift": 0.02,
    }
    common["progress"] = progress.step
    folders = {dataset: twins.folder() / dataset for dataset in datasets}
    for dataset, place in folders.items():
        if dataset == "PURE":
            write_pure_set(place, twins.pure_subjects, seed=twins.seed + 500, **common)
        else:
            write_ubfc_set(place, twins.ubfc_subjects, seed=twins.seed, codec="mjpg", **common)
    return dict(folders)


def _parts(
    config: Config, networks: Sequence[str], folds: int, seeds: int, folder: Path
) -> Iterator[_Part]:
    splits = list(_fold_files(config, folds, folder)) if folds else [None]
    first = config.TRAINING.SEED
    for seed in range(first, first + seeds):
        for network in networks:
            for fold, split in enumerate(splits):
                own = _with(config, NETWORKS[network], seed, split)
                place = folder / f"{network.replace(' ', '-')}-seed-{seed}"
                if split is not None:
                    place /= f"fold-{fold}"
                yield _Part(network, seed, None if split is None else fold, own, place)


def _fold_files(config: Config, folds: int, folder: Path) -> Iterator[Path]:
    """A split file for each fold, written beside the results."""
    data = config.TRAIN.DATA
    subjects = subjects_of(find_recordings(data.DATASET, data.DATA_PATH))
    for k, split in enumerate(fold_splits(subjects, folds, SPLIT_SEED)):
        path = folder / "splits" / f"fold-{k}-of-{folds}.json"
        write_split(split, path)
        yield path


def _with(config: Config, changes: Mapping[str, Any], seed: int, split: Path | None) -> Config:
    """The configuration of one part."""
    tree = config.model_dump(mode="json")
    tree["MODEL"]["STREAMNET"] |= changes
    tree["TRAINING"]["SEED"] = seed
    tree["UNSUPERVISED"]["METHOD"] = []
    tree["EVALUATION"]["BASELINE"] = ""
    for section, part in (("TRAIN", "train"), ("VALID", "valid"), ("TEST", "test")):
        if split is not None:
            fold = {"FOLD_NAME": part, "FOLD_PATH": str(split.absolute())}
            tree[section]["DATA"] |= {"FOLD": fold, "BEGIN": 0.0, "END": 1.0}
    return Config.model_validate(tree)


@dataclass(frozen=True)
class _Test:
    """What a trained part came to in its test."""

    part: _Part
    trained: TrainRun
    found: _Found


@dataclass(frozen=True)
class _Found:
    """Results on the disk."""

    pairs: list[WaveformPair]
    failures: tuple[FailureRow, ...]
    origin: Mapping[str, Any]
    notes: tuple[str, ...]


def _tested(part: _Part, done: TrainRun, jobs: int, progress: Reporter) -> _Test:
    """The test videos as a trained part reads them."""
    config = with_weights(part.config, done.weights)
    return _Test(part, done, _benchmarked(config, part.folder / RESULTS, jobs, progress))


def _classical(config: Config, folds: int, folder: Path, jobs: int, progress: Reporter) -> _Found:
    """The classical methods on everything that is tested; they are not trained."""
    tree = config.model_dump(mode="json")
    if folds:  # every subject is tested in one fold
        tree["TEST"]["DATA"] |= {"BEGIN": 0.0, "END": 1.0}
        for section in ("TRAIN", "VALID"):
            tree[section]["DATA"] = {}
    tree["TOOLBOX_MODE"] = "only_test"
    tree["INFERENCE"]["MODEL_PATH"] = ""  # they have no weights
    tree["EVALUATION"]["BASELINE"] = ""  # of the table of all
    only = with_methods(Config.model_validate(tree), config.UNSUPERVISED.METHOD or CLASSICAL)
    return _benchmarked(only, folder / "classical", jobs, progress)


def _benchmarked(config: Config, place: Path, jobs: int, progress: Reporter) -> _Found:
    """Results at `place`, `place`-2, ...: those of this very test, or else it is made now."""
    before = list(taken(place))
    wanted = _wanted(config, jobs, progress) if before else {}  # reads all test data
    for folder in before:
        try:
            found = read_results(folder)
            if _basis(found.provenance) == wanted:
                return _found(folder, found)
            log.warning("%s is of other settings, data or versions: tested anew", folder)
        except (DataError, KeyError) as error:  # damaged, or of a version that told less
            log.warning("%s cannot be read: %s", folder, error)
    done = benchmark(config, output=place, jobs=jobs, plots=False, report=False, progress=progress)
    assert done.folder is not None  # it was told one
    return _found(done.folder, done.results)


def _found(folder: Path, results: BenchmarkResults) -> _Found:
    pairs = load_pairs(folder)
    return _Found(pairs, results.failures, results.provenance, results.notes)


def _wanted(config: Config, jobs: int, progress: Reporter) -> dict[str, Any]:
    """The `_basis` of what a test would come to now."""
    print_ = dataset_fingerprint(prepare(config, jobs=jobs, progress=progress).videos)
    weights = config.INFERENCE.MODEL_PATH
    network = {STREAMNET: {"weights_sha256": file_hash(weights)}} if weights else {}
    return _basis(provenance(config.model_dump(mode="json"), 0, print_, network))


def _basis(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Of where results come from, what their numbers depend on."""
    config = origin["config"]
    basis = {key: config.get(key) for key in TESTED_BY}  # older results may lack one
    data = {k: v for k, v in config["TEST"]["DATA"].items() if k not in ELSEWHERE}
    basis["TEST"] = {**config["TEST"], "DATA": data}
    basis["INFERENCE"] = {k: v for k, v in config["INFERENCE"].items() if k != "MODEL_PATH"}
    code = {key: origin.get(key) for key in ("data_fingerprint", "code_sha256", "versions")}
    return basis | code | {"weights": origin["methods"].get(STREAMNET, {}).get("weights_sha256")}


def _row(network: str, seed: int, seeds: int) -> str:
    """A network's name in the table."""
    return network if seeds == 1 else f"{network} ({seed})"


def _together(
    name: str,
    config: Config,
    parts: Sequence[_Part],
    tests: Sequence[_Test],
    diverged: Sequence[FailureRow],
    classical: _Found,
    folder: Path,
    plots: bool,
    progress: Reporter,
    twins: Twins | None,
) -> BenchmarkRun:
    """One table of all."""
    seeds = sorted({part.seed for part in parts})
    pairs: list[WaveformPair] = []
    failures = [*diverged]
    notes = [
        f"{one.method} is missing: the training of {one.recording} diverged." for one in diverged
    ]
    for test in tests:
        method = _row(test.part.network, test.part.seed, len(seeds))
        pairs += [replace(pair, method=method) for pair in test.found.pairs]
        failures += test.trained.failures
        failures += [
            replace(failure, method=method) if failure.method else failure
            for failure in test.found.failures
        ]
        seen = f"{STREAMNET} {SEEN}"
        notes += [
            f"{test.part.name}: it {SEEN}{note.removeprefix(seen)}"
            for note in test.found.notes
            if note.startswith(seen)
        ]
        if test.trained.changed:
            notes.append(f"{test.part.name}: it {forced_note(test.trained.changed)}")
    tested = {(p.dataset, p.recording) for p in pairs}
    notes += _of_recordings((*(test.found for test in tests), classical), {r for _, r in tested})
    pairs += [p for p in classical.pairs if (p.dataset, p.recording) in tested]
    if twins is not None:
        notes.append("Synthetic faces: no figure here says how a method does on people.")
    if any(test.part.network == "TS-CAN" for test in tests):
        notes.append("TS-CAN is our network with a zero-padded shift and without SS-FEM.")
    origin = provenance(
        config.model_dump(mode="json"),
        config.TRAINING.SEED,
        classical.origin["data_fingerprint"],
        {**classical.origin["methods"], **_origins(tests, len(seeds))},
    )
    scoring = scoring_of(config)
    if scoring.baseline in {one.method for one in diverged}:
        notes.append(f"Every two methods are compared: the baseline {scoring.baseline} is missing.")
        scoring = replace(scoring, baseline=None)
    networks = list(dict.fromkeys(part.network for part in parts))
    folds = len({part.fold for part in parts} - {None})
    told = {"name": name, "folds": folds, "seeds": seeds, "networks": networks}
    run = report_pairs(
        pairs,
        title=("Synthetic twins, " if twins else "") + name,
        scoring=scoring,
        # Every part meets a damaged recording.
        failures=tuple(dict.fromkeys((*failures, *classical.failures))),
        provenance=origin | {"protocol": told},
        notes=tuple(notes),
        notes_of=lambda found: summary_lines(summarised(found, parts)) if len(seeds) > 1 else (),
        output=folder / RESULTS,
        plots=plots,
        progress=progress,
    )
    assert run.folder is not None  # it was told one
    trained = [test.part for test in tests]
    for part in {part.fold: part for part in reversed(trained)}.values():  # alike for all seeds
        split = SPLIT if part.fold is None else f"split-fold-{part.fold}.json"
        write_split(read_split(part.folder / TRAINING / SPLIT), run.folder / split)
    return run


def _of_recordings(found: Iterable[_Found], recordings: Iterable[str]) -> dict[str, None]:
    """What the tests say of the recordings, each once."""
    starts = tuple(f"{recording}: " for recording in recordings)
    return dict.fromkeys(n for one in found for n in one.notes if n.startswith(starts))


def _origins(tests: Sequence[_Test], seeds: int) -> dict[str, Any]:
    """Of every network in the table, by fold where there are some: weights and their training."""
    found: dict[str, Any] = {}
    for test in tests:
        part, own = test.part, test.found.origin["methods"][STREAMNET]
        name = _row(part.network, part.seed, seeds)
        if part.fold is None:
            found[name] = own
        else:
            found.setdefault(name, {})[f"fold {part.fold}"] = own
    return found


def summarised(summaries: Iterable[MethodSummary], parts: Sequence[_Part]) -> dict[str, Any]:
    """By network: MAE, RMSE and MAPE of each seed, their mean, and standard deviation.

    One number of a network says little of the next training of it; the spread over seeds is what
    a difference between networks has to be held against.
    """
    seeds = sorted({part.seed for part in parts})
    by_name = {s.method: s for s in summaries}
    found: dict[str, Any] = {}
    for network in dict.fromkeys(part.network for part in parts):
        names = [_row(network, seed, len(seeds)) for seed in seeds]
        found[network] = {"seeds": seeds}
        for metric in SUMMARY_UNITS:
            values = [by_name[n].values[metric][0] if n in by_name else None for n in names]
            known = [v for v in values if v is not None and np.isfinite(v)]
            found[network][metric] = {
                "by_seed": values,
                "mean": float(np.mean(known)) if known else None,
                "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
            }
    return found


def summary_lines(summary: Mapping[str, Any]) -> list[str]:
    """The summary in words, a line per network."""
    lines = []
    for network, metrics in summary.items():
        mae = metrics["MAE"]
        if all(value is None for value in mae["by_seed"]):
            lines.append(f"{network}: no result")
            continue
        if mae["mean"] is None:
            lines.append(f"{network}: no heart rate was read")
            continue
        spread = "" if mae["sd"] is None else f" +- {mae['sd']:.2f} (SD over seeds)"
        seeds = count(sum(value is not None for value in mae["by_seed"]), "seed")
        lines.append(f"{network}: MAE {mae['mean']:.2f}{spread} bpm, {seeds}")
    return lines
