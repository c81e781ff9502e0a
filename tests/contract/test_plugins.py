"""Models of other packages, found by name through the entry-point group `rppg_toolbox.models`."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from streamnet_plugin import registry
from streamnet_plugin.errors import ConfigError, StreamnetError
from toolbox_adapters.rppg_toolbox import plugins

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "{version}"

[project.entry-points."rppg_toolbox.models"]
{entry}

[tool.hatch.build.targets.wheel]
include = ["{module}.py"]
"""
MODEL = '''
"""A network of somebody else: it repeats the label that it is shown, times MODEL.ECHO.GAIN."""

from evaluation.metrics import calculate_metrics  # the toolbox's, which is importable by now


class EchoTrainer:
    yacs_defaults = {"MODEL": {"ECHO": {"GAIN": 2.0, "NAMES": ["a"]}}}

    @staticmethod
    def check_config(config):
        if config.MODEL.ECHO.GAIN == 0:
            raise ValueError("MODEL.ECHO.GAIN is 0")

    def __init__(self, config, data_loader_dict):
        self.config, self.calls = config, []
        print("Echo was given", sorted(data_loader_dict))

    def train(self, data_loader_dict):
        print("Echo trained on", sum(len(batch[0]) for batch in data_loader_dict["train"]))

    def test(self, data_loader_dict):
        predictions, labels = {}, {}
        for _, label, names, chunks in data_loader_dict["test"]:
            for wave, name, chunk in zip(label, names, chunks):
                predictions.setdefault(name, {})[int(chunk)] = self.config.MODEL.ECHO.GAIN * wave
                labels.setdefault(name, {})[int(chunk)] = wave
        calculate_metrics(predictions, labels, self.config)
'''
LAZY = """
def Echo(config, data_loader_dict):  # a factory, which imports its class when it is called
    from echo_trainer import EchoTrainer

    return EchoTrainer(config, data_loader_dict)


Echo.yacs_defaults = {"MODEL": {"ECHO": {"GAIN": 2.0, "NAMES": ["a"]}}}


def check_config(config):
    if config.MODEL.ECHO.GAIN == 0:
        raise ValueError("MODEL.ECHO.GAIN is 0")


Echo.check_config = check_config
"""


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """(name, version, entry, modules): a wheel of such a distribution, installed into a folder."""

    def build(name, version, entry, modules):
        source, target = (tmp_path_factory.mktemp(f"{name}-{x}") for x in ("source", "installed"))
        project = PROJECT.format(name=name, version=version, entry=entry, module="*")
        (source / "pyproject.toml").write_text(project)
        for module, text in modules.items():
            (source / f"{module}.py").write_text(textwrap.dedent(text))
        for command in (
            ["-m", "hatchling", "build", "-t", "wheel", "-d", str(source / "dist")],
            ["-m", "pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check",
             "--quiet", "--target", str(target), "{wheel}"],
        ):  # fmt: skip
            wheel = next((source / "dist").glob("*.whl"), "") if "{wheel}" in command else ""
            done = subprocess.run(
                [sys.executable, *(c.format(wheel=wheel) for c in command)],
                cwd=source,
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        return target

    return build


@pytest.fixture(scope="session")
def echo(built):
    return built(
        "echo-net", "1.2", 'Echo = "echo_net:Echo"', {"echo_net": LAZY, "echo_trainer": MODEL}
    )


@pytest.fixture
def installed(monkeypatch):
    """(folder): put it on the import path, and take it and its modules off again."""

    def install(*folders):
        for folder in folders:
            monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()

    yield install
    for name in ("echo_net", "echo_trainer", "other_net", "broken_net"):
        sys.modules.pop(name, None)


@pytest.fixture
def echo_yaml(toolbox_yaml, trained, twin_ubfc, twin_pure, tmp_path):
    """(mode, changes): a YAML that names the model Echo, on what is preprocessed."""

    def write(mode="only_test", **changes):
        return toolbox_yaml(
            tmp_path,
            mode,
            train=("UBFC-rPPG", twin_ubfc, 0.0, 0.4),
            test=("PURE", twin_pure, 0.0, 1.0),
            model="Echo",
            metrics=("MAE", "MACC"),
            preprocess=False,
            data={"CACHED_PATH": str(trained.work / "cache"), "DATA_FORMAT": "NDHWC"},
            changes=changes,
        )

    return write


# One that is installed


def test_it_runs_by_name(standin, echo, installed, echo_yaml, launch):
    installed(echo)
    done = launch(standin, echo_yaml(MODEL={"ECHO": {"GAIN": 3.0}}))
    assert "Echo was given ['test']" in done.stdout
    assert "Echo trained" not in done.stdout
    assert "FFT MAE (FFT Label): 0.0 " in done.stdout
    (row,) = done.run.results.summaries
    assert (row.method, row.n_videos, row.values["MAE"][0]) == ("Echo", 3, 0)


def test_it_trains(standin, echo, installed, echo_yaml, launch):
    installed(echo)
    done = launch(standin, echo_yaml("train_and_test"))
    assert "Echo was given ['test', 'train', 'valid']" in done.stdout
    assert "Echo trained on 8" in done.stdout
    assert done.run.results.provenance["config"]["MODEL"]["ECHO"]["GAIN"] == 2.0


def test_its_keys_are_strict_too(standin, echo, installed, echo_yaml, launch):
    installed(echo)
    with pytest.raises(ConfigError, match=r"MODEL\.ECHO\.GAINS \(nearest known key: GAIN\)"):
        launch(standin, echo_yaml(MODEL={"ECHO": {"GAINS": 3.0}}))


def test_its_own_check_is_asked_before_data_is_read(standin, echo, installed, echo_yaml, launch):
    installed(echo)
    config = echo_yaml(MODEL={"ECHO": {"GAIN": 0.0}}, TEST={"DATA": {"CACHED_PATH": "nowhere"}})
    with pytest.raises(ValueError, match="GAIN is 0"):
        launch(standin, config)


def test_without_it_the_name_and_its_keys_are_unknown(standin, echo_yaml, launch):
    with pytest.raises(ConfigError, match="no model is named 'Echo'") as error:
        launch(standin, echo_yaml(MODEL={"ECHO": {"GAIN": 3.0}}))
    names = error.value.remedy.removeprefix("set MODEL.NAME to one of ").rstrip(".").split(", ")
    assert set(names) == {"STREAMNet", "Tscan", "Physnet", "PhysMamba"}


def test_its_keys_do_not_hinder_other_models(standin, echo, installed, echo_yaml, launch):
    installed(echo)
    config = echo_yaml(MODEL={"NAME": "STREAMNet", "ECHO": {"GAIN": 3.0}},
                       TEST={"DATA": {"DATA_FORMAT": "NDCHW"}},
                       UNCERTAINTY={"MC_SAMPLES": 0})  # fmt: skip
    assert launch(standin, config).run.results.summaries[0].method == "STREAMNet"


# Names


@pytest.mark.parametrize(("name", "nearest"), [("StreamNet", "STREAMNet"), ("physnet", "Physnet")])
def test_an_unknown_name_gets_the_nearest_first(name, nearest):
    with pytest.raises(ConfigError, match=f"no model is named '{name}'") as error:
        plugins.load_model(name, {"Tscan", "Physnet"})
    assert error.value.remedy.startswith(f"set MODEL.NAME to one of {nearest}, ")


def test_streamnet_is_a_plugin_like_any_other():
    assert plugins.registered_models()["STREAMNet"].dist.name == "streamnet-rppg"


def test_two_packages_of_one_name_are_both_named(
    standin, echo, built, installed, echo_yaml, launch
):
    other = built("other-net", "0.3", 'Echo = "other_net:Echo"', {"other_net": "Echo = None"})
    installed(echo, other)
    with pytest.raises(StreamnetError, match="two packages register the model 'Echo'") as error:
        launch(standin, echo_yaml())
    assert "echo-net 1.2" in str(error.value)
    assert "other-net 0.3" in str(error.value)


def test_a_name_of_the_toolboxs_own(standin, built, installed, echo_yaml, launch):
    installed(built("other-net", "0.3", 'Tscan = "other_net:Tscan"', {"other_net": "Tscan = 1"}))
    with pytest.raises(ConfigError, match=r"other-net 0\.3 provides a model 'Tscan'"):
        launch(standin, echo_yaml(MODEL={"NAME": "Tscan"}))


@pytest.mark.parametrize(
    "text",
    ["raise RuntimeError('no kernel')", "import ctypes; ctypes.CDLL('libgone.so')", "exit('no')"],
)
def test_whatever_an_import_raises_is_the_chosen_models_affair(
    installed, monkeypatch, caplog, tmp_path, text
):
    (tmp_path / "broken_net.py").write_text(text)
    installed(tmp_path)
    broken = EntryPoint("Echo", "broken_net:Echo", plugins.GROUP)
    vars(broken).update(dist=SimpleNamespace(name="broken-net", version="4.0"))
    real = registry.entry_points
    monkeypatch.setattr(registry, "entry_points", lambda group: [*real(group=group), broken])
    assert plugins.all_defaults("", ()) == plugins.all_defaults("STREAMNet", ()) != {}
    assert "'Echo' of broken-net 4.0 cannot be imported: " in caplog.text
    with pytest.raises(ConfigError, match=r"broken-net 4\.0 cannot be imported: \w+: .*(no|gone)"):
        plugins.all_defaults("Echo", ())


def test_a_package_that_does_not_import(standin, built, installed, echo_yaml, launch, caplog):
    broken = built(
        "broken-net", "4.0", 'Echo = "broken_net:Echo"', {"broken_net": "import gone_package"}
    )
    installed(broken)
    with pytest.raises(ConfigError, match=r"'Echo' of broken-net 4\.0 cannot be imported") as error:
        launch(standin, echo_yaml())
    assert "gone_package" in str(error.value)
    caplog.clear()
    config = echo_yaml(MODEL={"NAME": "STREAMNet"}, TEST={"DATA": {"DATA_FORMAT": "NDCHW"}},
                       UNCERTAINTY={"MC_SAMPLES": 0})  # fmt: skip
    assert launch(standin, config).run is not None  # others go on
    assert "broken-net 4.0" in caplog.text
