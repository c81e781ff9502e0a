"""The YAMLs that come with the package: here, on disk, and in the toolbox's own parser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import combinations

import pytest

from streamnet_plugin.checks import check_file, findings
from streamnet_plugin.config import load_config, shipped_configs
from streamnet_plugin.data.splits import read_split
from streamnet_plugin.leaks import selected
from streamnet_plugin.model import STREAMNet, STREAMNetConfig
from streamnet_plugin.model.checkpoint import save_checkpoint

ALL = sorted(
    p.relative_to(shipped_configs()).with_suffix("").as_posix()
    for p in shipped_configs().rglob("*.yaml")
)
SHIPPED = [name for name in ALL if not name.startswith("splits/")]
"""Without those that want certain subjects, and the builtin backend."""
PROTOCOLS = [name for name in SHIPPED if not name.startswith("benchmark/")]
TRAIN = [name for name in SHIPPED if name.startswith("train/")]
needs_toolbox = pytest.mark.skipif(
    "RPPG_TOOLBOX" not in os.environ, reason="RPPG_TOOLBOX is not set"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = STREAMNet(STREAMNetConfig(height=72, width=72))
    return save_checkpoint(model, tmp_path_factory.mktemp("weights") / "w.safetensors", {})


@pytest.fixture(autouse=True)
def named_places(dataset_trees, weights, monkeypatch):
    monkeypatch.setenv("UBFC_RPPG", str(dataset_trees["UBFC-rPPG"]))
    monkeypatch.setenv("PURE", str(dataset_trees["PURE"]))
    monkeypatch.setenv("STREAMNET_WEIGHTS", str(weights))


def test_the_promised_protocols_are_there():
    assert {
        "train/ubfc-intra", "train/pure-intra", "train/pure-to-ubfc", "train/ubfc-to-pure",
        "infer/pure-to-ubfc", "infer/ubfc-to-pure", "infer/ubfc-unsupervised",
        "infer/pure-unsupervised",
    } <= set(SHIPPED)  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_it_passes_the_check(name):
    assert [f.text for f in check_file(name) if not f.note] == []


@pytest.mark.parametrize("name", PROTOCOLS)
def test_it_runs_on_either_backend_without_a_caveat(name):
    assert list(findings(load_config(name))) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_its_labels_are_aligned_as_its_folder_says(name):
    expected = "timestamp" if name.startswith("benchmark/") else "index"
    assert expected == load_config(name).EVALUATION.LABEL_ALIGNMENT
    assert "LABEL_ALIGNMENT" in (shipped_configs() / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", TRAIN)
def test_training_follows_the_papers_recipe(name):
    config = load_config(name)
    assert (config.TRAIN.EPOCHS, config.TRAIN.BATCH_SIZE, config.TRAIN.LR) == (30, 4, 9e-3)
    assert list(config.sections) == ["TRAIN", "VALID", "TEST"]
    for data in config.sections.values():
        p = data.PREPROCESS
        assert (p.RESIZE.W, p.RESIZE.H, p.CHUNK_LENGTH) == (72, 72, 180)
        assert (p.CROP_FACE.USE_LARGE_FACE_BOX, p.CROP_FACE.LARGE_BOX_COEF) == (True, 1.5)


@pytest.mark.parametrize("name", TRAIN)
def test_no_subject_is_in_two_sections(name):
    config = load_config(name)
    chosen = {s: {r.subject for r in selected(d)} for s, d in config.sections.items()}
    assert all(chosen.values())
    for first, second in combinations(chosen, 2):
        same = config.sections[first].DATASET == config.sections[second].DATASET
        assert not same or not chosen[first] & chosen[second]
    if name.endswith("intra"):
        assert len(set().union(*chosen.values())) == 10
        assert not config.TEST.USE_LAST_EPOCH


def test_the_published_split_takes_all_of_its_subjects(tmp_path):
    (name,) = (name for name in ALL if name.startswith("splits/"))
    split = read_split(shipped_configs() / f"{name}.json")
    for subject in (*split["train"], *split["test"]):
        (tmp_path / subject).mkdir()
        for file in ("vid.avi", "ground_truth.txt"):
            (tmp_path / subject / file).touch()
    keys = [f"{section}.DATA.DATA_PATH={tmp_path}" for section in ("TRAIN", "VALID", "TEST")]
    config = load_config(name, keys)
    chosen = {s: [r.subject for r in selected(d)] for s, d in config.sections.items()}
    assert [*chosen["TRAIN"], *chosen["VALID"]] == split["train"]
    assert chosen["TEST"] == split["test"]
    assert [len(part) for part in chosen.values()] == [24, 6, 12]
    assert list(findings(config, "builtin")) == []
    (note,) = findings(load_config(name, [*keys, "TEST.DATA.BEGIN=0.8"]), "builtin")
    assert note.note
    assert "a part of the fold 'test'" in note.text


@pytest.mark.parametrize("name", PROTOCOLS)
def test_without_its_variables_it_names_them(name, monkeypatch):
    for variable in ("UBFC_RPPG", "PURE", "STREAMNET_WEIGHTS"):
        monkeypatch.delenv(variable)
    problems = [f.text for f in check_file(name)]
    assert len(problems) >= len(load_config(name).sections)
    assert all("set the environment variable" in problem for problem in problems)


# In a process of its own: the toolbox's modules have names like `config`.
PARSER = """
import json, sys
from types import SimpleNamespace
from yacs.config import CfgNode
import config

for section, defaults in json.loads(sys.argv[1]).items():
    node = config._C
    for part in section.split(".")[:-1]:
        node = node[part]
    node[section.split(".")[-1]] = CfgNode(defaults) if isinstance(defaults, dict) else defaults
parsed = []
for path in sys.argv[2:]:
    try:
        parsed.append(config.get_config(SimpleNamespace(config_file=path)))
    except Exception as error:
        parsed.append(repr(error))
print(json.dumps([p if isinstance(p, str) else
                  {"train": p.TRAIN.LR, "valid": p.VALID.DATA.END, "test": p.TEST.DATA.DATASET,
                   "name": p.MODEL.NAME, "unsupervised": p.UNSUPERVISED.METHOD} for p in parsed]))
"""


def in_the_toolbox(*paths):
    """What the toolbox's own parser makes of files, with our keys registered: values, or errors."""
    pytest.importorskip("yacs.config")
    defaults = load_config("benchmark/demo", ["TOOLBOX_MODE=only_test"])
    ours = {
        "MODEL.STREAMNET": defaults.MODEL.STREAMNET.model_dump(),
        "EVALUATION": defaults.EVALUATION.model_dump(),
        "UNCERTAINTY": defaults.UNCERTAINTY.model_dump(),
        "NUM_WORKERS": -1,
    }
    done = subprocess.run(
        [sys.executable, "-c", PARSER, json.dumps(ours), *map(str, paths)],
        cwd=os.environ["RPPG_TOOLBOX"],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@needs_toolbox
def test_every_file_passes_the_toolboxs_parser():
    parsed = in_the_toolbox(*(shipped_configs() / f"{name}.yaml" for name in SHIPPED))
    for name, got in zip(SHIPPED, parsed, strict=True):
        own = load_config(name)
        assert got == {
            "train": own.TRAIN.LR,
            "valid": own.VALID.DATA.END,
            "test": own.TEST.DATA.DATASET,
            "name": own.MODEL.NAME,
            "unsupervised": list(own.UNSUPERVISED.METHOD),
        }, name


@needs_toolbox
@pytest.mark.parametrize(
    ("key", "value", "refused"),
    [
        ("TRAIN.LR", "1", True),
        ("TRAIN.LR", "9e-3", False),
        ("TEST.DATA.FS", "29.97", True),
        ("TEST.DATA.BEGIN", "0", True),
        ("TEST.DATA.DO_PREPROCESS", "1", True),
        ("TRAIN.EPOCHS", "True", True),
        ("TEST.DATA.EXP_DATA_NAME", "'2024'", True),
        ("MODEL.RESUME", "'None'", False),
        ("TEST.METRICS", "MAE", True),
        ("UNCERTAINTY.MC_RATE", "0.2", False),
        ("MODEL.STREAMNET.FRAME_DEPTH", "10.0", True),
    ],
)
def test_the_check_refuses_the_types_that_the_toolbox_refuses(tmp_path, key, value, refused):
    text = f"TOOLBOX_MODE: only_test\n{_nested(key, value)}\n"
    (tmp_path / "c.yaml").write_text(text)
    (parsed,) = in_the_toolbox(tmp_path / "c.yaml")
    assert isinstance(parsed, str) == refused
    assert any(key in f.text for f in check_file(tmp_path / "c.yaml")) == refused


def _nested(key, value):
    *parents, leaf = key.split(".")
    return "".join(f"{p}: {{" for p in parents) + f"{leaf}: {value}" + "}" * len(parents)
