"""`benchmarks/RESULTS.md`: machine, targets, and a table per suite."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence

from streamnet_plugin.speed.saved import Ratio, Saved, Timing
from streamnet_plugin.speed.targets import TARGETS, Target
from streamnet_plugin.wording import count

FAILED = "**FAILED**"
"""Beside all that a benchmark measured that failed: of what, is not known."""
SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def results_page(saved: Saved, notes: str = "") -> str:
    """Markdown of a run; `notes` is what the page ends with."""
    return "\n".join(
        [
            "# Measured speed and memory",
            "",
            "Written by `streamnet bench`. Every ratio is from one run on one machine, in which "
            "both sides",
            "took turns: median [quartiles] over the rounds, none of one. They did the same "
            "work, but for",
            "preprocessing: the toolbox's writes clips normalised in two ways, 16 times the bytes; "
            "ours writes crops,",
            'and clips are normalised when they are loaded. "Clips normalised too" adds that.',
            "",
            *_machine(saved),
            "",
            "## Targets",
            "",
            *_targets(saved),
            *_suites(saved),
            *_reasons("Failed", "what was found", saved.failed),
            *_reasons("Not run", "why", saved.skipped),
            "",
            *([notes] if notes else []),
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines]


def _machine(saved: Saved) -> list[str]:
    m = saved.machine
    beside = ["--toolbox", "rPPG-Toolbox"] if m["toolbox_commit"] else []
    command = shlex.join(["streamnet", "bench", *beside, *saved.options])
    packages = ", ".join(f"{name} {version}" for name, version in m["packages"].items())
    toolbox = m["toolbox_commit"]
    rows = [
        ("command", f"`{command}`" + (" (quick: fewer rounds, shorter videos)" * saved.quick)),
        ("date", saved.date),
        ("processor", f"{m['cpu']}, {m['cores']} cores"),
        ("instructions", ", ".join(m["instructions"]) or "none of those that matter here"),
        ("a float32 matrix product", f"{m['gflops']:g} GFLOP/s at the start"),
        ("memory", "unknown" if m["memory_gb"] is None else f"{m['memory_gb']:g} GB"),
        ("load at the start", ", ".join(f"{x:g}" for x in m["load"]) or "unknown"),
        ("versions", f"Python {m['python']}, {packages}, {m['system']}"),
        ("streamnet-rppg", f"{m['streamnet']}, commit {saved.commit}"),
        ("rPPG-Toolbox", "not measured" if toolbox is None else f"commit {toolbox}"),
    ]
    return _table(["", ""], rows)


def _targets(saved: Saved) -> list[str]:
    measured: dict[str, tuple[str, Ratio]] = {}
    for timing in saved.timings.values():
        for ratio in timing.ratios:
            if ratio.target is not None:
                measured.setdefault(ratio.target, (timing.name, ratio))
    rows = []
    for key, target in TARGETS.items():
        rows.append(_target_row(target, measured.get(key), saved))
    return _table(["target", "wanted", "measured", "rounds", ""], rows)


def _target_row(
    target: Target, measured: tuple[str, Ratio] | None, saved: Saved
) -> tuple[str, ...]:
    test, ratio = measured or (target.test, None)
    if saved.why_failed(test):
        found, rounds, verdict = "", "", FAILED
    elif ratio is None:
        why = saved.why_skipped(test)
        found, rounds, verdict = f"({why})" if why else "", "", "not measured"
    else:
        found, rounds = _spread(ratio), str(ratio.rounds)
        verdict = "met" if target.met(ratio.median) else "**not met**"
    return target.what, target.wanted, found, rounds, verdict


def _spread(r: Ratio) -> str:
    """Of one round there is none."""
    return f"{r.median:.3g}" + f" [{r.low:.3g}, {r.high:.3g}]" * (r.rounds > 1)


def _suites(saved: Saved) -> list[str]:
    lines = []
    for group in dict.fromkeys(t.group for t in saved.timings.values()):
        timings = [t for t in saved.timings.values() if t.group == group]
        lines += ["", f"## {(group or 'others').capitalize()}", ""]
        head = ["benchmark", "a round, median (IQR)", "rounds", "ratios", "figures"]
        lines += _table(head, (_row(t, saved) for t in timings))
    return lines


def _row(t: Timing, saved: Saved) -> tuple[str, ...]:
    ratios = "<br>".join(f"{r.what}: {_spread(r)}{_beside(r, t)}" for r in t.ratios)
    figures = "<br>".join(f"{k}: {_number(v)}" for k, v in {**t.figures, **t.shown}.items())
    time = duration(t.median) + f" ({duration(t.iqr)})" * (t.rounds > 1)
    name = f"`{t.name.removeprefix('test_')}`" + f" {FAILED}" * bool(saved.why_failed(t.name))
    return name, time, str(t.rounds), ratios, figures


def _beside(r: Ratio, t: Timing) -> str:
    """What the ratio is of, and how many rounds if not the row's."""
    said = [f"{_number(r.ours)} and {_number(r.theirs)} {r.unit}"] * (not math.isnan(r.theirs))
    said += [count(r.rounds, "round")] * (r.rounds != t.rounds)
    return f" ({'; '.join(said)})" if said else ""


def _number(value: float) -> str:
    """Four digits, and no exponent below a billion."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Three digits with a fitting unit."""
    size, unit = next((s for s in SCALES if seconds >= s[0]), SCALES[-1])
    return f"{seconds / size:.3g} {unit}"


def _reasons(title: str, what: str, reasons: Mapping[str, str]) -> list[str]:
    if not reasons:
        return []
    rows = [(f"`{test.rpartition('::')[2]}`", why) for test, why in reasons.items()]
    return ["", f"## {title}", "", *_table(["benchmark", what], rows)]
