"""A protocol from recordings to table, on synthetic twins."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from streamnet_plugin import protocols
from streamnet_plugin.cli import app
from streamnet_plugin.comparison import benchmark
from streamnet_plugin.config import Data, load_config, size_keys
from streamnet_plugin.data.splits import fold_splits, read_split
from streamnet_plugin.errors import ConfigError, DataError, DivergedError, StreamnetError
from streamnet_plugin.model.checkpoint import file_hash, load_checkpoint, save_checkpoint
from streamnet_plugin.protocols import NETWORKS, PROTOCOLS, Twins, run_protocol, summary_lines
from streamnet_plugin.report.cells import DASH, estimate, interval
from streamnet_plugin.report.protocol_table import protocol_grid, read_protocol
from streamnet_plugin.report.writer import read_results
from streamnet_plugin.scoring import load_pairs
from streamnet_plugin.sections import find_split, recordings_of
from streamnet_plugin.training.run import new_network

SMALL = [
    f"{section}.DATA.PREPROCESS.{key}={value}"
    for section in ("TRAIN", "VALID", "TEST")
    for key, value in (("RESIZE.W", 16), ("RESIZE.H", 16), ("CHUNK_LENGTH", 60))
]
SPLIT = [
    "TRAIN.DATA.END=0.5",
    "VALID.DATA.BEGIN=0.5",
    "VALID.DATA.END=0.75",
    "TEST.DATA.BEGIN=0.75",
]
QUICK = [*SMALL, "TRAIN.EPOCHS=1", "TRAIN.LR=1e-3", "UNCERTAINTY.MC_SAMPLES=2"]


@pytest.fixture(scope="module")
def ubfc(ubfc_people):
    return ubfc_people(4, 6.0)


@pytest.fixture(scope="module")
def run(ubfc, tmp_path_factory):
    folder = tmp_path_factory.mktemp("protocol") / "out"
    options = {"folds": 4, "data_root": ubfc, "overrides": QUICK, "output": folder}
    return options, run_protocol("ubfc-intra", plots=False, **options)


def test_every_subject_is_tested_once_by_a_network_that_never_saw_it(run):
    _, done = run
    rows = [r for r in done.run.results.rows if r.method == "STREAMNet"]
    assert sorted(r.recording for r in rows) == ["subject1", "subject2", "subject3", "subject4"]
    for fold in range(4):
        place = done.folder / "STREAMNet-seed-100" / f"fold-{fold}"
        split = json.loads((place / "training" / "split.json").read_text())
        tested = json.loads((place / "results" / "results.json").read_text())["rows"]
        assert {r["subject"] for r in tested} == set(split["TEST"])
        assert not set(split["TEST"]) & (set(split["TRAIN"]) | set(split["VALID"]))
        assert len(split["TRAIN"]) == 2


def test_the_classical_methods_stand_beside_on_the_same_windows(run):
    rows = run[1].run.results.rows
    methods = list(dict.fromkeys(r.method for r in rows))
    assert methods == ["STREAMNet", "GREEN", "ICA", "CHROM", "LGI", "PBV", "POS", "OMIT"]
    windows = {m: {(r.recording, r.end_s) for r in rows if r.method == m} for m in methods}
    assert all(w == windows["STREAMNet"] for w in windows.values())


def test_the_table_says_what_made_it(run):
    _, done = run
    place = done.folder / "STREAMNet-seed-100"
    told = read_results(done.run.folder).provenance
    assert told["protocol"]["folds"] == 4
    classical = read_results(done.folder / "classical").provenance
    assert told["data_fingerprint"] == classical["data_fingerprint"]
    for fold in range(4):
        own = told["methods"]["STREAMNet"][f"fold {fold}"]
        training = place / f"fold-{fold}" / "training"
        assert own["weights_sha256"] == file_hash(training / "weights" / "best.safetensors")
        split = read_split(done.run.folder / f"split-fold-{fold}.json")
        assert split == read_split(training / "split.json")
        assert own["train_subjects"] == split["TRAIN"]
    assert told["methods"]["POS"] == classical["methods"]["POS"]


def test_seeds_go_on_from_the_first_one(ubfc, tmp_path):
    keys = [*QUICK, *SPLIT, "TRAINING.SEED=7", "UNSUPERVISED.METHOD=[POS]"]
    keys.append("EVALUATION.BASELINE=POS")
    done = run_protocol(
        "ubfc-intra", seeds=2, data_root=ubfc, overrides=keys, output=tmp_path, plots=False
    )
    results = read_results(done.run.folder)
    assert [s.method for s in results.summaries] == ["STREAMNet (7)", "STREAMNet (8)", "POS"]
    weights = [results.provenance["methods"][f"STREAMNet ({seed})"] for seed in (7, 8)]
    assert [own["training"]["seed"] for own in weights] == [7, 8]
    assert results.provenance["seed"] == 7
    assert results.provenance["protocol"]["seeds"] == [7, 8]
    assert read_split(done.run.folder / "split.json")["TEST"] == ["subject4"]
    (line,) = summary_lines(done.summary)
    assert results.notes.count(line) == 1  # where everybody sees it
    assert line not in read_protocol(tmp_path).results.notes  # which has it in the table


def test_what_is_finished_is_not_done_again(run, monkeypatch):
    options, first = run
    monkeypatch.setattr(protocols, "benchmark", lambda *a, **k: pytest.fail("tested again"))
    weights = first.folder / "STREAMNet-seed-100" / "fold-0" / "training" / "weights"
    before = (weights / "best.safetensors").stat().st_mtime_ns
    again = run_protocol("ubfc-intra", plots=False, **options)
    assert (weights / "best.safetensors").stat().st_mtime_ns == before
    assert again.summary == first.summary
    assert again.run.folder.name == "results-2"


def test_weights_that_are_named_are_not_asked_for(run, monkeypatch):
    options, _ = run
    monkeypatch.setattr(protocols, "benchmark", lambda *a, **k: pytest.fail("tested again"))
    keys = [*options["overrides"], "INFERENCE.MODEL_PATH=/none.safetensors"]
    run_protocol("ubfc-intra", plots=False, **{**options, "overrides": keys})


def test_what_other_settings_made_is_not_taken_for_this(run, tmp_path):
    options, first = run
    folder = tmp_path / "out"
    shutil.copytree(first.folder, folder)
    other = [*QUICK, "UNCERTAINTY.MC_SAMPLES=3"]

    def samples(which):
        place = folder / "STREAMNet-seed-100" / "fold-0" / which
        return {len(p.samples) for p in load_pairs(place) if p.samples is not None}

    changed = {**options, "overrides": other, "output": folder}
    again = run_protocol("ubfc-intra", plots=False, **changed)
    assert samples("results") == {2}  # left as it was
    assert samples("results-2") == {3}
    steps = "STREAMNet-seed-100/fold-0/training/steps.csv"
    assert (folder / steps).read_bytes() == (first.folder / steps).read_bytes()  # trained no more
    assert {r.recording for r in again.run.results.rows} == {f"subject{n}" for n in (1, 2, 3, 4)}
    assert (folder / "classical-2").is_dir()


def test_what_other_weights_made_is_not_taken_for_this(run, tmp_path, monkeypatch):
    options, first = run
    folder = tmp_path / "out"
    shutil.copytree(first.folder, folder)
    for fold in range(4):
        path = folder / "STREAMNet-seed-100" / f"fold-{fold}" / "training/weights/best.safetensors"
        model, metadata = load_checkpoint(path)
        torch.nn.init.normal_(model.final_dense_2.weight)
        save_checkpoint(model, path, metadata)
    tested = []
    monkeypatch.setattr(
        protocols, "benchmark", lambda c, **k: tested.append(k["output"]) or benchmark(c, **k)
    )
    run_protocol("ubfc-intra", plots=False, **{**options, "output": folder})
    assert [place.parent.name for place in tested] == [f"fold-{n}" for n in range(4)]


def test_a_training_of_other_settings_is_gone_on_with_by_force_alone(run, tmp_path):
    options, first = run
    folder = tmp_path / "out"
    shutil.copytree(first.folder, folder)
    changed = {**options, "overrides": [*QUICK, "TRAIN.EPOCHS=2"], "output": folder}
    with pytest.raises(ConfigError, match=r"EPOCHS: 1 -> 2.*--force"):
        run_protocol("ubfc-intra", plots=False, **changed)
    again = run_protocol("ubfc-intra", plots=False, force=True, **changed)
    (note,) = [n for n in again.run.results.notes if "fold 3" in n]
    assert "with other settings" in note
    assert "TRAIN.EPOCHS: 1 -> 2" in note
    assert "by force" not in " ".join(first.run.results.notes)
    epochs = folder / "STREAMNet-seed-100" / "fold-3" / "training" / "epochs.csv"
    assert len(epochs.read_text().splitlines()) == 3


def test_the_training_that_diverged_is_named(ubfc, tmp_path):
    keys = [*QUICK, *SPLIT, "TRAIN.LR=1e35", "TRAIN.EPOCHS=2"]
    with pytest.raises(StreamnetError, match="TS-CAN, seed 100: the training diverged"):
        run_protocol(
            "ubfc-intra", networks=["TS-CAN"], data_root=ubfc, overrides=keys, output=tmp_path
        )


def test_a_training_that_diverges_costs_its_own_row_alone(ubfc, tmp_path, monkeypatch):
    real = protocols.train

    def train(config, **options):
        if config.TRAINING.SEED == 100:
            raise DivergedError("the training diverged at step 3", remedy="lower LR.")
        return real(config, **options)

    monkeypatch.setattr(protocols, "train", train)
    done = run_protocol(
        "ubfc-intra", seeds=2, data_root=ubfc, output=tmp_path, plots=False,
        overrides=[*QUICK, *SPLIT, "EVALUATION.BASELINE='STREAMNet (100)'"],
    )  # fmt: skip
    results = done.run.results
    rows = {summary.method for summary in results.summaries}
    assert "STREAMNet (101)" in rows
    assert "STREAMNet (100)" not in rows
    (lost,) = results.failures
    assert (lost.recording, lost.method) == ("STREAMNet, seed 100", "STREAMNet (100)")
    missing = "STREAMNet (100) is missing: the training of STREAMNet, seed 100 diverged."
    assert missing in results.notes
    assert any("baseline STREAMNet (100) is missing" in note for note in results.notes)
    missing, known = done.summary["STREAMNet"]["MAE"]["by_seed"]
    assert missing is None
    assert done.summary["STREAMNet"]["MAE"]["mean"] == known
    assert any(", 1 seed" in note for note in results.notes)
    assert any("is missing" in note for note in protocol_grid([read_protocol(tmp_path)]).notes)


def test_a_fold_that_diverges_costs_the_row_of_its_network(run, ubfc, tmp_path, monkeypatch):
    real = protocols.train

    def train(config, **options):
        if config.MODEL.STREAMNET.SHIFT == "zero" and "fold-2" in str(options["output"]):
            raise DivergedError("the training diverged at step 3", remedy="lower LR.")
        return real(config, **options)

    monkeypatch.setattr(protocols, "train", train)
    shutil.copytree(run[1].folder, tmp_path / "out")
    options = {**run[0], "output": tmp_path / "out"}
    done = run_protocol("ubfc-intra", networks=["STREAMNet", "TS-CAN"], plots=False, **options)
    rows = [row.method for row in done.run.results.rows]
    assert rows.count("STREAMNet") == 4
    assert "TS-CAN" not in rows
    assert "TS-CAN: no result" in summary_lines(done.summary)
    outcome = CliRunner().invoke(app, ["protocol", "table", str(tmp_path / "out")])
    assert "TS-CAN is missing" in outcome.output


def test_people_that_were_trained_on_by_force_are_told(run, tmp_path):
    options, first = run
    folder = tmp_path / "out"
    shutil.copytree(first.folder, folder)
    place = folder / "STREAMNet-seed-100"
    place.joinpath("fold-0").rename(place / "aside")
    place.joinpath("fold-2").rename(place / "fold-0")  # of other people
    place.joinpath("aside").rename(place / "fold-2")
    shutil.rmtree(place / "fold-0" / "results")
    again = run_protocol("ubfc-intra", plots=False, force=True, **{**options, "output": folder})
    (note,) = [n for n in again.run.results.notes if "fold 0: it was trained on" in n]
    (tested,) = read_split(folder / "splits" / "fold-0-of-4.json")["test"]
    assert f"1 person of the test ({tested})" in note


def test_what_a_network_did_not_read_is_told_of_no_other(ubfc, tmp_path):
    keys = [*QUICK, *SPLIT, "UNSUPERVISED.METHOD=[pos]"]
    options = {"data_root": ubfc, "overrides": keys, "output": tmp_path, "plots": False}
    run_protocol("ubfc-intra", networks=["TS-CAN"], **options)
    path = tmp_path / "TS-CAN-seed-100" / "training" / "weights" / "best.safetensors"
    model, metadata = load_checkpoint(path)
    torch.nn.init.zeros_(model.final_dense_2.weight)
    save_checkpoint(model, path, metadata)
    again = run_protocol("ubfc-intra", networks=["TS-CAN", "STREAMNet", "TS-CAN"], **options)
    assert [(f.method, f.recording) for f in again.run.results.failures] == [("TS-CAN", "subject4")]
    counts = {s.method: s.n_windows + s.n_no_result for s in again.run.results.summaries}
    assert counts == {"TS-CAN": 1, "STREAMNet": 1, "POS": 1}  # who is named twice counts once


def test_what_is_said_of_a_recording_stands_below_the_table(run, tmp_path, monkeypatch):
    options, _ = run
    noted = benchmark

    def told(config, **kwargs):
        done = noted(config, **kwargs)
        path = done.folder / "results.json"
        content = json.loads(path.read_text())
        content["notes"] += ["subject1: 2 faces in frame 0.", "subject11: another."]
        path.write_text(json.dumps(content))
        return replace(done, results=read_results(done.folder))

    monkeypatch.setattr(protocols, "benchmark", told)
    done = run_protocol("ubfc-intra", plots=False, **{**options, "output": tmp_path})
    notes = done.run.results.notes
    assert notes.count("subject1: 2 faces in frame 0.") == 1
    assert "subject11: another." not in notes


def test_in_two_processes_the_first_one_tests(ubfc, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", "2", "-m", "streamnet_plugin", "protocol", "run", "ubfc-intra"]
    command += ["--data-root", str(ubfc), "-o", str(tmp_path / "out"), "--no-plots", *QUICK]
    command += [*SPLIT, "TRAIN.BATCH_SIZE=2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("STREAMNet: MAE") == 1
    places = sorted(p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("results*"))
    assert [p for p in places if "." not in p] == ["STREAMNet-seed-100/results", "results"]
    starts = tmp_path / "out" / "STREAMNet-seed-100" / "training" / "provenance.json"
    assert len(json.loads(starts.read_text())["starts"]) == 1


def test_the_summary_is_over_seeds(run):
    summary = run[1].summary["STREAMNet"]
    mae = run[1].run.results.summaries[0].values["MAE"][0]
    assert summary["MAE"] == {"by_seed": [mae], "mean": mae, "sd": None}
    (line,) = summary_lines(run[1].summary)
    assert line == f"STREAMNet: MAE {mae:.2f} bpm, 1 seed"
    two = {"X": {"seeds": [1, 2], "MAE": {"by_seed": [1.0, 3.0], "mean": 2.0, "sd": 2**0.5}}}
    assert summary_lines(two) == ["X: MAE 2.00 +- 1.41 (SD over seeds) bpm, 2 seeds"]


def test_protocols_in_one_table(run, tmp_path):
    one = read_protocol(run[1].folder)
    told = {"seeds": [1, 2], "MAE": {"by_seed": [4.0, None], "mean": 4.0, "sd": None}}
    other = replace(one, name="pure-intra", networks={"STREAMNet (x)": told})
    shared, own = one.results.notes[0], "a note of its own"
    noted = replace(other.results, notes=(shared, own))
    grid = protocol_grid([one, replace(other, results=noted)])
    assert grid.notes.count(shared) == 1
    assert f"pure-intra: {own}" in grid.notes
    assert "HR of whole videos by FFT, convention toolbox-2025 (0.6-3.3 Hz)." in grid.notes
    banded = replace(other, results=replace(noted, convention="neurips-2023 (0.75-2.5 Hz)"))
    notes = "\n".join(protocol_grid([one, banded]).notes)
    assert "ubfc-intra: HR of whole videos by FFT, convention toolbox-2025" in notes
    assert "pure-intra: HR of whole videos by FFT, convention neurips-2023" in notes
    assert grid.columns == ("Method", "ubfc-intra", "pure-intra")
    rows = {row[0].text: row for row in grid.rows}
    assert list(rows)[:2] == ["STREAMNet", "GREEN"]
    mae = run[1].summary["STREAMNet"]["MAE"]["mean"]
    assert rows["STREAMNet"][1].text == f"{mae:.2f}"  # no interval: its spread is over seeds
    pos = next(s for s in one.results.summaries if s.method == "POS")
    assert rows["POS"][1].text == interval(estimate(one.results, pos, "MAE"))
    assert rows["POS"][1].value == rows["POS"][2].value
    assert rows["STREAMNet (x)"][1].text == DASH
    assert rows["STREAMNet (x)"][2].text == "4.00 (1 of 2 seeds without a result)"
    best = min((row for row in grid.rows if row[1].value is not None), key=lambda r: r[1].value)
    assert best[1].mark == "best"
    with pytest.raises(ConfigError, match="one protocol"):
        protocol_grid([one, one])
    with pytest.raises(ConfigError, match="SNR"):
        protocol_grid([one], "SNR")


def test_the_table_is_printed(run, tmp_path):
    def printed(*words):
        return CliRunner().invoke(app, ["protocol", "table", *map(str, words)])

    assert "| GREEN |" in printed(run[1].folder, "--markdown").output
    assert "RMSE in bpm" in printed(run[1].folder, "--metric", "RMSE").output
    (tmp_path / "protocol.json").write_text("{}")
    assert isinstance(printed(tmp_path).exception, DataError)


def test_a_wrong_key_is_told_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(protocols, "write_twins", lambda *a: pytest.fail("drawn"))
    with pytest.raises(ConfigError, match="CHUNK_LENGTH"):
        run_protocol(
            "ubfc-intra", twins=Twins(), overrides=["TRAIN.DATA.PREPROCESS.CHUNK_LENGTH=175"]
        )


def test_only_the_datasets_of_a_protocol_are_drawn(monkeypatch):
    drawn = []
    monkeypatch.setattr(protocols, "write_ubfc_set", lambda place, *a, **k: drawn.append(place))
    monkeypatch.setattr(protocols, "write_pure_set", lambda place, *a, **k: drawn.append(place))
    monkeypatch.setattr(protocols, "with_data_root", lambda config, root: pytest.fail(str(root)))
    for name, datasets in (("pure-intra", ["PURE"]), ("ubfc-to-pure", ["UBFC-rPPG", "PURE"])):
        with pytest.raises(pytest.fail.Exception, match=datasets[0]):
            run_protocol(name, twins=Twins(), overrides=QUICK)
        assert [place.name for place in drawn] == datasets
        drawn.clear()


def test_one_option_sets_the_size_of_every_section():
    config = load_config("train/ubfc-intra", size_keys(36))
    sizes = {(d.PREPROCESS.RESIZE.H, d.PREPROCESS.RESIZE.W) for d in config.sections.values()}
    assert sizes == {(36, 36)}
    assert size_keys(None) == ()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ubfc", {}, "ubfc-intra, pure-intra"),
        ("ubfc-intra", {"networks": ["UNet"]}, "TS-CAN"),
        ("pure-to-ubfc", {"folds": 3}, "nothing to fold"),
        ("ubfc-30-12", {"folds": 3}, "not to be folded"),
        ("ubfc-30-12", {}, "no such subject"),
        ("ubfc-30-12", {"twins": Twins()}, "whom the twins do not have"),
        ("ubfc-intra", {"seeds": 0}, "nothing to train"),
        ("ubfc-intra", {"folds": 2}, "one each at least"),
        ("ubfc-intra", {"folds": 9}, "at most 4"),
        ("pure-intra", {"folds": 6, "twins": Twins()}, "at most 5"),
        ("ubfc-intra", {"folds": 2, "twins": Twins()}, "one each at least"),
        ("ubfc-intra", {"overrides": ["UNSUPERVISED.METHOD=[STREAMNet]"]}, "this protocol trains"),
        ("ubfc-intra", {"overrides": ["UNSUPERVISED.METHOD=[streamnet]"]}, "this protocol trains"),
        ("ubfc-intra", {"overrides": ["EVALUATION.BASELINE=TSCAN"]}, "none of the methods"),
        (
            "ubfc-intra",
            {"overrides": ["UNSUPERVISED.METHOD=[pos]", "EVALUATION.BASELINE=pos"]},
            "none of the methods",
        ),
        ("ubfc-intra", {"overrides": [f"TRAINING.SEED={2**63 - 1}"], "seeds": 2}, "no 2 seeds"),
    ],
)
def test_what_cannot_be_run(name, options, message, ubfc, tmp_path, monkeypatch):
    monkeypatch.setattr(protocols, "write_twins", lambda *a: pytest.fail("drawn"))
    monkeypatch.setattr(protocols, "train", lambda *a, **o: pytest.fail("trained"))
    options = {**options, "overrides": [*QUICK, *options.get("overrides", ())]}
    with pytest.raises(ConfigError) as error:
        run_protocol(name, data_root=ubfc, output=tmp_path, **options)
    assert message in str(error.value)


def test_the_ablation_changes_the_network_and_nothing_else():
    config = load_config("train/pure-to-ubfc", SMALL)
    nets = {n: new_network(protocols._with(config, c, 5, None)).config for n, c in NETWORKS.items()}
    assert (nets["STREAMNet"].shift, nets["STREAMNet"].ssfem) == ("wrap", True)
    assert (nets["TS-CAN"].shift, nets["TS-CAN"].ssfem) == ("zero", False)
    assert nets["no shift"].shift == "none"
    assert nets["zero-padded shift"].shift == "zero"
    assert not nets["no SS-FEM"].ssfem
    assert not nets["no STLAM"].attention
    assert len({str(c) for c in nets.values()}) == len(NETWORKS)
    changed = protocols._with(config, NETWORKS["TS-CAN"], 5, None)
    assert changed.TRAINING.SEED == 5
    assert changed.TRAIN == config.TRAIN


def test_protocol_list():
    output = CliRunner().invoke(app, ["protocol", "list"]).output
    assert all(name in output for name in (*PROTOCOLS, *NETWORKS))


def test_folds_are_disjoint_and_whole():
    subjects = [f"s{n}" for n in range(11)]
    splits = fold_splits(subjects, 4, seed=1)
    tested = [s for split in splits for s in split["test"]]
    assert sorted(tested) == sorted(subjects)
    for split in splits:
        assert sorted(s for part in split.values() for s in part) == sorted(subjects)
        assert min(len(part) for part in split.values()) >= 2
    assert splits != fold_splits(subjects, 4, seed=2)


def test_the_shipped_split_has_the_subjects_of_dataset_2():
    parts = read_split(find_split("splits/ubfc-30-12.json"))
    assert {name: len(part) for name, part in parts.items()} == {"train": 30, "test": 12}
    numbers = [int(s.removeprefix("subject")) for part in parts.values() for s in part]
    assert numbers == sorted(numbers)  # the first 30 by number
    assert not set(numbers) & {2, 6, 7, 19, 21, 28, 29}  # there are none


def test_a_section_takes_a_part_of_a_split(ubfc, tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["subject3", "subject1"], "test": ["subject9"]}))

    def section(name, **more):
        fold = {"FOLD_NAME": name, "FOLD_PATH": str(path)}
        return Data(DATASET="UBFC-rPPG", DATA_PATH=str(ubfc), FOLD=fold, **more)

    assert [r.subject for r in recordings_of(section("train"))] == ["subject1", "subject3"]
    assert [r.subject for r in recordings_of(section("train", END=0.5))] == ["subject1"]
    with pytest.raises(ConfigError, match="subject9"):
        recordings_of(section("test"))
    with pytest.raises(ConfigError, match="no such part") as error:
        recordings_of(section("valid"))
    assert "train, test" in error.value.remedy
    with pytest.raises(ConfigError) as error:
        find_split("splits/none.json")
    assert "ubfc-30-12.json" in error.value.remedy
