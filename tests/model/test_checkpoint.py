"""Weights in and out."""

from __future__ import annotations

import errno
import os
import pickle
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from streamnet_plugin.errors import CheckpointError, OutputError
from streamnet_plugin.model.checkpoint import (
    SHIPPED_PX,
    load_checkpoint,
    read_stated_config,
    save_checkpoint,
    shipped_checkpoint,
)
from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig

X = torch.randn(1, 10, 6, 36, 36)


def outputs(net):
    with torch.no_grad():
        return net.eval()(X)


def test_round_trip_with_metadata(tmp_path):
    net = STREAMNet(STREAMNetConfig(segment_length=5, shift="zero"))
    save_checkpoint(net, tmp_path / "a.safetensors", {"trained on": "nothing", "mae": 1.5})
    again, metadata = load_checkpoint(tmp_path / "a.safetensors")
    assert again.config == net.config
    assert metadata == {"trained on": "nothing", "mae": 1.5}
    assert torch.equal(outputs(net), outputs(again))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_authors_names_load(tmp_path, prefix, wrapped):
    net = STREAMNet()
    state = {prefix + name: t for name, t in net.state_dict().items()}
    torch.save({"state_dict": state} if wrapped else state, tmp_path / "a.pth")
    again, _ = load_checkpoint(tmp_path / "a.pth")
    assert torch.equal(outputs(net), outputs(again))


def test_the_names_are_the_repositorys():
    names = set(STREAMNet().state_dict())
    expected = {f"{b}_conv{i}.weight" for b in ("motion", "apperance") for i in (1, 2, 3, 4)}
    expected |= {"apperance_att_conv1.weight", "apperance_att_conv2.bias", "final_dense_1.weight"}
    expected |= {"final_dense_2.bias", "ssfem.conv1.weight", "ssfem.bn1.weight", "ssfem.bn3.bias"}
    expected |= {"ssfem.conv2.3.weight", "ssfem.bn2.3.weight", "ssfem.se.fc1.weight"}
    assert expected <= names


def test_tscan_weights_load_as_what_they_are(tmp_path):
    tscan = STREAMNet(STREAMNetConfig(72, 72, ssfem=False, shift="zero"))
    torch.save({f"module.{n}": t for n, t in tscan.state_dict().items()}, tmp_path / "t.pth")
    net, _ = load_checkpoint(tmp_path / "t.pth")
    assert net.config == STREAMNetConfig(72, 72, ssfem=False, shift="zero")


def test_another_image_size_lists_the_shapes(tmp_path):
    torch.save(STREAMNet().state_dict(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"final_dense_1.weight is \(128, 3136\)"):
        load_checkpoint(tmp_path / "a.pth", STREAMNetConfig(72, 72))


def test_missing_and_extra_names_are_listed(tmp_path):
    state = STREAMNet().state_dict()
    state["surplus"] = state.pop("motion_conv1.bias")
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"missing: motion_conv1\.bias; extra: surplus"):
        load_checkpoint(tmp_path / "a.pth")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_with_code_does_not_run(tmp_path):
    for save in (torch.save, lambda o, p: p.write_bytes(pickle.dumps(o))):
        save({"final_dense_1.weight": Bomb(str(tmp_path / "boom"))}, tmp_path / "a.pth")
        with pytest.raises(CheckpointError, match="tensors alone"):
            load_checkpoint(tmp_path / "a.pth")
        assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_damaged_missing_and_foreign_files(tmp_path, name):
    with pytest.raises(CheckpointError, match="no such file"):
        load_checkpoint(tmp_path / name)
    (tmp_path / name).write_bytes(b"rubbish")
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(tmp_path / name)
    assert error.value.path == tmp_path / name
    torch.save({"weight": torch.zeros(3)}, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="not STREAM-Net"):
        load_checkpoint(tmp_path / "b.pth")


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_checkpoint(STREAMNet(), path, {"version": 1})

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        save_checkpoint(STREAMNet(), path, {"version": 2})
    assert load_checkpoint(path)[1] == {"version": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")
def test_weights_may_be_read_by_whom_the_umask_lets(tmp_path):
    before = os.umask(0o027)
    try:
        path = save_checkpoint(STREAMNet(), tmp_path / "a.safetensors", {})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("px", SHIPPED_PX)
def test_the_shipped_weights_say_what_they_are(px):
    net, metadata = load_checkpoint(shipped_checkpoint(px, px))
    assert net.config == STREAMNetConfig(px, px)
    assert metadata["training"]["data"].startswith("synthetic")
    test = metadata["test"]
    overall = test["STREAMNet"]["all"]
    assert overall["recordings"] >= 100
    assert overall["mae_bpm"] < 2
    assert overall["median_bpm"] < 0.5
    assert overall["within_5_bpm"] > 0.95
    for group, figures in test["STREAMNet"].items():
        assert figures["mae_bpm"] < min(test[m][group]["mae_bpm"] for m in ("POS", "CHROM")), group
    assert shipped_checkpoint(px, px).stat().st_size < 10e6
    assert "not a medical" in shipped_checkpoint(px, px).with_suffix(".md").read_text()


@pytest.mark.parametrize(
    ("size", "px"), [((), 36), ((36, 36), 36), ((72, 72), 72), ((71, 128), 36), ((128, 96), 72),
                     ((20, 20), 36)]
)  # fmt: skip
def test_the_shipped_weights_are_the_largest_that_crops_can_feed(size, px):
    assert f"_{px}px_" in shipped_checkpoint(*size).name
    stated = dict(zip(("width", "height"), size, strict=False))
    if size == (20, 20):
        with pytest.raises(CheckpointError, match="height is 36, not 20"):
            load_checkpoint(stated=stated, shrinks=True)
        return
    assert load_checkpoint(stated=stated, shrinks=True)[0].config.width == px
    if size not in ((), (36, 36), (72, 72)):
        with pytest.raises(CheckpointError, match=f"height is {px}, not {size[1]}"):
            load_checkpoint(stated=stated)


def test_the_configuration_is_read_without_building_the_network(tmp_path):
    config = STREAMNetConfig(height=40, width=36, segment_length=6)
    stated = read_stated_config(save_checkpoint(STREAMNet(config), tmp_path / "w.safetensors", {}))
    assert (stated.config, stated.stated) == (config, True)
    assert stated.fits(36, 40)
    assert not stated.fits(36, 41)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_that_do_not_state_it_imply_a_range_of_sizes(tmp_path, suffix):
    path, state = tmp_path / f"w.{suffix}", STREAMNet(STREAMNetConfig()).state_dict()
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    implied = read_stated_config(path)
    assert (implied.config.width, implied.stated) == (36, False)
    for size, fits in ((33, False), (34, True), (36, True), (37, True), (38, False)):
        assert implied.fits(size, 36) == fits


def test_a_configuration_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        read_stated_config(tmp_path / "none.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="damaged or not ours"):
        read_stated_config(tmp_path / "w.safetensors")


def test_what_is_stated_of_weights_is_believed_or_must_agree(tmp_path):
    made = STREAMNetConfig(height=42, width=38, segment_length=5, shift="none")
    torch.save(STREAMNet(made).state_dict(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="not square"):
        load_checkpoint(tmp_path / "a.pth")
    stated = {"height": 42, "width": 38, "segment_length": 5, "shift": "none"}
    assert load_checkpoint(tmp_path / "a.pth", stated=stated)[0].config == made
    with pytest.raises(CheckpointError, match="ssfem is True, not False"):
        load_checkpoint(tmp_path / "a.pth", stated={**stated, "ssfem": False})
    save_checkpoint(STREAMNet(made), tmp_path / "b.safetensors", {})
    with pytest.raises(CheckpointError, match="segment_length is 5, not 10"):
        load_checkpoint(tmp_path / "b.safetensors", stated={**stated, "segment_length": 10})


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda s: s.update({"final_dense_1.weight": torch.zeros(7)}), "no matrix"),
        (lambda s: s.update({"final_dense_1.weight": torch.tensor(1.0)}), "no matrix"),
        (lambda s: s.update({3: torch.zeros(7)}), "no state dict"),
        (lambda s: s["motion_conv1.bias"].fill_(float("nan")), r"not finite: motion_conv1\.bias"),
    ],
)
def test_odd_state_dicts_are_refused_in_one_line(tmp_path, spoil, says):
    state = STREAMNet().state_dict()
    spoil(state)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=says):
        load_checkpoint(tmp_path / "a.pth")
