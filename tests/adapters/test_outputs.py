"""The rPPG-Toolbox's saved outputs: read, joined in order, and never executed."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from streamnet_plugin.errors import DataError
from streamnet_plugin.rescoring import rescore
from toolbox_adapters.rppg_toolbox.outputs import read_outputs

T = np.arange(300) / 30


def wave(bpm):
    return np.sin(2 * np.pi * bpm / 60 * T)


def save(path, wrap=lambda x: torch.tensor(x, dtype=torch.float32)[:, None], **changes):
    def chunked(x):
        return {i: wrap(x[100 * i : 100 * i + 100]) for i in (2, 0, 1)}

    content = {
        "predictions": {"subject2": chunked(wave(90)), "subject1": chunked(wave(70))},
        "labels": {"subject2": chunked(wave(90)), "subject1": chunked(wave(60))},
        "label_type": "Standardized",
        "fs": 30,
    } | changes
    path.write_bytes(pickle.dumps({k: v for k, v in content.items() if v is not None}))
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


def test_they_are_scored(tmp_path):
    results = rescore(save(tmp_path / "net_outputs.pickle")).results
    errors = {row.recording: row.abs_error for row in results.rows}
    assert errors["subject2"] == 0
    assert errors["subject1"] == pytest.approx(10, abs=3.6)


def test_difference_labels_are_integrated(tmp_path):
    save(tmp_path / "a.pickle", label_type="DiffNormalized")
    assert all(pair.differential for pair in read_outputs(tmp_path / "a.pickle"))


class Bomb:
    def __init__(self, call, argument):
        self.call, self.argument = call, argument

    def __reduce__(self):
        return (self.call, (self.argument,))


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


@pytest.mark.parametrize("keys", [(0, 2), (1, 2), (0, 1)])
@pytest.mark.parametrize("what", ["predictions", "labels"])
def test_a_missing_chunk_is_told_by_video_and_number(tmp_path, what, keys):
    whole = {"a": {i: wave(90) for i in range(3)}}
    part = {"a": {i: wave(90) for i in keys}}
    both = {"predictions": whole, "labels": whole} | {what: part}
    (missing,) = {0, 1, 2} - set(keys)
    with pytest.raises(DataError, match=f"{what[:-1]} of a lacks the chunk {missing}"):
        list(read_outputs(save(tmp_path / "a.pickle", **both)))


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
