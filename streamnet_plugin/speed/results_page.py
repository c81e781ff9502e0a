"""`benchmarks/RESULTS.md`: machine, targets, and a table per suite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from streamnet_plugin.speed.saved import Ratio, Saved, Timing
from streamnet_plugin.speed.targets import TARGETS, Target

SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def results_page(saved: Saved, command: str, notes: str = "") -> str:
    """Markdown of a run; `command` is what made it, `notes` what the page ends with."""
    return "\n".join(
        [
            "# Measured speed and memory",
            "",
            "Written by `streamnet bench`. Every ratio is from one run on one machine, in which "
            "both sides",
            "did the same work in turns: median [quartiles] over the rounds.",
            "",
            *_machine(saved, command),
            "",
            "## Targets",
            "",
            *_targets(saved),
            *_suites(saved),
            *_skipped(saved),
            "",
            *([notes] if notes else []),
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines]


def _machine(saved: Saved, command: str) -> list[str]:
    m = saved.machine
    packages = ", ".join(f"{name} {version}" for name, version in m["packages"].items())
    toolbox = m["toolbox_commit"]
    rows = [
        ("command", f"`{command}`" + (" (quick: fewer rounds, shorter videos)" * saved.quick)),
        ("date", m["date"]),
        ("processor", f"{m['cpu']}, {m['cores']} cores"),
        ("instructions", ", ".join(m["instructions"]) or "none of those that matter here"),
        ("a float32 matrix product", f"{m['gflops']:g} GFLOP/s at the start"),
        ("memory", "unknown" if m["memory_gb"] is None else f"{m['memory_gb']:g} GB"),
        ("load at the start", ", ".join(f"{x:g}" for x in m["load"]) or "unknown"),
        ("versions", f"Python {m['python']}, {packages}, {m['system']}"),
        ("streamnet-rppg", f"{m['streamnet']}, commit {m['commit'] or 'unknown'}"),
        ("rPPG-Toolbox", "not measured" if toolbox is None else f"commit {toolbox}"),
    ]
    return _table(["", ""], rows)


def _targets(saved: Saved) -> list[str]:
    measured: dict[str, Ratio] = {}
    for timing in saved.timings.values():
        for ratio in timing.ratios:
            if ratio.target is not None:
                measured.setdefault(ratio.target, ratio)
    rows = [_target_row(key, target, measured, saved) for key, target in TARGETS.items()]
    return _table(["target", "wanted", "measured", ""], rows)


def _target_row(
    key: str, target: Target, measured: dict[str, Ratio], saved: Saved
) -> tuple[str, str, str, str]:
    if key not in measured:
        why = saved.why_skipped(target.test)
        return target.what, target.wanted, f"({why})" if why else "", "not measured"
    ratio = measured[key]
    verdict = "met" if target.met(ratio.median) else "**not met**"
    return target.what, target.wanted, _spread(ratio), verdict


def _spread(r: Ratio) -> str:
    return f"{r.median:.3g} [{r.low:.3g}, {r.high:.3g}]"


def _suites(saved: Saved) -> list[str]:
    lines = []
    for group in dict.fromkeys(t.group for t in saved.timings.values()):
        timings = [t for t in saved.timings.values() if t.group == group]
        lines += ["", f"## {(group or 'others').capitalize()}", ""]
        head = ["benchmark", "a round, median (IQR)", "rounds", "ratios", "figures"]
        lines += _table(head, map(_row, timings))
    return lines


def _row(t: Timing) -> tuple[str, ...]:
    ratios = "<br>".join(f"{r.what}: {_spread(r)}{_sides(r)}" for r in t.ratios)
    figures = "<br>".join(f"{k}: {_number(v)}" for k, v in {**t.figures, **t.shown}.items())
    time = f"{duration(t.median)} ({duration(t.iqr)})"
    return f"`{t.name.removeprefix('test_')}`", time, str(t.rounds), ratios, figures


def _sides(r: Ratio) -> str:
    if math.isnan(r.theirs):
        return ""
    return f" ({_number(r.ours)} and {_number(r.theirs)} {r.unit})"


def _number(value: float) -> str:
    """Four digits, and no exponent below a billion."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Three digits with a fitting unit."""
    size, unit = next((s for s in SCALES if seconds >= s[0]), SCALES[-1])
    return f"{seconds / size:.3g} {unit}"


def _skipped(saved: Saved) -> list[str]:
    if not saved.skipped:
        return []
    rows = [(f"`{test.rpartition('::')[2]}`", why) for test, why in saved.skipped.items()]
    return ["", "## Not run", "", *_table(["benchmark", "why"], rows)]
