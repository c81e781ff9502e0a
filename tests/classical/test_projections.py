"""LGI, PBV, OMIT and GREEN: one projection of the whole trace each."""

import numpy as np
import pytest

from streamnet_plugin.classical import green, lgi, omit, omit_paper, pbv, pbv_paper
from streamnet_plugin.errors import NoResultError


def test_green_is_minus_the_green_channel(skin):
    rgb = skin().rgb
    np.testing.assert_array_equal(green(rgb, 30), -rgb[:, 1])


def test_green_reads_a_grey_video_but_not_a_constant_green(skin):
    grey = np.repeat(skin().rgb[:, 1:2], 3, axis=1)
    assert np.ptp(green(grey, 30)) > 0
    rgb = skin().rgb
    rgb[:, 1] = 100.0
    with pytest.raises(NoResultError, match="constant"):
        green(rgb, 30)


def test_lgi_equals_the_full_singular_value_decomposition(skin):
    rgb = skin(seconds=5).rgb
    u = np.linalg.svd(rgb.T)[0][:, :1]
    expected = -((np.eye(3) - u @ u.T) @ rgb.T)[1]
    np.testing.assert_allclose(lgi(rgb, 30), expected, atol=1e-9)


def test_lgi_needs_no_memory_of_frames_squared(skin):
    assert len(lgi(np.tile(skin().rgb, (60, 1)), 30)) == 54_000  # T x T would be 23 GB


@pytest.mark.parametrize("function", [omit, omit_paper])
def test_omit_leaves_out_the_direction_of_one_frame(function, skin):
    rgb = skin(seconds=5).rgb
    frame = rgb[0] if function is omit else rgb[np.argmax(np.linalg.norm(rgb, axis=1))]
    q = frame / np.linalg.norm(frame)
    expected = -((np.eye(3) - np.outer(q, q)) @ rgb.T)[1]
    np.testing.assert_allclose(function(rgb, 30), expected, atol=1e-9)


def test_a_black_first_frame_spoils_only_the_toolboxs_omit(skin):
    rgb = skin().rgb
    rgb[0] = 0
    with pytest.raises(NoResultError, match="first frame is black"):
        omit(rgb, 30)
    assert np.isfinite(omit_paper(rgb, 30)).all()


def test_pbv_paper_varies_over_the_channels_as_the_signature(skin):
    """Its defining property: the pulse correlates with the channels in proportion to p."""
    rgb = skin(noise=0.3).rgb
    bvp = pbv_paper(rgb, 30)
    covariance = (rgb / rgb.mean(axis=0) - 1).T @ bvp
    signature = np.array([0.33, 0.77, 0.53])
    np.testing.assert_allclose(
        covariance / np.linalg.norm(covariance), -signature / np.linalg.norm(signature), atol=1e-9
    )


def test_pbv_takes_the_signature_from_the_trace_and_keeps_the_mean(skin):
    rgb = skin(noise=0.3).rgb
    normalised = rgb / rgb.mean(axis=0)
    bvp = pbv(rgb, 30)
    covariance = normalised.T @ bvp  # not centred: the mean of one takes part
    signature = normalised.std(axis=0)
    np.testing.assert_allclose(
        covariance / np.linalg.norm(covariance), -signature / np.linalg.norm(signature), atol=1e-6
    )
