"""Monte Carlo dropout by rate: the table, the figure, and what cannot be sampled."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from torch import nn

from streamnet_plugin import comparison, rates
from streamnet_plugin.comparison import benchmark
from streamnet_plugin.data.synthetic import easy
from streamnet_plugin.data.synthetic.writers import write_ubfc
from streamnet_plugin.errors import ConfigError, DataError, NoResultError, OutputError
from streamnet_plugin.rates import TRAINED, _row, rates_table, uncertainty_by_rate
from streamnet_plugin.report.results import WindowRow
from streamnet_plugin.types import Prediction

FEW = ["UNCERTAINTY.MC_SAMPLES=3", "UNCERTAINTY.MC_PRECISION=float32"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """One recording of 2 s in the UBFC-rPPG format."""
    root = tmp_path_factory.mktemp("rates")
    write_ubfc(
        root / "subject1",
        easy(1, width=320, height=240, duration_s=2.0, hr_bpm=80.0),
        codec="mjpg",
    )
    return root


@pytest.fixture(scope="module")
def sampled(dataset, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "r"
    return uncertainty_by_rate(
        rates=[0.5, 0.0, 0.1, 0.5], overrides=FEW, data_root=dataset, output=output, jobs=1
    )


def test_variance_grows_with_the_rate_from_nothing_at_zero(sampled):
    """The trained rates come first, a rate given twice is sampled once."""
    assert [row.rate for row in sampled.rows] == [None, 0.5, 0.0, 0.1]
    by_rate = {row.rate: row for row in sampled.rows}
    assert by_rate[0.0].variance == pytest.approx(0, abs=1e-12)
    assert by_rate[0.0].hr_sd == 0
    assert 0 < by_rate[0.1].variance < by_rate[0.5].variance
    assert 0 < by_rate[None].variance < 1
    for row in sampled.rows:
        assert (row.n_windows, row.n_subjects) == (1, 1)
        assert row.mae >= 0
        assert row.crps >= 0
        assert row.spearman.value is None
    assert by_rate[0.0].crps == pytest.approx(by_rate[0.0].mae)  # CRPS of a point is its error


def test_the_folder_holds_table_figure_and_provenance(sampled):
    names = {p.name for p in sampled.folder.iterdir()}
    kinds = {"csv", "md", "png", "pdf", "svg"}
    assert names == {*(f"rates.{kind}" for kind in kinds), "provenance.json"}
    with (sampled.folder / "rates.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["rate"] for line in lines] == [TRAINED, "0.5", "0.0", "0.1"]
    for line, row in zip(lines, sampled.rows, strict=True):
        assert float(line["variance"]) == row.variance
        assert float(line["mae"]) == row.mae
        assert line["spearman"] == line["spearman_low"] == ""
    text = (sampled.folder / "rates.md").read_text()
    assert text.startswith("Monte Carlo dropout of STREAMNet by rate: 1 subject")
    assert "the paper reports 0.0049-0.0113" in text
    assert f"| {TRAINED} | {sampled.rows[0].variance:.4f} |" in text
    starts = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    for kind, start in starts.items():
        content = (sampled.folder / f"rates.{kind}").read_bytes()
        assert content.startswith(start)
        assert len(content) > 5000
    source = json.loads((sampled.folder / "provenance.json").read_text())
    assert source["config"]["UNCERTAINTY"]["MC_SAMPLES"] == 3
    assert source["seed"] == source["config"]["UNCERTAINTY"]["SEED"]
    assert {"versions", "data_fingerprint", "git_commit"} <= set(source)
    assert "[0.5, 0.0, 0.1, 0.5]" in str(source)


def test_the_same_seed_gives_the_same_table(sampled, dataset):
    def at(seed):
        run = uncertainty_by_rate(
            rates=[0.1],
            overrides=[*FEW, f"UNCERTAINTY.SEED={seed}"],
            data_root=dataset,
            output=None,
            jobs=1,
        )
        assert run.folder is None
        return {row.rate: row for row in run.rows}

    before = {row.rate: row for row in sampled.rows}
    same = at(100)
    assert same == {rate: before[rate] for rate in (None, 0.1)}
    assert rates_table(sampled).rows[-1] == tuple(
        rates_table(rates.RateRun("STREAMNet", (same[0.1],), (), None)).rows[0]
    )
    assert at(101)[0.1].variance != same[0.1].variance


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rates": [0.1, 1.0]}, "dropout rate of 1"),
        ({"rates": [-0.1]}, "dropout rate of -0.1"),
        ({"rates": [float("nan")]}, "dropout rate of nan"),
        ({"overrides": ["UNCERTAINTY.MC_SAMPLES=1"]}, "fewer than 2 samples.*MC_SAMPLES"),
        ({"overrides": [*FEW, "MODEL.NAME=POS"]}, "POS has no dropout to sample.*STREAMNet"),
    ],
)
def test_what_cannot_be_sampled_is_refused(dataset, tmp_path, options, says):
    with pytest.raises(ConfigError, match=says):
        uncertainty_by_rate(**options, data_root=dataset, output=tmp_path / "r", jobs=1)
    assert list(tmp_path.iterdir()) == []


class Blind:
    name = "Blind"

    def predict(self, video):
        raise NoResultError("it is too dark")


def test_a_network_that_reads_nothing_is_not_said_to_have_no_dropout(dataset, monkeypatch):
    monkeypatch.setattr(rates, "make_method", lambda *_: Blind())
    with pytest.raises(DataError, match=r"no window has a result.*it is too dark"):
        uncertainty_by_rate(rates=[0.1], overrides=FEW, data_root=dataset, output=None, jobs=1)


class Recurrent:
    """Somebody's network, with dropout inside a layer, and maybe in one of its own."""

    name, variant = "Recurrent", "network"

    def __init__(self, rate):
        rnn, own = nn.LSTM(3, 4, num_layers=2, dropout=0.3), nn.Dropout(rate)
        self.model = nn.Sequential(rnn, *[own] * bool(rate)).eval()

    def predict(self, video):
        pulse = np.sin(2 * np.pi * 1.3 * np.arange(len(video.frames)) / video.fs)
        kept = [layer(torch.ones(len(pulse))).numpy() for layer in self.model[1:]]
        return Prediction(pulse * np.prod(kept, axis=0))


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_dropout_inside_a_layer_is_named_where_it_is_not_sampled(dataset, monkeypatch, rate):
    monkeypatch.setattr(comparison, "get_method", lambda *_, **__: Recurrent(rate))
    options = {"overrides": [*FEW, "MODEL.NAME=POS"], "data_root": dataset, "jobs": 1}
    if not rate:
        with pytest.raises(ConfigError, match=r"only inside 0 \(LSTM, dropout=0.3\)") as error:
            uncertainty_by_rate(rates=[0.1], **options, output=None)
        assert "Prediction.samples" in error.value.remedy
    else:
        run = uncertainty_by_rate(rates=[0.1], **options, output=None)
        assert "Without the dropout inside 0 (LSTM, dropout=0.3)." in rates_table(run).caption
    notes = benchmark(**options, methods=["POS"], output=None).results.notes
    (note,) = [note for note in notes if "LSTM" in note]
    assert note.startswith(
        "Recurrent: its Monte Carlo samples are without the dropout inside 0 (LSTM, dropout=0.3)"
        if rate
        else "Recurrent: no Monte Carlo samples, as it has nothing but the dropout inside 0 (LSTM"
    )
    none = {**options, "overrides": ["UNCERTAINTY.MC_SAMPLES=0"]}
    notes = benchmark(**none, methods=["POS"], output=None).results.notes
    assert not any("LSTM" in note for note in notes)


class Half:
    """Samples at the trained rates alone."""

    name = "Half"

    def __init__(self, config):
        self.rate = config.UNCERTAINTY.MC_RATE

    def predict(self, video):
        pulse = np.sin(2 * np.pi * 1.3 * np.arange(len(video.frames)) / video.fs)
        if self.rate:
            raise NoResultError("too few frames")
        noise = np.random.default_rng(0).normal(size=(4, len(pulse)))
        return Prediction(pulse, samples=pulse + 0.1 * noise)


def test_a_rate_without_a_result_is_an_empty_row_and_a_failure(dataset, monkeypatch, tmp_path):
    monkeypatch.setattr(rates, "make_method", lambda name, config: Half(config))
    run = uncertainty_by_rate(
        rates=[0.1], overrides=FEW, data_root=dataset, output=tmp_path / "r", jobs=1
    )
    good, empty = run.rows
    assert good.variance == pytest.approx(0.01, rel=0.2)
    assert (empty.n_windows, empty.variance, empty.mae) == (0, None, None)
    assert empty.spearman.reason == "no window has a result"
    (failure,) = run.failures
    assert (failure.recording, failure.reason) == ("subject1", "too few frames")
    assert "| 0.1 | — | — | — | — | — |" in (run.folder / "rates.md").read_text()


def test_an_unwritable_place_is_told_before_any_work(dataset, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(rates, "prepare", lambda *a, **k: pytest.fail("work was begun"))
    with pytest.raises(OutputError):
        uncertainty_by_rate(data_root=dataset, output=tmp_path / "file" / "r")


def window(number, sd, error):
    return WindowRow(
        method="net", dataset="PURE", recording="01-01", subject=f"{number}", window=0,
        start_s=0.0, end_s=10.0, hr_label=70.0, hr_pred=70.0, abs_error=0.0, hr_label_refined=70.0,
        hr_pred_refined=70.0, snr_db=1.0, macc=0.5, hr_mc_mean=70.0 + error, hr_mc_std=sd,
        hr_mc_q05=70.0, hr_mc_q95=70.0, status="ok", reason="", bvp_mc_var=0.01, hr_mc_crps=1.0,
    )  # fmt: skip


def test_rounding_errors_of_equal_samples_are_not_ranked():
    """At rate 0 all samples are alike but for rounding; their order would say something else."""
    equal = [window(i, 1e-14 * i, float(i)) for i in range(5)]
    row = _row(0.0, equal)
    assert row.hr_sd == 0
    assert row.spearman.value is None
    assert "equal" in row.spearman.reason
    assert _row(0.1, [window(i, 0.1 * i, float(i)) for i in range(5)]).spearman.value == 1
    assert row.mae == 2
