import numpy as np

from streamnet_plugin.signal.confidence import pulse_evidence

BAND = (0.6, 3.3)


def test_a_pulse_stands_out_and_noise_does_not():
    t = np.arange(900) / 30
    noise = np.random.default_rng(0).normal(size=900)
    clear = pulse_evidence(np.sin(2 * np.pi * 1.2 * t) + 0.2 * noise, 30, BAND)
    none = pulse_evidence(noise, 30, BAND)
    assert clear.snr_db > 5 > none.snr_db
    assert clear.disagreement_bpm < 1


def test_halves_that_beat_differently_disagree():
    t = np.arange(450) / 30
    x = np.concatenate([np.sin(2 * np.pi * 1.0 * t), np.sin(2 * np.pi * 1.5 * t)])
    assert abs(pulse_evidence(x, 30, BAND).disagreement_bpm - 30) < 1
