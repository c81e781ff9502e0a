"""The report as text: what is in it, that it needs nothing else, and that names stay names."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from streamnet_plugin.report.figures import Picture, as_pictures
from streamnet_plugin.report.html import render, write_report
from streamnet_plugin.report.svg import inline
from streamnet_plugin.report.tables import caption, main_table, uncertainty_table
from streamnet_plugin.statistics.results import Interval, PairTest

VOID = {"meta", "link", "input", "br", "hr", "img"}
EVIL = "<script>alert(1)</script>\"'&{{7*7}}"


class Page(HTMLParser):
    """Elements with their attributes, the text, and the cells of every table."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts, self.tables = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            return
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attributes for found, attributes in self.elements if found == tag]


@pytest.fixture(scope="module")
def pictures(analysed):
    return as_pictures(analysed)


@pytest.fixture(scope="module")
def text(analysed, waves, pictures):
    return render(analysed, waves, pictures=pictures)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def small(results, waveforms=(), **options):
    """A page without figures, which take the time."""
    return Page(render(results, waveforms, pictures={}, **options))


def test_it_is_well_formed_and_its_ids_are_unique(page):
    assert page.open == []
    ids = Counter(a["id"] for _, a in page.elements if "id" in a)
    assert [i for i, n in ids.items() if n > 1] == []
    inner = {a["href"][1:] for _, a in page.elements if a.get("href", "").startswith("#")}
    inner |= {a["xlink:href"][1:] for _, a in page.elements if "xlink:href" in a}
    labels = {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a}
    labels |= {a["for"] for a in page.all("label") if "for" in a}
    assert inner | labels <= set(ids)


def test_it_needs_nothing_from_anywhere(text, page):
    allowed = "http://www.w3.org/2000/svg"  # the name of a language, which nobody fetches
    assert set(re.findall(r"https?://[^\s\"'<>)]+", text)) <= {allowed}
    assert "@import" not in text
    assert [a for _, a in page.elements if "src" in a] == []
    assert [a["href"] for a in page.all("link")] == ["data:,"]
    assert set(re.findall(r"url\((.)", text)) <= {"#"}


def test_only_its_own_script_may_run(text, page):
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_the_three_questions_are_answered_first(analysed, page):
    place = page.text.index
    assert place("Which method is best? STREAMNet") < place("Is that significant? Only against")
    assert place("When not to trust it? Where setup is talking") < place("All methods")
    assert caption(analysed) in page.text


def test_the_table_has_intervals_coverage_and_what_is_missing(analysed, page):
    table = page.tables[0]
    assert table[0] == [
        "Method", "Variant", "MAE (bpm)", "RMSE (bpm)", "Pearson", "SNR (dB)", "within 3 bpm (%)",
        "PICP of the 90 % interval (%)", "Width of the 90 % interval (bpm)",
        "MAE in 15 common windows (bpm)", "Withheld (%)", "MAE of the rest (bpm)",
        "No result / windows",
    ]  # fmt: skip
    assert [row[0] for row in table[1:]] == ["STREAMNet", "POS", "GREEN"]
    mae = analysed.analysis.methods[1].metrics["MAE"]
    assert f"{mae.value:.2f}" in table[2][2]
    assert f"{mae.low:.2f} to {mae.high:.2f}" in table[2][2]
    assert table[2][7].startswith("88")
    assert table[2][10] == "33"
    kept = analysed.analysis.methods[1].kept_mae
    assert table[2][11].startswith(f"{kept.value:.2f}")
    assert table[3][11:] == ["—", "3 / 18"]


def shown(text):
    """A cell of the other formats as the page has it: the interval behind the value, its mark."""
    return text.replace("-", "−").replace(" [", "").replace(", ", " to ").replace("]", "")


def test_the_quality_of_uncertainty_is_that_of_the_tables(analysed):
    rows = tuple(r for r in analysed.rows if r.recording != "subject2")
    results = replace(analysed, rows=rows)
    grid = uncertainty_table(results)
    page = small(results)
    head, *body = next(t for t in page.tables if "Excess AURC (bpm)" in t[0])
    assert tuple(head) == grid.columns
    for row, cells in zip(body, grid.rows, strict=True):
        found = [c.replace(" (best)", "").replace(" (second)", "") for c in row[1:]]
        assert row[0] == cells[0].text
        assert found == [shown(c.text) for c in cells[1:]]
        assert [next((m for m in ("best", "second") if f"({m})" in c), "") for c in row] == [
            c.mark for c in cells
        ]
    assert any(c.mark == "best" for cells in grid.rows for c in cells)
    assert "AURC: area under the risk-coverage curve." in page.text
    assert all(note in page.text for note in grid.notes)
    values = [a["data-value"] for a in page.all("td") if "data-value" in a]
    numbers = [str(c.value) for cells in grid.rows for c in cells if c.value is not None]
    assert set(numbers) <= set(values)
    assert not {"nan", "inf"} & set(values)


def test_without_uncertainty_there_is_no_table_of_it(analysed):
    methods = tuple(replace(m, uncertainty=None) for m in analysed.analysis.methods)
    page = small(replace(analysed, analysis=replace(analysed.analysis, methods=methods)))
    assert "uncertainty" not in [a.get("id") for a in page.all("section")]
    assert not any("Spearman" in table[0] for table in page.tables)


def test_best_and_second_are_marked_where_methods_compare(analysed):
    page = small(analysed)
    assert "only the column over the common ones compares" in page.text
    column = page.tables[0][0].index("MAE in 15 common windows (bpm)")
    assert [("(best)" in row[2], "(best)" in row[column]) for row in page.tables[0][1:]] == [
        (False, True), (False, False), (False, False)
    ]  # fmt: skip
    rows = tuple(r for r in analysed.rows if r.recording != "subject2")
    table = small(replace(analysed, rows=rows)).tables[0]
    assert "(best)" in table[1][2]
    assert "(second)" in table[2][2]
    assert "(best)" in table[1][4]  # Pearson: the highest
    assert "(best)" not in table[3][2]


def test_the_page_marks_what_the_tables_mark(analysed):
    """In the page and in Markdown the same cells, F1 (higher is better) among them."""
    rows = tuple(r for r in analysed.rows if r.recording != "subject2")
    results = replace(analysed, rows=rows)
    f1 = {"STREAMNet": 97.1, "POS": 76.9, "GREEN": 61.4}
    within = {"STREAMNet": 95.1, "POS": 88.2, "GREEN": 87.9}  # alike, as they are printed
    more = {m: {"beat F1 (%)": Interval(f1[m]), "within 5 bpm": Interval(within[m])} for m in f1}
    methods = tuple(
        replace(m, metrics={**m.metrics, **more[m.method]}) for m in results.analysis.methods
    )
    results = replace(results, analysis=replace(results.analysis, methods=methods))
    table = small(results).tables[0]
    beats = table[0].index("beat F1 (%)")
    assert [row[beats] for row in table[1:]] == ["97.10 (best)", "76.90 (second)", "61.40"]
    grid = main_table(results)
    table[0] = ["Within 5 bpm (%)" if c == "within 5 bpm (%)" else c for c in table[0]]
    assert [row[table[0].index("Within 5 bpm (%)")] for row in table[1:]] == [
        "95 (best)", "88 (second)", "88 (second)"
    ]  # fmt: skip
    for name in ("MAE (bpm)", "RMSE (bpm)", "Pearson", "SNR (dB)", "Within 5 bpm (%)"):
        page = [
            next((m for m in ("best", "second") if f"({m})" in row[table[0].index(name)]), "")
            for row in table[1:]
        ]
        assert page == [row[grid.columns.index(name)].mark for row in grid.rows]
        assert "best" in page


def test_columns_without_a_mark_are_named(analysed):
    rows = tuple(r for r in analysed.rows if r.recording != "subject2")
    lost = {"STREAMNet": (), "POS": ("UBFC-rPPG/subject1",), "GREEN": ()}
    methods = tuple(
        replace(m, metrics={**m.metrics, "IBI error (ms)": Interval(20, missing=lost[m.method])})
        for m in analysed.analysis.methods
    )
    results = replace(analysed, rows=rows, analysis=replace(analysed.analysis, methods=methods))
    assert "Not in IBI error (ms): the methods lack different videos there" in small(results).text


def test_published_rows_are_marked_as_not_measured(analysed):
    row = SimpleNamespace(
        method="STREAM-Net", train="PURE", values={"MAE": 0.111}, source="the paper, Table 9"
    )
    page = small(analysed, references=[row])
    last = page.tables[0][-1]
    assert last[0] == "STREAM-Netreported, not measured [1]"
    assert last[1] == "trained on PURE"
    assert last[2] == "0.11"
    assert "(best)" not in last[2]
    assert "[1] STREAM-Net: the paper, Table 9" in page.text
    assert set(last[3:]) == {"—"}


def test_tests_failures_and_provenance_are_there(page):
    pairs = page.tables[1]
    assert pairs[1][:2] == ["STREAMNet", "POS"]
    assert [pairs[1][i] for i in (2, 4, 5)] == ["no", "0.010", "0.210"]
    assert [pairs[2][i] for i in (2, 4, 5)] == ["yes", "0.010", "0.030"]
    assert "Friedman's test over 6 subjects: χ² = 9.00, p = 0.011." in page.text
    repeated = next(t for t in page.tables if "ICC" in t[0])
    assert repeated[1][:2] == ["STREAMNet", "windows of a recording"]
    assert repeated[1][4].startswith("0.80")
    failures = next(t for t in page.tables if t[0][0] == "Recording")
    assert failures[1][:4] == ["subject9", "every", "the video is cut", "copy it again."]
    for fact in ("streamnet benchmark", "0123456789abcdef", "abc123", '"numpy": "2.0.0"'):
        assert fact in page.text


@pytest.mark.parametrize(
    ("interval", "known"),
    [
        (Interval(2.0, 1.0, 4.0), True),
        (Interval(0.5, 0.3, 0.9), True),
        (Interval(6.12, 0.01, 2569.08), False),
        (Interval(2.0, 1.0, 10.5), False),  # a factor above 10
        (Interval(150.0, 100.0, 300.0), False),  # wider than all HR of the convention, 162 bpm
        (Interval(0.0, 0.0, 0.5), False),
    ],
)
def test_a_range_that_says_nothing_is_not_known(analysed, interval, known):
    methods = tuple(
        replace(m, repeatability=tuple(replace(r, within_sd=interval) for r in m.repeatability))
        for m in analysed.analysis.methods
    )
    results = replace(analysed, analysis=replace(analysed.analysis, methods=methods))
    page = Page(render(results, pictures={"bland-altman-x": Picture("t", "a", "<svg></svg>")}))
    cell = next(t for t in page.tables if "ICC" in t[0])[1][2]
    assert cell.startswith(f"{interval.value:.2f}")
    assert ("interval not known (6 subjects)" in cell) is not known
    assert (f"to {interval.high:.2f}" in cell) is known


@pytest.mark.parametrize(
    ("icc", "known"), [(Interval(0.9, 0.4, 0.99), True), (Interval(1.0, -0.5, 1.0), False)]
)
def test_an_icc_that_may_be_anything_is_not_known(analysed, icc, known):
    methods = tuple(
        replace(m, repeatability=tuple(replace(r, icc=icc) for r in m.repeatability))
        for m in analysed.analysis.methods
    )
    results = replace(analysed, analysis=replace(analysed.analysis, methods=methods))
    page = Page(render(results, pictures={"bland-altman-x": Picture("t", "a", "<svg></svg>")}))
    cell = next(t for t in page.tables if "ICC" in t[0])[1][4]
    assert ("not known" in cell) is not known


def test_a_group_says_why_its_coverage_is_not_judged(analysed):
    groups = tuple(
        replace(g, coverage=Interval(None, reason="SNR is no evidence"), warning="")
        for g in analysed.analysis.groups
    )
    results = replace(analysed, analysis=replace(analysed.analysis, groups=groups))
    page = Page(render(results, pictures={"group-setup": Picture("t", "a", "<svg></svg>")}))
    row = next(t for t in page.tables if t[0][0] == "Group")[1]
    assert row[4] == "—"
    assert row[-1] == "SNR is no evidence"


def test_the_page_says_which_heart_rate_a_figure_is_of(page):
    assert "Errors, ranks and tests are of the HR by FFT; spread, calibrated" in page.text


def test_an_interval_that_leaves_out_0_does_not_end_with_it(analysed):
    pairs = tuple(
        replace(x, difference=Interval(-5.27, -17.58, -1e-9)) for x in analysed.analysis.pairs
    )
    page = small(replace(analysed, analysis=replace(analysed.analysis, pairs=pairs)))
    assert page.tables[1][1][3] == "−5.27−17.58 to < 0"
    assert "an end < 0 or > 0 rounds to 0, but is not 0." in page.text


def test_why_there_is_no_test(analysed):
    nothing = Interval(None, reason="two subjects")
    pair = PairTest("POS", "GREEN", 2, nothing, None, None, nothing, reason="two are too few")
    ranks = replace(analysed.analysis.ranks, p=None, critical_difference=None, reason="too few")
    analysis = replace(analysed.analysis, pairs=(pair,), ranks=ranks)
    page = small(replace(analysed, analysis=analysis))
    assert page.tables[1][1][2] == "cannot be told"
    assert page.tables[1][1][8] == "two are too few"
    assert "No test of all methods at once: too few." in page.text


def test_every_figure_tells_what_it_shows(analysed, pictures, page):
    drawings = [a for a in page.all("svg") if a.get("role") == "img"]
    assert {a["aria-label"] for a in drawings} == {p.alt for p in pictures.values()}
    captions = [p.title for p in pictures.values()]
    assert all(c in page.text for c in captions)


def test_figures_follow_the_pages_colours(text):
    drawn = "".join(re.findall(r"<figure.*?</figure>", text, flags=re.DOTALL))
    assert "var(--c0)" in drawn
    assert "var(--ink)" in drawn
    assert "var(--surface)" in drawn
    assert re.findall(r"#[0-9a-f]{6}\b", drawn) == []
    assert "DejaVu" not in drawn


def test_ids_of_one_figure_twice_stay_apart(pictures):
    first, second = (str(inline(pictures["forest"], name)) for name in ("a", "b"))
    ids = [set(re.findall(r'\bid="([^"]*)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r"url\(#([^)]*)\)", svg)) <= own
        assert set(re.findall(r'href="#([^"]*)"', svg)) <= own


def test_an_alt_text_cannot_leave_its_attribute():
    picture = Picture("t", 'a "quoted" <b>', '<svg width="9pt" viewBox="0 0 1 1"></svg>')
    assert 'aria-label="a &#34;quoted&#34; &lt;b&gt;"' in str(inline(picture, "x"))


def test_names_stay_names(make_results, make_waveforms):
    results = make_results(methods=(EVIL, "POS", "GREEN"), names=[EVIL, "b"], n_windows=1)
    results = replace(
        results, title=EVIL, notes=(EVIL,), provenance={EVIL: {EVIL: EVIL}},
        failures=(replace(results.failures[0], recording=EVIL, path=EVIL, reason=EVIL),),
        analysis=replace(results.analysis, notes=(EVIL,), groups=tuple(
            replace(g, group=EVIL, value=EVIL, warning=EVIL) for g in results.analysis.groups
        )),
    )  # fmt: skip
    reference = SimpleNamespace(method=EVIL, train=EVIL, values={}, source=EVIL)
    text = render(results, make_waveforms(results), references=[reference])
    page = Page(text)
    assert "alert(1)</script>" not in text
    assert len(page.all("script")) == 2 + 2  # the index and the program, and the recordings
    assert {name for _, a in page.elements for name in a if name.startswith("on")} == set()
    assert EVIL in page.text  # and nothing of it was computed


def test_results_without_statistics_still_report(analysed, waves):
    page = small(replace(analysed, analysis=None), waves)
    assert "Is that significant? Not tested" in page.text
    assert "± " in page.tables[0][1][2]
    assert page.tables[0][0][-1] == "No result / windows"
    assert not any(a.get("id") == "tests" for a in page.all("section"))


def test_nothing_at_all_still_reports(analysed):
    page = small(
        replace(analysed, rows=(), summaries=(), failures=(), notes=(), analysis=None,
                convention="of another lab")
    )  # fmt: skip
    assert "There is no method." in page.text
    assert "There is no recording." in page.text


def test_the_file_is_what_was_rendered(analysed, waves, pictures, text, tmp_path):
    path = write_report(analysed, tmp_path / "report.html", waves, pictures=pictures)
    assert path.read_bytes().decode("utf-8") == text
