"""From two waveforms of one video or window to heart rates, SNR and MACC; formula by formula."""

import numpy as np
import scipy

BAND = (0.6, 3.3)  # Hz


def detrend(x, lam=100):
    """(T,) without its slow trend: (I - (I + lam^2 D'D)^-1) x, D the second differences."""
    eye = np.eye(len(x))
    d = np.diff(eye, n=2, axis=0)
    return (eye - np.linalg.inv(eye + lam**2 * d.T @ d)) @ x


def _spectrum(x, fs):
    n = 2 ** (len(x) - 1).bit_length()
    return scipy.signal.periodogram(x, fs=fs, nfft=n, detrend=False)


def fft_hr(x, fs, low=BAND[0], high=BAND[1]):
    """bpm at the highest spectral line of the band."""
    f, p = _spectrum(x, fs)
    inside = np.flatnonzero((f >= low) & (f <= high))
    return 60 * f[inside][np.argmax(p[inside])]


def peak_hr(x, fs):
    """bpm from the mean distance of the maxima."""
    peaks, _ = scipy.signal.find_peaks(x)
    return 60 * fs / np.mean(np.diff(peaks))


def snr(x, hr_label, fs, low=BAND[0], high=BAND[1]):
    """dB: power within 0.1 Hz of the true rate and of its double over the rest of the band."""
    f, p = _spectrum(x, fs)
    first, second, width = hr_label / 60, 2 * hr_label / 60, 6 / 60
    near1 = (f >= first - width) & (f <= first + width)
    near2 = (f >= second - width) & (f <= second + width)
    rest = (f >= low) & (f <= high) & ~near1 & ~near2
    noise = np.sum(p[rest])
    if noise == 0:
        return 0
    return 10 * np.log10((np.sum(p[near1]) + np.sum(p[near2])) / noise)


def macc(pred, label):
    """Largest |correlation| of one waveform with the other, shifted round by 0..n-2 samples."""
    n = min(len(pred), len(label))
    pred, label = pred[:n], label[:n]
    shifted = [np.abs(np.corrcoef(pred, np.roll(label, k))[0, 1]) for k in range(n - 1)]
    return np.max(shifted)


def calculate_metric_per_video(
    predictions, labels, fs=30, diff_flag=True, use_bandpass=True, hr_method="FFT"
):
    """(label HR, predicted HR, SNR, MACC); `diff_flag` says that both are first differences."""
    clean = []
    for x in (predictions, labels):
        x = detrend(np.cumsum(x) if diff_flag else x)
        if use_bandpass:
            b, a = scipy.signal.butter(1, [BAND[0] / fs * 2, BAND[1] / fs * 2], btype="bandpass")
            x = scipy.signal.filtfilt(b, a, np.double(x))
        clean.append(x)
    pred, label = clean
    if hr_method == "FFT":
        hr_pred, hr_label = fft_hr(pred, fs), fft_hr(label, fs)
    elif hr_method == "Peak":
        hr_pred, hr_label = peak_hr(pred, fs), peak_hr(label, fs)
    else:
        raise ValueError("The heart rate comes from FFT or Peak!")
    return hr_label, hr_pred, snr(pred, hr_label, fs), macc(pred, label)
