"""What the report's viewer shows of every recording, small enough to stand in the page.

Waveforms are 16-bit integers of their own scale, base64: 2.7 bytes a sample, and an error of at
most 1/65534 of the largest.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from streamnet_plugin.report.results import (
    BenchmarkResults,
    RecordingKey,
    Waveform,
    WindowRow,
    shown_names,
)
from streamnet_plugin.types import FloatArray

MISSING = -32768
"""Stands for a sample that is not finite."""
LARGEST = 32767
SMALLEST = float(np.finfo(np.float64).tiny)
"""Of a scale: below, a quotient by it may overflow."""
LEVEL = "90"
"""Nominal coverage of the interval that the HR track shows, a key of `WindowRow.half_widths`."""


def index(
    results: BenchmarkResults,
    waveforms: Sequence[Waveform],
    methods: Sequence[str],
    shown: Sequence[str],
    band: tuple[float, float],
) -> dict[str, Any]:
    """What the viewer needs before a recording is chosen.

    Args:
        methods: by number, as `recordings` writes them.
        shown: those to show at first.
        band: of the spectrum, Hz.
    """
    about: dict[RecordingKey, WindowRow] = {}
    for row in results.rows:
        about.setdefault(row.recording_key, row)
    return {
        "methods": list(methods),
        "shown": [methods.index(m) for m in shown],
        "band": list(band),
        "by": results.hr_method,
        "recordings": [
            _about(name, key[0], about.get(key))
            for key, name in _names(results, waveforms).items()
        ],
    }  # fmt: skip


def _names(results: BenchmarkResults, waveforms: Sequence[Waveform]) -> dict[RecordingKey, str]:
    keys = [*(r.recording_key for r in results.rows), *(w.recording_key for w in waveforms)]
    return shown_names(keys)


def _about(name: str, dataset: str, row: WindowRow | None) -> dict[str, Any]:
    if row is None:
        return {"id": name, "subject": "", "dataset": dataset, "groups": ""}
    groups = ", ".join(f"{key}: {value}" for key, value in row.groups.items())
    return {"id": name, "subject": row.subject, "dataset": dataset, "groups": groups}


def recordings(
    results: BenchmarkResults, waveforms: Sequence[Waveform], methods: Sequence[str]
) -> Iterator[str]:
    """JSON of every recording, in the order of the index; safe inside a script element."""
    rows: dict[RecordingKey, list[WindowRow]] = {}
    for row in results.rows:
        rows.setdefault(row.recording_key, []).append(row)
    waves: dict[RecordingKey, list[Waveform]] = {}
    for wave in waveforms:
        waves.setdefault(wave.recording_key, []).append(wave)
    for key in _names(results, waveforms):
        yield script_json(_recording(rows.get(key, []), waves.get(key, []), methods))


def _recording(
    rows: Sequence[WindowRow], waves: Sequence[Waveform], methods: Sequence[str]
) -> dict[str, Any]:
    """Rows as lists; a true waveform that several methods share stands there once."""
    labels: list[str] = []
    return {
        "rows": [_row(row, methods.index(row.method)) for row in rows if row.method in methods],
        "waves": [
            _wave(wave, methods.index(wave.method), labels)
            for wave in waves
            if wave.method in methods and len(wave.t) > 1
        ],
        "labels": labels,
    }


def _row(row: WindowRow, method: int) -> dict[str, Any]:
    """HR read, true HR, error and interval of one kind: the refined peak's, about which the
    intervals are. "scored": what the table's MAE is made of, by the results' HR method."""
    read, true = row.hr_pred_refined, row.hr_label_refined
    refined = read is not None and true is not None
    if not refined and (row.hr_pred is not None or true is None):
        read, true = row.hr_pred, row.hr_label
    read, true = _short(read), _short(true)
    half = _short(row.half_widths.get(LEVEL)) if refined else None
    low, high = (None, None) if half is None else row.interval(LEVEL) or (None, None)
    return {
        "m": method,
        "w": row.window,
        "t": [row.start_s, row.end_s],
        "refined": refined,
        "true": true,
        "read": read,
        "error": None if read is None or true is None else _short(abs(read - true)),
        "half": half,
        "low": _short(low),
        "high": _short(high),
        "infinite": refined and LEVEL in row.half_widths and half is None,
        "scored": [_short(x) for x in (row.hr_label, row.hr_pred, row.abs_error)],
        "why": row.withheld or row.reason,
        "withheld": bool(row.withheld),
    }


def _wave(wave: Waveform, method: int, labels: list[str]) -> dict[str, Any]:
    label = packed(wave.label)
    if label not in labels:
        labels.append(label)
    band = [packed(edge) for edge in wave.band] if wave.band is not None else None
    return {
        "m": method,
        "t0": float(wave.t[0]),
        "dt": float((wave.t[-1] - wave.t[0]) / (len(wave.t) - 1)),
        "pred": packed(wave.pred),
        "label": labels.index(label),
        "band": band,
    }


def packed(x: FloatArray) -> str:
    """`<scale>:<base64 of little-endian int16>`; x = integer * scale, `MISSING` is NaN.

    Args:
        x: (T,)
    """
    x = np.asarray(x, dtype=np.float64)
    finite = np.isfinite(x)
    largest = float(np.abs(x[finite]).max(initial=0.0))
    scale = max(largest / LARGEST, SMALLEST) if largest > 0 else 1.0
    whole = np.full(x.shape, MISSING, dtype="<i2")
    whole[finite] = np.rint(x[finite] / scale)
    return f"{scale!r}:{base64.b64encode(whole.tobytes()).decode('ascii')}"


def unpacked(text: str) -> FloatArray:
    """The inverse of `packed`."""
    scale, _, data = text.partition(":")
    whole = np.frombuffer(base64.b64decode(data), dtype="<i2").astype(np.float64)
    whole[whole == MISSING] = np.nan
    return whole * float(scale)


def script_json(tree: Mapping[str, Any]) -> str:
    """JSON that no string can break out of a script element with."""
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _short(value: float | None) -> float | None:
    """Two decimals are enough to look at."""
    return None if value is None or not np.isfinite(value) else round(float(value), 2)
