"""States are whole or not there, belong to one training, and cannot run code."""

from __future__ import annotations

import errno
import os
import pickle

import pytest
import torch

from streamnet_plugin.errors import CheckpointError, ConfigError, OutputError
from streamnet_plugin.training import state as module
from streamnet_plugin.training.state import StateFolder, differences, read_state


def test_the_two_newest_are_kept_and_come_back(tmp_path):
    folder = StateFolder(tmp_path / "state", {"a": {"b": 1}})
    assert folder.load() is None
    for step in (1, 2, 10):
        folder.save(step, {"x": torch.arange(3) * step})
    assert [p.name for p in sorted((tmp_path / "state").iterdir())] == [
        "step-000000002.state",
        "step-000000010.state",
    ]
    loaded = folder.load()
    assert loaded["step"] == 10
    assert torch.equal(loaded["x"], torch.tensor([0, 10, 20]))


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_damage_is_found(tmp_path, damage):
    folder = StateFolder(tmp_path, {})
    folder.save(1, {"x": torch.zeros(1000)})
    path = tmp_path / "step-000000001.state"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    whole = {"cut": data[:-7], "flip": data, "empty": b"", "other": b"hello\nworld"}[damage]
    path.write_bytes(bytes(whole))
    with pytest.raises(CheckpointError, match="damaged") as error:
        read_state(path)
    assert error.value.path == path
    with pytest.raises(CheckpointError, match="all states"):
        folder.load()


def test_a_state_cannot_run_code(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    import hashlib

    payload = pickle.dumps(Payload())
    digest = hashlib.sha256(payload).hexdigest().encode()
    path = tmp_path / "step-000000001.state"
    path.write_bytes(module.MAGIC + b" " + digest + b"\n" + payload)
    with pytest.raises(CheckpointError):
        read_state(path)
    assert not (tmp_path / "ran").exists()


def test_another_training_is_refused_by_what_changed(tmp_path, caplog):
    StateFolder(tmp_path, {"TRAIN": {"LR": 0.1, "EPOCHS": 3}}).save(1, {})
    changed = {"TRAIN": {"LR": 0.2, "EPOCHS": 3}}
    with pytest.raises(ConfigError, match=r"TRAIN\.LR: 0\.1 -> 0\.2") as error:
        StateFolder(tmp_path, changed).load()
    assert "EPOCHS" not in str(error.value)
    assert "--force" in error.value.remedy
    assert StateFolder(tmp_path, changed, force=True).load()["step"] == 1
    assert "TRAIN.LR" in caplog.text


def test_differences():
    assert differences({"a": (1, 2), "b": {}}, {"a": [1, 2], "b": {}}) == []
    assert differences({"a": 1}, {"b": {"c": 2}}) == ["a: 1 -> None", "b: None -> {'c': 2}"]


def test_a_full_disk_leaves_the_state_before(tmp_path, monkeypatch):
    folder = StateFolder(tmp_path, {})
    folder.save(1, {"x": torch.ones(3)})

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left") as error:
        folder.save(2, {"x": torch.zeros(3)})
    assert "free disk space" in error.value.remedy
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000001.state"]
    assert torch.equal(folder.load()["x"], torch.ones(3))


def test_quick_steps_save_less_often(tmp_path):
    now = [0.0]
    folder = StateFolder(tmp_path, {}, clock=lambda: now[0])
    saved = 0
    for step in range(1000):
        now[0] += 0.1  # a step
        if folder.due():
            before, folder._clock = folder._clock, iter([now[0], now[0] + 0.05]).__next__
            folder.save(step, {})
            folder._clock = before
            now[0] += 0.05
            saved += 1
    assert saved * 0.05 <= 0.06 * now[0]
    assert saved >= 90
