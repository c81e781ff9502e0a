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


def test_the_last_two_lasting_ones_stay_until_there_are_others(tmp_path):
    folder = StateFolder(tmp_path, {})

    def saved(step, **how):
        folder.save(step, {}, **how)
        return [p.name.removeprefix("step-00000000") for p in sorted(tmp_path.iterdir())]

    saved(1, lasting=True)
    saved(2)
    assert saved(3) == ["1.epoch.state", "2.state", "3.state"]
    assert saved(4) == ["1.epoch.state", "3.state", "4.state"]
    folder.drop_after(3)
    assert folder.load()["step"] == 3
    saved(4)
    assert saved(4, lasting=True) == ["1.epoch.state", "4.epoch.state", "4.state"]
    assert folder._files()[0].name.endswith("4.epoch.state")  # the epoch's end, not its last step
    assert saved(5, lasting=True) == ["4.epoch.state", "5.epoch.state"]
    folder.drop_after(-1)
    assert folder.load() is None


def test_two_trainings_are_not_in_one_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOCK_S", 0.1)
    place = tmp_path / "run" / "state"
    with StateFolder(place, {}).alone():
        with pytest.raises(ConfigError, match="another training is under way") as error:
            StateFolder(place, {}).alone().__enter__()
        assert str(error.value).startswith(str(place.parent))
    with StateFolder(place, {}).alone():  # it is free again
        assert StateFolder(place, {}).load() is None


def test_without_locks_a_training_goes_on_with_a_warning(tmp_path, monkeypatch, caplog):
    def none(*arguments, **options):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module.FileLock, "acquire", none)
    with StateFolder(tmp_path / "state", {}).alone():
        assert "has no locks" in caplog.text


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(OutputError, match="run/state: the state of the training cannot"):
        StateFolder(tmp_path / "run" / "state", {}).alone().__enter__()


def test_a_damaged_newest_takes_no_place_from_whole_ones(tmp_path):
    folder = StateFolder(tmp_path, {})
    for step in (1, 2, 9):
        folder.save(step, {})
    (tmp_path / "step-000000009.state").write_bytes(b"cut off")
    assert folder.load()["step"] == 2
    folder.save(3, {})
    assert [p.name[-7] for p in sorted(tmp_path.iterdir())] == ["2", "3"]


def test_what_could_not_be_read_once_is_kept(tmp_path, monkeypatch):
    folder = StateFolder(tmp_path, {})
    folder.save(1, {})
    folder.save(2, {})

    def failing(path):
        if path.name == "step-000000002.state":
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    read = module.Path.read_bytes
    with monkeypatch.context() as patch:
        patch.setattr(module.Path, "read_bytes", failing)
        assert folder.load()["step"] == 1
    assert folder.load()["step"] == 2


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


def test_a_state_older_than_a_key_is_one_of_its_default(tmp_path):
    StateFolder(tmp_path, {"TRAIN": {"LR": 0.1}}).save(1, {})
    now = {"TRAIN": {"LR": 0.1, "SHAKE": 0.0}}
    defaults = {"TRAIN": {"LR": 0.5, "SHAKE": 0.0}, "VALID": {"N": 1}}
    assert StateFolder(tmp_path, now, defaults=defaults).load()["step"] == 1
    other = {"TRAIN": {"LR": 0.1, "SHAKE": 0.2}}
    with pytest.raises(ConfigError, match=r"settings: TRAIN\.SHAKE: 0\.0 -> 0\.2 "):
        StateFolder(tmp_path, other, defaults=defaults).load()
    with pytest.raises(ConfigError, match=r"LR: 0\.1 -> 0\.5"):
        StateFolder(tmp_path, {"TRAIN": {"LR": 0.5}}, defaults=defaults).load()


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
