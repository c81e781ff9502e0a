"""The rPPG-Toolbox's saved outputs: read, joined in order, and never executed."""

from __future__ import annotations

import codecs
import importlib
import os
import pickle
import sys
import warnings
from collections import OrderedDict, defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from streamnet_plugin import cli
from streamnet_plugin.errors import DataError
from streamnet_plugin.report.writer import read_results
from streamnet_plugin.rescoring import rescore
from toolbox_adapters.rppg_toolbox import outputs
from toolbox_adapters.rppg_toolbox.outputs import read_outputs

T = np.arange(300) / 30


def wave(bpm):
    return np.sin(2 * np.pi * bpm / 60 * T)


def as_tensor(x):
    return torch.tensor(x, dtype=torch.float32)[:, None]


def save(path, wrap=as_tensor, protocol=pickle.DEFAULT_PROTOCOL, **changes):
    def chunked(x):
        return {i: wrap(x[100 * i : 100 * i + 100]) for i in (2, 0, 1)}

    content = {
        "predictions": {"subject2": chunked(wave(90)), "subject1": chunked(wave(70))},
        "labels": {"subject2": chunked(wave(90)), "subject1": chunked(wave(60))},
        "label_type": "Standardized",
        "fs": 30,
    } | changes
    path.write_bytes(pickle.dumps({k: v for k, v in content.items() if v is not None}, protocol))
    return path


@pytest.mark.parametrize("wrap", [lambda x: torch.tensor(x)[:, None], torch.tensor, np.array])
def test_chunks_are_joined_in_order(tmp_path, wrap):
    first, second = read_outputs(save(tmp_path / "net_outputs.pickle", wrap))
    assert (first.recording, second.recording) == ("subject1", "subject2")
    assert first.method == "net"
    assert np.allclose(first.pred, wave(70), atol=1e-6)
    assert np.allclose(first.label, wave(60), atol=1e-6)
    assert first.fs == 30
    assert not first.differential


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("core", ["numpy._core", "numpy.core"])
@pytest.mark.parametrize(
    "wrap",
    [as_tensor, np.array, lambda x: np.repeat(x, 2)[::2], lambda x: np.asfortranarray(x[:, None])],
    ids=["tensor", "array", "strided", "fortran"],
)
def test_every_protocol_and_numpy_is_read(tmp_path, monkeypatch, protocol, core, wrap):
    reduced = [
        x for p in (2, 5) for x in (np.empty(1).__reduce_ex__(p), np.float64(1).__reduce__())
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy 2 has the names of 1 as well
        for function, *_ in reduced:
            module = f"{core}.{function.__module__.rpartition('.')[2]}"
            monkeypatch.setattr(function, "__module__", module)
        path = save(tmp_path / "a.pickle", wrap, protocol, fs=np.float64(30), extra=b"\xff")
    if wrap is not as_tensor:
        assert f"{core}.".encode() in path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, _ = read_outputs(path)
    assert np.allclose(first.pred, wave(70), atol=1e-6)
    assert first.fs == 30


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: torch.nn.Parameter(as_tensor(x)),
        lambda x: as_tensor(x).requires_grad_(),
        lambda x: as_tensor(x).bfloat16(),
        lambda x: as_tensor(x).half(),
    ],
    ids=["parameter", "gradient", "bfloat16", "half"],
)
def test_any_tensor_of_numbers_is_read(tmp_path, protocol, wrap):
    first, _ = read_outputs(save(tmp_path / "a.pickle", wrap, protocol))
    assert np.allclose(first.pred, wave(70), atol=0.005)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("factory", [dict, list, int, str, None])
def test_the_containers_of_collections_are_read(tmp_path, protocol, factory):
    chunks = defaultdict(factory, {0: wave(70)})
    path = save(
        tmp_path / "a.pickle",
        protocol=protocol,
        predictions=defaultdict(factory, {"a": chunks}),
        labels=OrderedDict(a=chunks),
    )
    (pair,) = read_outputs(path)
    assert np.array_equal(pair.pred, wave(70))


def test_a_factory_does_not_make_up_what_is_missing(tmp_path):
    content = defaultdict(dict, predictions={}, labels={}, fs=30)
    (tmp_path / "a.pickle").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="lacks the key 'label_type'"):
        list(read_outputs(tmp_path / "a.pickle"))


def test_they_are_scored(tmp_path):
    results = rescore(save(tmp_path / "net_outputs.pickle")).results
    errors = {row.recording: row.abs_error for row in results.rows}
    assert errors["subject2"] == 0
    assert errors["subject1"] == pytest.approx(10, abs=3.6)


def test_who_a_pickle_shows_is_told_by_names_like_ubfc_or_a_table_and_else_by_a_note(tmp_path):
    known = rescore(save(tmp_path / "net_outputs.pickle")).results
    good = {"s1_a": {0: wave(90)}, "s1_b": {0: wave(70)}}
    path = save(tmp_path / "own_outputs.pickle", predictions=good, labels=good)
    table = tmp_path / "people.csv"
    table.write_text("recording,subject\ns1_a,s1\ns1_b,s1\n")
    options = ["--subjects", str(table), "--no-plots", "-o", str(tmp_path / "r")]
    done = CliRunner().invoke(cli.app, ["compare", str(path), *options])
    assert done.exit_code == 0
    named = read_results(tmp_path / "r")
    found = [known, named, rescore(path).results]
    assert [results.summaries[0].n_subjects for results in found] == [2, 1, 2]
    said = [any("nobody said who" in note for note in results.notes) for results in found]
    assert said == [False, False, True]


def test_a_video_without_a_waveform_is_of_the_named_dataset_too(tmp_path):
    good = {"101": {0: wave(90)}, "102": {0: wave(70)}}
    labels = {"101": {0: wave(90)}, "102": {1: wave(70)}}
    path = save(tmp_path / "net_outputs.pickle", predictions=good, labels=labels)
    done = CliRunner().invoke(cli.app, ["evaluate", str(path), "--dataset", "PURE"])
    assert done.exit_code == 1
    assert "FAILED 01-02 [net]" in done.stderr
    assert "PURE: 1 subject, 1 window" in done.stdout


def test_difference_labels_are_integrated(tmp_path):
    save(tmp_path / "a.pickle", label_type="DiffNormalized")
    assert all(pair.differential for pair in read_outputs(tmp_path / "a.pickle"))


class Bomb:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return (self.call, self.arguments)


@pytest.mark.parametrize("call", [os.system, eval, exec])
def test_code_is_refused_by_name_and_not_run(tmp_path, call):
    trace = tmp_path / "boom"
    argument = f"touch {trace}" if call is os.system else f"open({str(trace)!r}, 'w')"
    save(tmp_path / "a.pickle", fs=Bomb(call, argument))
    with pytest.raises(DataError, match=call.__name__):
        list(read_outputs(tmp_path / "a.pickle"))
    assert not trace.exists()


def test_code_inside_a_tensor_is_not_run_either(tmp_path):
    trace = tmp_path / "boom"
    inner = pickle.dumps(Bomb(eval, f"open({str(trace)!r}, 'w')"))
    hidden = Bomb(torch.storage._load_from_bytes, inner)
    save(tmp_path / "a.pickle", fs=hidden)
    with pytest.raises(DataError):
        list(read_outputs(tmp_path / "a.pickle"))
    assert not trace.exists()


def test_a_factory_that_would_run_something_is_refused(tmp_path):
    for factory in (os.getcwd, partial(os.system, "true"), breakpoint, np.load):
        save(tmp_path / "a.pickle", predictions=defaultdict(factory, {"a": {0: wave(70)}}))
        with pytest.raises(DataError, match="not allowed"):
            list(read_outputs(tmp_path / "a.pickle"))


@pytest.mark.parametrize(
    ("call", "arguments", "says"),
    [
        (getattr, (1, "real"), r"builtins\.getattr"),
        (__import__, ("antigravity",), r"builtins\.__import__"),
        (codecs.encode, ("uryyb", "rot13"), "encodes to rot13"),
        (torch.load, ("a.pickle",), r"torch\.serialization\.load"),
        (np.load, ("a.pickle",), r"numpy\.load|npyio"),
        (torch._utils._rebuild_tensor_v2, (1, 2), "safely"),
    ],
    ids=["getattr", "import", "encode", "torch-load", "numpy-load", "arguments"],
)
def test_what_does_no_more_than_look_harmless_is_refused(tmp_path, call, arguments, says):
    save(tmp_path / "a.pickle", fs=Bomb(call, *arguments))
    with pytest.raises(DataError, match=says):
        list(read_outputs(tmp_path / "a.pickle"))


def test_every_allowed_name_is_data_or_makes_data():
    """One more is one more to think about: it must call, import and open nothing it is given."""
    names = {f"{module}.{name}" for module, name in {*outputs._ALLOWED, *outputs._STAND_INS}}
    assert {n for n in names if not n.startswith(("builtins.", "__builtin__.", "numpy."))} == {
        "_codecs.encode", "collections.OrderedDict", "collections.defaultdict", "torch.device",
        "torch._utils._rebuild_parameter", "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2", "torch.storage._load_from_bytes",
    }  # fmt: skip
    plain = {"dict", "list", "tuple", "set", "frozenset", "int", "float", "str", "long", "unicode"}
    assert {n.partition(".")[2] for n in names if "builtin" in n} == plain


def test_missing_keys_and_rubbish(tmp_path):
    with pytest.raises(DataError, match="label_type"):
        list(read_outputs(save(tmp_path / "a.pickle", label_type=None)))
    (tmp_path / "b.pickle").write_bytes(b"rubbish")
    with pytest.raises(DataError, match="safely"):
        list(read_outputs(tmp_path / "b.pickle"))


@pytest.mark.parametrize("fs", [float("nan"), 0.0, -30.0, float("inf")])
def test_a_frame_rate_that_is_none_is_told(tmp_path, fs):
    with pytest.raises(DataError, match="frame rate of") as error:
        list(read_outputs(save(tmp_path / "a.pickle", fs=fs)))
    assert "fs of its videos" in error.value.remedy


def test_a_video_without_a_label_is_a_failure_by_name_and_the_rest_is_scored(tmp_path):
    path = save(tmp_path / "a_outputs.pickle", labels={"subject2": {0: wave(90)}},
                predictions={"subject2": {0: wave(90)}, "subject1": {0: wave(70)}})  # fmt: skip
    results = rescore(path).results
    (failure,) = results.failures
    assert (failure.recording, failure.path) == ("subject1", str(path))
    assert "no true waveform" in failure.reason
    assert results.summaries[0].n_windows == 1


def test_a_video_without_a_prediction_is_a_failure_by_name(tmp_path):
    path = save(tmp_path / "a_outputs.pickle", predictions={"subject2": {0: wave(90)}},
                labels={"subject2": {0: wave(90)}, "subject1": {0: wave(70)}})  # fmt: skip
    results = rescore(path).results
    assert [f.recording for f in results.failures] == ["subject1"]
    assert (results.summaries[0].n_windows, results.summaries[0].n_no_result) == (1, 1)


def chunked(bpm, **chunks):
    """Five chunks of 60 samples; `c2=None` leaves one out, another value stands in its place."""
    made = {i: wave(bpm)[60 * i : 60 * i + 60] for i in range(5)}
    made |= {int(name[1:]): chunk for name, chunk in chunks.items()}
    return {i: chunk for i, chunk in made.items() if chunk is not None}


NAN = np.full(60, np.nan)


@pytest.mark.parametrize("what", ["predictions", "labels"])
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"c2": None}, "lacks the chunk 2"),
        ({"c0": None}, "lacks the chunk 0"),
        ({"c4": None}, "lacks the chunk 4"),
        ({"c2": wave(90)[:50]}, "the chunk 2 has"),
        ({"c2": np.array(["a"] * 60)}, "instead of numbers"),
        ({"c2": [[1.0], [1.0, 2.0]]}, "no waveforms"),
        ({"c2": NAN}, "60 of 300 values that are not finite"),
    ],
)
def test_a_bad_chunk_fails_its_video_alone(tmp_path, what, bad, says):
    good = {"a": chunked(90), "b": chunked(70), "c": chunked(80)}
    both = {"predictions": good, "labels": good} | {what: {**good, "b": chunked(70, **bad)}}
    path = save(tmp_path / "net_outputs.pickle", **both)
    other = save(tmp_path / "other_outputs.pickle", predictions=good, labels=good)
    results = rescore(path, other).results
    (failure,) = results.failures
    assert (failure.recording, failure.path, failure.method) == ("b", str(path), "net")
    assert says in failure.reason
    assert failure.remedy
    if "lacks" in says:
        assert failure.reason.startswith(f"the {what[:-1]} lacks")
    read = {(r.method, r.recording) for r in results.rows if r.status == "ok"}
    assert read == {("net", "a"), ("net", "c"), *(("other", name) for name in good)}
    assert all(r.abs_error == 0 for r in results.rows if r.status == "ok")
    done = CliRunner().invoke(
        cli.app, ["compare", str(path), str(other), "--no-plots", "-o", str(tmp_path / "r")]
    )
    assert done.exit_code == 1
    assert f"FAILED b [net] ({path}): {failure.reason} Remedy: {failure.remedy}" in done.stderr
    assert (tmp_path / "r" / "results.json").is_file()


def test_a_pickle_of_bad_videos_alone_is_an_error(tmp_path):
    path = save(tmp_path / "net_outputs.pickle", predictions={"a": chunked(90, c2=None)},
                labels={"a": chunked(90)})  # fmt: skip
    with pytest.raises(DataError, match="none of 1 recording could be used") as error:
        rescore(path)
    assert error.value.path == path


def toolbox_numbers(pred, label, fs, differential, monkeypatch):
    monkeypatch.syspath_prepend(os.environ["RPPG_TOOLBOX"])
    for name in ("evaluation", "evaluation.post_process"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("evaluation.post_process")
    return module.calculate_metric_per_video(pred, label, fs, differential)


PUBLISHED = Path(
    os.environ.get("RPPG_TOOLBOX", "/nowhere"),
    "model_outputs/PURE_PURE_UBFC_deepphys_outputs.pickle",
)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="RPPG_TOOLBOX with its model_outputs is unset")
def test_published_outputs_of_42_real_recordings_score_as_the_toolbox_scores_them(monkeypatch):
    pairs = {pair.recording: pair for pair in read_outputs(PUBLISHED)}
    rows = rescore(PUBLISHED).results.rows
    assert len(rows) == len(pairs) == 42
    for row in rows[::6]:
        pair = pairs[row.recording]
        theirs = toolbox_numbers(pair.pred, pair.label, 30, pair.differential, monkeypatch)
        ours = (row.hr_label, row.hr_pred, row.snr_db, row.macc)
        assert ours == pytest.approx(theirs, abs=1e-6)
