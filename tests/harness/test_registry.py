"""Methods by name, from whatever package registers them."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from types import ModuleType, SimpleNamespace

import pytest

from streamnet_plugin import registry
from streamnet_plugin.classical import POS
from streamnet_plugin.errors import StreamnetError, UnknownMethodError
from streamnet_plugin.registry import (
    absent_families,
    check_method,
    get_method,
    list_methods,
    takes_option,
)

SEVEN = {"GREEN", "ICA", "CHROM", "LGI", "PBV", "POS", "OMIT"}


def test_ours_are_registered_and_load():
    names = {info.name for info in list_methods()}
    assert SEVEN | {"STREAMNet"} <= names
    for name in names:
        if not name.startswith("open-rppg:"):  # those load for minutes, and have their own tests
            assert get_method(name).name == name


def test_names_ignore_capitals_and_unknown_ones_list_the_nearest_first():
    assert get_method("pos") is POS
    with pytest.raises(UnknownMethodError, match=r"use one of CHROM, ") as error:
        get_method("CHROMM")
    assert "STREAMNet" in error.value.remedy


def test_options_reach_factories_only():
    assert takes_option("STREAMNet", "mc_samples")
    assert not takes_option("POS", "mc_samples")
    assert get_method("STREAMNet", mc_samples=7).mc_samples == 7


def points(*items, of=registry.GROUP):
    dist = {n: SimpleNamespace(name=n, version="1") for _, _, n in items}

    def entry_points(group):
        made = []
        for name, value, package in items if group == of else ():
            point = EntryPoint(name, value, group)
            vars(point).update(dist=dist[package])
            made.append(point)
        return made

    return entry_points


def test_two_packages_with_one_name_are_both_named(monkeypatch):
    fake = points(("Net", "a:Net", "alpha"), ("Net", "b:Net", "beta"))
    monkeypatch.setattr(registry, "entry_points", fake)
    with pytest.raises(StreamnetError, match="alpha 1 and beta 1"):
        list_methods()


def test_two_packages_with_one_target_are_two_nonetheless(monkeypatch):
    monkeypatch.setattr(
        registry, "entry_points", points(("Net", "json:loads", "a"), ("Net", "json:loads", "b"))
    )
    with pytest.raises(StreamnetError, match="a 1 and b 1"):
        list_methods()


def test_one_package_seen_twice_is_one(monkeypatch):
    seen = points(("Net", "json:loads", "Net-pack"), ("Net", "json:loads", "net_pack"))
    monkeypatch.setattr(registry, "entry_points", seen)
    assert [info.name for info in list_methods()] == ["Net"]


def test_a_package_that_does_not_import_is_named(monkeypatch):
    monkeypatch.setattr(registry, "entry_points", points(("Net", "no_such_module:Net", "alpha")))
    with pytest.raises(StreamnetError, match=r"'Net' of alpha 1 cannot be imported"):
        get_method("Net")


def test_something_that_is_no_method_is_refused(monkeypatch):
    monkeypatch.setattr(registry, "entry_points", points(("Net", "json:JSONDecoder", "alpha")))
    with pytest.raises(StreamnetError, match="is no method"):
        get_method("Net")


class Colours:
    install = 'pip install "colours"'

    def __init__(self, *names):
        self._names = names

    def names(self):
        return self._names

    def make(self, name, shade=0):
        return SimpleNamespace(name=f"colour:{name}", predict=lambda video: None, shade=shade)


COLOURS, NONE = Colours("Red.one", "Blue.two"), Colours()


@pytest.fixture
def families(monkeypatch):
    module = ModuleType("colours")
    module.COLOURS, module.NONE, module.NOT_A_FAMILY = COLOURS, NONE, "x"
    monkeypatch.setitem(sys.modules, "colours", module)

    def register(*items):
        fake = points(*items, of=registry.FAMILIES)
        monkeypatch.setattr(registry, "entry_points", fake)

    return register


def test_a_family_has_its_methods_under_its_prefix(families):
    families(("colour", "colours:COLOURS", "alpha"))
    assert [info.name for info in list_methods()] == ["colour:Blue.two", "colour:Red.one"]
    assert list_methods()[0].distribution == "alpha 1"
    assert get_method("COLOUR:red.ONE").name == "colour:Red.one"
    assert get_method("colour:Red.one", shade=3).shade == 3
    assert takes_option("colour:Red.one", "shade")
    assert not takes_option("colour:Red.one", "mc_samples")
    assert not takes_option("colour:Green", "shade")
    assert absent_families() == []


def test_an_unknown_member_lists_the_nearest_first(families):
    families(("colour", "colours:COLOURS", "alpha"))
    with pytest.raises(UnknownMethodError, match=r"use one of colour:Blue\.two, colour:Red"):
        get_method("colour:blu")


def test_a_family_that_is_not_installed_says_how_to_get_it(families):
    families(("colour", "colours:NONE", "alpha"))
    assert list_methods() == []
    assert [(f.prefix, f.install) for f in absent_families()] == [("colour", NONE.install)]
    with pytest.raises(StreamnetError, match='pip install "colours"'):
        check_method("colour:Red.one")


def test_two_packages_with_one_prefix_are_both_named(families):
    families(("colour", "colours:COLOURS", "alpha"), ("colour", "colours:NONE", "beta"))
    with pytest.raises(StreamnetError, match="method family 'colour': alpha 1 and beta 1"):
        list_methods()


def test_something_that_is_no_family_is_refused(families):
    families(("colour", "colours:NOT_A_FAMILY", "alpha"))
    with pytest.raises(StreamnetError, match="alpha 1 is no family of methods"):
        get_method("colour:Red.one")


def test_a_broken_family_is_told_of_and_hinders_no_other(families, caplog):
    families(("colour", "colours:COLOURS", "alpha"), ("gone", "no_such_module:X", "beta"))
    assert [info.name for info in list_methods()] == ["colour:Blue.two", "colour:Red.one"]
    assert absent_families() == []
    assert "'gone' of beta 1 cannot be imported" in caplog.text
    with pytest.raises(StreamnetError, match="'gone' of beta 1 cannot be imported"):
        get_method("gone:One")


HEAVY = "torch cv2 matplotlib numpy pandas scipy neurokit2 sklearn yaml joblib pytest rich"


@pytest.mark.parametrize("arguments", [["--help"], ["benchmark", "--help"], ["--version"]])
def test_asking_what_it_can_do_is_light(arguments):
    code = (
        f"import sys; sys.argv[1:] = {arguments!r}\n"
        "from streamnet_plugin.cli import main\n"
        "try: main()\n"
        f"finally: print([m for m in '{HEAVY}'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) > 1
    assert done.stdout.splitlines()[-1] == "[]"


def test_importing_the_package_is_light():
    code = (
        "import sys, streamnet_plugin, streamnet_plugin.cli;"
        f"print([m for m in '{HEAVY}'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_exist():
    import streamnet_plugin as sp

    for name in sp.__all__:
        assert getattr(sp, name) is not None
    assert callable(sp.predict)
    assert callable(sp.benchmark)
