"""Runs an unmodified rPPG-Toolbox checkout with models plugged in by name.

`main.py` is executed as it is, in three steps: its definitions; then the few names that are
replaced in its namespace (the functions that choose a trainer, the DataLoader, the reader of the
configuration); then its main block, so that every loader is built by the toolbox's own code.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import yaml

from streamnet_plugin.comparison import BenchmarkRun, report_pairs, scoring_of
from streamnet_plugin.config import find_config, read_tree
from streamnet_plugin.data.groups import GroupsOf
from streamnet_plugin.data_root import DataRoot
from streamnet_plugin.errors import ConfigError, StreamnetError
from streamnet_plugin.people import assumed_notes
from streamnet_plugin.progress import Reporter
from streamnet_plugin.registry import nearest_first
from streamnet_plugin.report.provenance import provenance
from streamnet_plugin.rescoring import pairs_fingerprint
from streamnet_plugin.scoring import WaveformPair
from streamnet_plugin.strict_types import strict_types
from toolbox_adapters.rppg_toolbox import plugins
from toolbox_adapters.rppg_toolbox.capture import Capture
from toolbox_adapters.rppg_toolbox.checkout import (
    TEST,
    TESTED_AT,
    TRAIN,
    Checkout,
    open_checkout,
)
from toolbox_adapters.rppg_toolbox.compat import count_one_gpu, survive_plots, toolbox_environment
from toolbox_adapters.rppg_toolbox.settings import (
    absolute_paths,
    check_cache,
    check_folders,
    check_paths,
    config_of,
    filled_in,
    not_preprocessed,
    plain,
    sections_of,
    unknown_keys,
)
from toolbox_adapters.rppg_toolbox.workers import (
    LostVideo,
    ShortVideo,
    ToolboxDataLoader,
    sort_recordings,
    watch_cache,
    watch_preprocessing,
)

RESULTS = "streamnet-results"


@dataclass(frozen=True)
class ToolboxRun:
    """What came of a run inside the toolbox.

    Attributes:
        run: the waveforms it produced, scored by us, and where that is written; None where the
            toolbox's model hands out no waveforms.
        lost: videos that the toolbox could not use.
    """

    run: BenchmarkRun | None
    lost: tuple[LostVideo, ...]


@dataclass
class _Session:
    """One run: what was asked for, and what is collected on the way."""

    checkout: Checkout
    cwd: Path
    fast_loader: bool
    lost: list[LostVideo] = field(default_factory=list)
    short: list[ShortVideo] = field(default_factory=list)
    capture: Capture = field(default_factory=Capture)
    config: Any = None  # the toolbox's, once it is read


def run_toolbox(
    path: str | Path,
    config_file: str | Path,
    *,
    overrides: Sequence[str] = (),
    data_root: DataRoot | None = None,
    fast_loader: bool = False,
    output: str | Path | None = None,
    plots: bool = True,
    report: bool | None = None,
    progress: Reporter | None = None,
) -> ToolboxRun:
    """Do what `python main.py --config_file X` does in a checkout, which is left untouched.

    Relative paths in the YAML are taken from the current directory, so that a read-only checkout
    works; a configuration file, a fold and weights may also be named relative to the checkout. The
    toolbox prints what it prints; beside its outputs there is a results folder of ours.

    Args:
        path: the checkout.
        config_file: a YAML in the toolbox's schema, or the name of a shipped one.
        overrides: `KEY=VALUE` strings.
        data_root: dataset folders, see `streamnet_plugin.data_root.with_data_root`.
        fast_loader: read UBFC-rPPG and PURE through our cache instead of the toolbox's loaders.
        output: results folder; None for `EVALUATION.OUTPUT`, or beside the toolbox's outputs.
        plots: whether to draw our plots.
        report: whether to write report.html; None if plots are drawn.
        progress: hears of our own steps.

    Raises:
        ConfigError: no checkout there, a `main.py` that is built otherwise, an unknown key or
            model, or a configuration that cannot work.
    """
    checkout = open_checkout(path)
    config_path = find_config_file(config_file, checkout.root)
    session = _Session(checkout, Path.cwd(), fast_loader)
    with tempfile.TemporaryDirectory() as scratch:
        # Before the working directory is the checkout: data folders may be relative.
        resolved = _resolved_yaml(config_path, overrides, data_root, Path(scratch))
        with toolbox_environment(checkout.root):
            _run_main(session, resolved)
            run = _report(session, config_path, output, plots, report, progress)
    return ToolboxRun(run, tuple(session.lost))


def _run_main(session: _Session, resolved: Path) -> None:
    """Run the checkout's `main.py` on a YAML, as if at the command line."""
    arguments, sys.argv = sys.argv, ["main.py", "--config_file", str(resolved)]
    try:
        main = _prepared_main(session)
        _run_main_block(session, main)
    except ModuleNotFoundError as error:
        raise _not_found(str(error.name), session.checkout.root) from error
    except ImportError as error:
        if isinstance(error, StreamnetError):  # says itself what is missing
            raise
        raise ConfigError(
            f"the toolbox imports what is not there: {error}",
            path=session.checkout.root,
            remedy="use a toolbox made for the packages that are installed here; it is known to "
            f"work at {TESTED_AT}.",
        ) from error
    finally:
        sys.argv = arguments


def _not_found(module: str, root: Path) -> ConfigError:
    """A module that an import asked for in vain: the checkout's own, or another package's."""
    top = module.partition(".")[0]
    if (root / top).is_dir():
        return ConfigError(
            f"the toolbox has no module {module}, which was looked for there",
            path=root,
            remedy=f"use a toolbox that has it; it is known to work at {TESTED_AT}.",
        )
    return ConfigError(
        f"the toolbox imports {module}, which is not installed",
        path=root,
        remedy=f"pip install {top}, or what its requirements.txt names.",
    )


def find_config_file(name: str | Path, root: Path) -> Path:
    """A YAML by its path here or in the checkout, or a shipped one by its name."""
    inside = root / name
    if not Path(name).is_file() and inside.is_file():
        return inside
    return find_config(name).resolve()


def _resolved_yaml(
    path: Path, overrides: Sequence[str], data_root: DataRoot | None, scratch: Path
) -> Path:
    """The YAML itself where nothing changes in it, else a copy with all values filled in."""
    written = read_tree(path)[1]
    tree = filled_in(path, overrides, data_root)
    if tree == {key: value for key, value in written.items() if key != "BASE"}:
        return path
    copy = scratch / path.name
    copy.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return copy


def _prepared_main(session: _Session) -> ModuleType:
    """The module `main` with its definitions executed and our names in place."""
    checkout = session.checkout
    metrics = import_module("evaluation.metrics")
    metrics.calculate_metrics = session.capture.metrics(metrics.calculate_metrics)  # type: ignore[attr-defined]
    survive_plots(import_module("evaluation.BlandAltmanPy").BlandAltman)
    config = import_module("config")
    name = _chosen_model(session)
    _register(config._C, plugins.all_defaults(name, checkout.models))
    base = import_module("dataset.data_loader.BaseLoader")
    watch_preprocessing(base, checkout.root, session.lost, session.short)
    watch_cache(base, session.lost, session.short)

    main = ModuleType("main")
    main.__file__ = str(checkout.root / "main.py")
    sys.modules["main"] = main
    exec(compile(checkout.definitions, main.__file__, "exec"), vars(main))
    sort_recordings(base.BaseLoader)
    count_one_gpu(import_module("neural_methods.trainer.BaseTrainer").BaseTrainer)
    predictor = import_module("unsupervised_methods.unsupervised_predictor")
    session.capture.watch_methods(predictor)
    space = vars(main)
    space["get_config"] = partial(_read_config, session, space["get_config"])
    space["DataLoader"] = partial(_data_loader, session)
    for function in (TRAIN, TEST):
        space[function] = partial(_dispatch, session, space[function], function == TRAIN)
    if session.fast_loader:
        from toolbox_adapters.rppg_toolbox.fast_loader import replace_loaders

        replace_loaders(space["data_loader"], session.lost, lambda: session.config)
    return main


def _chosen_model(session: _Session) -> str:
    """MODEL.NAME of the run if it is a plugin's, "" if the toolbox's own mode or model runs."""
    _, tree = read_tree(sys.argv[2])
    if tree.get("TOOLBOX_MODE") == "unsupervised_method":
        return ""
    name = str((tree.get("MODEL") or {}).get("NAME", ""))
    own = session.checkout.models
    if name in own and name not in plugins.registered_models():
        return ""
    if name not in plugins.registered_models() and not own:
        return ""  # dispatched in a way we do not read: the toolbox itself will say
    plugins.load_model(name, own)
    return name


def _register(node: Any, tree: Mapping[str, Any]) -> None:
    """Add keys to a yacs tree; those it has keep the toolbox's defaults."""
    new_node = type(node)
    for key, value in tree.items():
        if isinstance(value, Mapping):
            if key not in node:
                node[key] = new_node()
            _register(node[key], value)
        elif key not in node:
            node[key] = value


def _read_config(session: _Session, original: Callable[[Any], Any], arguments: Any) -> Any:
    """The toolbox's configuration, checked before any data is read."""
    try:
        config = original(arguments)
    except (KeyError, ValueError) as error:
        _, tree = read_tree(arguments.config_file)
        defaults = import_module("config")._C
        problems = [*unknown_keys(tree, defaults), *(text for _, text in strict_types(tree))]
        raise ConfigError(
            "; ".join(problems) or f"the toolbox refuses the configuration: {error.args[0]}",
            path=arguments.config_file,
            remedy="see `streamnet config check`, which finds such mistakes before a run.",
        ) from error
    config.defrost()
    check_paths(config, sections_of(config))
    absolute_paths(config, session.cwd, session.checkout.root)
    check_folders(config)
    check_cache(config, session.fast_loader)
    name = config.MODEL.NAME
    if config.DEVICE.startswith("cpu") and name in session.checkout.models:
        # On a CPU its DataParallel is a pass-through, but 0 would divide by zero.
        config.NUM_OF_GPU_TRAIN = max(1, config.NUM_OF_GPU_TRAIN)
    if config.TOOLBOX_MODE == "unsupervised_method":
        _check_methods(config.UNSUPERVISED.METHOD, session.checkout.methods)
    else:
        _check_device(config)
        if name not in session.checkout.models and name in plugins.registered_models():
            check = getattr(plugins.load_model(name, session.checkout.models), "check_config", None)
            if check is not None:
                check(config)
    alignment = config.EVALUATION.LABEL_ALIGNMENT
    if alignment == "timestamp" and not session.fast_loader:
        raise ConfigError(
            "EVALUATION.LABEL_ALIGNMENT is timestamp, but the toolbox's own loaders align labels "
            "by index",
            remedy="add --fast-loader, or set EVALUATION.LABEL_ALIGNMENT to index.",
        )
    for section in ("TEST", "UNSUPERVISED"):
        GroupsOf(config[section].DATA.DATA_PATH)  # a damaged table is told before the work
    config.freeze()
    session.config = session.capture.config = config
    return config


def _check_methods(chosen: Any, known: Iterable[str]) -> None:
    """`ConfigError` for what the toolbox would stop at after it has read all data."""
    names = chosen if isinstance(chosen, list | tuple) else [chosen]
    if not [name for name in names if name]:
        raise ConfigError(
            "UNSUPERVISED.METHOD names no method", remedy=f"use {', '.join(sorted(known))}."
        )
    for name in names:
        if known and name not in known:  # none are known where we cannot read its dispatch
            near = nearest_first(str(name), sorted(known))
            raise ConfigError(
                f"the toolbox has no unsupervised method {name!r}",
                remedy=f"use one of {', '.join(near)}; others run with `streamnet benchmark`.",
            )


def _check_device(config: Any) -> None:
    import torch

    if config.DEVICE.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"DEVICE is {config.DEVICE}, but this machine has no CUDA", remedy="set DEVICE: cpu."
        )


def _data_loader(session: _Session, dataset: Any, num_workers: int = 0, **kwargs: Any) -> Any:
    """Stands in for `DataLoader`, whose number of workers the toolbox fixes at 16."""
    loader = ToolboxDataLoader(
        dataset, session.checkout.root, num_workers=session.config.NUM_WORKERS, **kwargs
    )
    session.capture.loader = loader
    return loader


def _dispatch(
    session: _Session, original: Callable[..., None], train: bool, config: Any, loaders: Any
) -> None:
    """Trains and tests a plugin's model; leaves the toolbox's own models to it."""
    name = config.MODEL.NAME
    if name in session.checkout.models or name not in plugins.registered_models():
        original(config, loaders)
        return
    trainer = plugins.load_model(name, session.checkout.models)(config, loaders)
    if train:
        trainer.train(loaders)
    trainer.test(loaders)
    session.capture.add_samples(getattr(trainer, "mc_samples", {}))


def _run_main_block(session: _Session, main: ModuleType) -> None:
    code = compile(session.checkout.main_block, str(main.__file__), "exec")
    try:
        exec(code, vars(main))
    except (StreamnetError, ImportError):  # says itself what is wrong
        raise
    except Exception as error:
        if session.lost and not session.capture.pairs:  # the likely cause, which it does not say
            first = session.lost[0]
            raise ConfigError(
                f"the toolbox stopped ({type(error).__name__}: {error}); before that it lost "
                f"{len(session.lost)} videos, the first for: {first.reason}",
                path=first.path,
                remedy="mend or remove the videos named, or use --fast-loader.",
            ) from error
        clips = session.config is not None and not session.fast_loader
        if clips and (unmade := not_preprocessed(session.config)):
            raise ConfigError(
                f"the toolbox stopped ({type(error).__name__}: {error}); DO_PREPROCESS is False, "
                "which asks for clips that are there, but nothing is preprocessed for "
                f"{', '.join(unmade)}",
                path=next(iter(unmade.values())),
                remedy="set "
                + " ".join(f"{section}.DO_PREPROCESS=True" for section in unmade)
                + " (also on the command line), or use --fast-loader, which needs no clips.",
            ) from error
        raise


def _report(
    session: _Session,
    config_path: Path,
    output: str | Path | None,
    plots: bool,
    report: bool | None,
    progress: Reporter | None,
) -> BenchmarkRun | None:
    config, pairs = session.config, session.capture.pairs
    if not pairs:
        return None
    own = config_of(config)
    data = config.UNSUPERVISED if config.TOOLBOX_MODE == "unsupervised_method" else config.TEST
    folder = output or config.EVALUATION.OUTPUT
    if not folder:
        folder = os.path.join(config.LOG.PATH, data.DATA.EXP_DATA_NAME, RESULTS)
    folder = session.cwd / folder
    return report_pairs(
        pairs,
        title=data.DATA.DATASET,
        scoring=scoring_of(own),
        failures=tuple(video.failure for video in session.lost),
        provenance=provenance(
            plain(config),
            own.UNCERTAINTY.SEED,
            pairs_fingerprint(pairs),
            {
                "toolbox": {
                    "commit": session.checkout.commit,
                    "known_to_work_at": TESTED_AT,
                    "config_file": str(config_path),
                    "fast_loader": session.fast_loader,
                }
            },
        ),
        notes=(
            "Waveforms read inside the rPPG-Toolbox.",
            *_unheard(config, pairs),
            *_printed_alone(pairs),
            *assumed_notes(pairs),
            *dict.fromkeys(video.note for video in session.short),
        ),
        output=folder,
        plots=plots,
        report=report,
        progress=progress,
    )


def _unheard(config: Any, pairs: Sequence[WaveformPair]) -> Iterator[str]:
    """Says so where classical methods ran of which no waveform passed by."""
    heard = {pair.method for pair in pairs}
    if config.TOOLBOX_MODE == "unsupervised_method":
        missing = [name for name in config.UNSUPERVISED.METHOD if name not in heard]
        if missing:
            yield (
                f"Not in this table, as this toolbox computes them by other functions than at "
                f"{TESTED_AT}: {', '.join(missing)}."
            )


def _printed_alone(pairs: Sequence[WaveformPair]) -> Iterator[str]:
    """Says so where the toolbox's metrics count labels that are no pulse, and ours do not."""
    flat = dict.fromkeys(
        pair.recording
        for pair in pairs
        if len(pair.label) and not 0 < np.ptp(pair.label) < math.inf
    )
    if flat:
        yield (
            "The metrics that the toolbox prints count a heart rate of labels that are constant or "
            f"not finite, e.g. for a NaN in the file; the table here does not: {', '.join(flat)}."
        )
