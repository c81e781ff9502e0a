import dataclasses

import pytest

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.evaluation.conventions import CONVENTIONS, get_convention


def test_the_two_bands_in_use():
    assert get_convention("toolbox-2025").band == (0.6, 3.3)
    assert get_convention("neurips-2023").band == (0.75, 2.5)


def test_unknown_name_lists_the_known():
    with pytest.raises(ConfigError) as error:
        get_convention("toolbox")
    for name in CONVENTIONS:
        assert name in str(error.value)


def test_a_table_can_name_name_and_band():
    assert str(get_convention("neurips-2023")) == "neurips-2023 (0.75-2.5 Hz)"


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_convention("toolbox-2025").low_hz = 1.0
