import numpy as np
import pytest

from streamnet_plugin.classical.pos import pos, pos_paper
from streamnet_plugin.errors import NoResultError
from streamnet_plugin.signal.detrend import detrend
from streamnet_plugin.signal.filters import bandpass


def algorithm_1(rgb, length, last):
    """The paper's loop: windows that end before frame `last`."""
    h = np.zeros(len(rgb))
    for start in range(last - length + 1):
        c = rgb[start : start + length]
        c = c / c.mean(axis=0)
        s1, s2 = c[:, 1] - c[:, 2], -2 * c[:, 0] + c[:, 1] + c[:, 2]
        p = s1 + s1.std() / s2.std() * s2
        h[start : start + length] += p - p.mean()
    return h


@pytest.mark.parametrize(("fs", "length"), [(30.0, 48), (25.0, 40), (29.97, 48)])
def test_paper_variant_is_algorithm_1_with_every_window(fs, length, skin):
    rgb = skin(seconds=8, fs=fs).rgb
    expected = -algorithm_1(rgb, length, len(rgb))
    np.testing.assert_allclose(pos_paper(rgb, fs), expected, atol=1e-10)


def test_default_variant_leaves_out_the_last_frame_and_filters(skin):
    rgb = skin(seconds=8).rgb
    summed = algorithm_1(rgb, 48, len(rgb) - 1)
    expected = -bandpass(detrend(summed, 100.0), 30, 0.75, 3.0)
    np.testing.assert_allclose(pos(rgb, 30), expected, atol=1e-10)


def test_the_last_frame_matters_only_to_the_paper_variant(skin):
    rgb = skin(seconds=8).rgb
    other = rgb.copy()
    other[-1] *= [1.02, 0.97, 1.0]
    np.testing.assert_array_equal(pos(rgb, 30), pos(other, 30))
    assert not np.allclose(pos_paper(rgb, 30), pos_paper(other, 30))


def test_exactly_one_window_is_read_by_the_paper_variant_only(skin):
    rgb = skin().rgb[:48]
    assert len(pos_paper(rgb, 30)) == 48
    with pytest.raises(NoResultError, match="more than 48 frames"):
        pos(rgb, 30)
