"""The report in a real headless Chromium: it runs, it asks for nothing, and one can work with it.

Skipped where there is no Chromium or no playwright; but not in continuous integration.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from streamnet_plugin.report.figures import as_pictures
from streamnet_plugin.report.html import write_report
from streamnet_plugin.signal.spectrum import refined_spectrum
from streamnet_plugin.statistics.results import Interval

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 120_000
"""On a busy machine the 30 s of playwright are little."""
EVIL = "<img src=x onerror=alert(1)>"


def _missing(what):
    message = f"{what} is not installed: apt-get install chromium, pip install playwright"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def tab():
    """A page of a browser, what it complained of, and what it asked for."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        _missing("Chromium")
    complaints, requests = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"], timeout=PATIENCE_MS
        )
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append("a dialog"), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        yield page, complaints, requests
        browser.close()


@pytest.fixture(scope="module")
def report(analysed, waves, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(analysed, path, waves, pictures=as_pictures(analysed)).as_uri()


@pytest.fixture
def visit(tab):
    """Opens a page; whatever it complains of, and whatever it asks for beside itself, fails."""
    page, complaints, requests = tab
    complaints.clear()
    requests.clear()
    opened = []

    def open_page(url, width=1280, colours="light"):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(media="screen", color_scheme=colours)
        page.goto(url)
        opened.append(url)
        return page

    yield open_page
    assert complaints == []
    assert requests == opened


def column(page, number):
    return page.locator(f"#table tbody tr > :nth-child({number})").all_inner_texts()


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def lightness(colour):
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3])


def test_it_renders_without_a_complaint_or_a_request(visit, report):
    page = visit(report)
    assert page.locator("h1").inner_text() == "Synthetic demo, UBFC-rPPG"
    for figure in page.locator("section figure svg").all():
        box = figure.bounding_box()
        assert box["width"] > 200
        assert box["height"] > 50


def test_a_column_sorts_both_ways_also_from_the_keyboard(visit, report):
    page = visit(report)
    head = page.locator("#table thead th").nth(2)
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 1) == ["STREAMNet", "POS", "GREEN"]
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, 1) == ["GREEN", "POS", "STREAMNet"]
    page.locator("#table thead button", has_text="Method").click()
    assert head.get_attribute("aria-sort") == "none"
    assert column(page, 1) == ["GREEN", "POS", "STREAMNet"]
    page.locator("#table thead button", has_text="Withheld").click()
    assert column(page, 11) == ["0", "0", "33"]


def test_numbers_sort_as_numbers_and_what_is_missing_comes_last(visit, analysed, tmp_path):
    published = SimpleNamespace(method="Z", train="", values={"MAE": 100.0}, source="a paper")
    path = write_report(analysed, tmp_path / "r.html", pictures={}, references=[published])
    page = visit(path.as_uri())
    reported = "Z\nreported, not measured [1]"
    snr = page.locator("#table thead button", has_text="SNR")
    snr.click()
    assert column(page, 1) == ["GREEN", "POS", "STREAMNet", reported]
    assert column(page, 6)[0].startswith("−")
    snr.click()
    assert column(page, 1) == ["STREAMNet", "POS", "GREEN", reported]
    page.locator("#table thead button", has_text="MAE").first.click()
    assert column(page, 1)[-1] == reported  # 100 is more than 9.7


def test_search_narrows_the_recordings_and_enter_takes_the_first(visit, report):
    page = visit(report)
    assert page.locator("#recording option").count() == 6
    page.fill("#search", "talking s4")
    assert page.locator("#recording option").all_inner_texts() == [
        "subject4 (subject s4, setup: talking)"
    ]
    assert page.locator("#found").inner_text() == "1 of 6 recordings"
    page.press("#search", "Enter")
    assert page.locator("#viewer h3").inner_text() == "subject4, 0 to 10 s"
    page.fill("#search", "nobody")
    assert page.locator("#recording option").count() == 0
    page.fill("#search", "")
    assert page.locator("#recording").input_value() == "3"


def test_equal_recordings_of_two_datasets_are_two_entries(visit, analysed, tmp_path):
    row = analysed.rows[0]
    rows = [replace(row, dataset="PURE", subject=row.recording), *analysed.rows]
    path = write_report(replace(analysed, rows=tuple(rows)), tmp_path / "r.html", pictures={})
    page = visit(path.as_uri())
    page.fill("#search", "subject1")
    assert page.locator("#recording option").all_inner_texts() == [
        "PURE/subject1 (setup: steady)", "UBFC-rPPG/subject1 (subject s1, setup: steady)",
    ]  # fmt: skip
    page.press("#search", "Enter")
    assert page.locator("#viewer h3").inner_text().startswith("PURE/subject1, 0 to ")
    page.select_option("#recording", index=1)
    assert page.locator("#viewer h3").inner_text().startswith("UBFC-rPPG/subject1, 0 to ")


def test_the_viewer_draws_what_is_chosen(visit, report, analysed):
    page = visit(report)
    page.select_option("#recording", label="subject2 (subject s2, setup: talking)")
    assert page.locator("#viewer h3").inner_text() == "subject2, 0 to 10 s"
    assert page.locator("#viewer .panel").count() == 3
    assert page.locator("#viewer .band").count() == 1  # Monte Carlo samples of one method
    assert page.locator("#viewer tbody tr").count() == 9
    assert "no result: the waveform is constant" in page.locator("#viewer").inner_text()
    for drawing in page.locator("#viewer svg").all():
        assert drawing.get_attribute("role") == "img"
        assert len(drawing.get_attribute("aria-label")) > 20
        assert "NaN" not in drawing.evaluate("drawing => drawing.outerHTML")
    row = next(
        r for r in analysed.rows if (r.method, r.recording, r.window) == ("POS", "subject2", 2)
    )
    page.select_option("#window", "2")
    assert page.locator("#viewer h3").inner_text() == "subject2, 20 to 30 s"
    spoken = page.locator("#viewer svg[aria-label^='Power']").get_attribute("aria-label")
    assert f"POS: HR read {row.hr_pred:.1f}, true {row.hr_label:.1f} bpm" in spoken
    assert page.locator("#viewer circle.withheld").count() == 1
    low, high = row.hr_pred - row.half_widths["90"], row.hr_pred + row.half_widths["90"]
    cells = page.locator("#viewer tbody tr").nth(7).locator("td").all_inner_texts()
    assert cells[0] == "20 to 30"
    shown = [float(v) for v in cells[4].split(" to ")]
    assert shown == pytest.approx([low, high], abs=0.11)
    true, read, error = (float(cell) for cell in cells[1:4])
    assert error == pytest.approx(abs(read - true), abs=1e-6)
    heads = page.locator("#viewer thead th").all_inner_texts()
    assert heads[2:5] == ["True HR, refined", "HR read, refined", "Error, refined (bpm)"]
    assert heads[6:9] == ["True HR, FFT", "HR read, FFT", "Error, FFT (bpm)"]


def test_methods_can_be_taken_away(visit, report):
    page = visit(report)
    page.get_by_role("checkbox", name="POS").uncheck()
    assert page.locator("#viewer tbody tr").count() == 6
    page.get_by_role("checkbox", name="STREAMNet").uncheck()
    page.get_by_role("checkbox", name="GREEN").uncheck()
    assert "Choose at least one method" in page.locator("#viewer").inner_text()


def test_a_click_on_the_track_chooses_the_window(visit, report):
    page = visit(report)
    page.locator("#viewer .hit").nth(1).click()
    assert page.locator("#window").input_value() == "1"
    assert page.locator("#viewer h3").inner_text() == "subject1, 10 to 20 s"


def test_spectra_are_those_of_the_package(visit, report):
    page = visit(report)
    fs, f = 30.0, np.linspace(0.6, 3.3, 200)
    rng = np.random.default_rng(1)
    t = np.arange(300) / fs
    x = np.sin(2 * np.pi * 1.2 * t) + 0.3 * rng.standard_normal(300) + 5
    grid, power = refined_spectrum(x, fs)
    expected = np.interp(f, grid, power)
    drawn = page.evaluate("([x, dt, f]) => spectrum(x, dt, f)", [x.tolist(), 1 / fs, f.tolist()])
    assert np.allclose(drawn, expected / expected.max(), atol=0.01)


@pytest.mark.parametrize("place", ["top", "bottom"])
def test_a_phone_scrolls_in_one_direction_only(visit, report, place):
    page = visit(report, width=390)
    if place == "bottom":
        page.locator("#provenance").scroll_into_view_if_needed()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('section, section > p, dl, figure')]"
        ".map(e => e.getBoundingClientRect().right))"
    )
    assert widest <= 390
    table = page.locator("#table .scroll")
    assert table.evaluate("e => e.scrollWidth > e.clientWidth")  # it is the table that scrolls


def test_dark_by_system_and_by_choice(visit, report):
    page = visit(report, colours="dark")
    dark = background(page)
    ink = page.locator("#figure-forest text").first.evaluate("e => getComputedStyle(e).fill")
    assert lightness(dark) < 150 < 600 < lightness(ink)
    page.locator("#theme").click()
    assert lightness(background(page)) > 600
    page.locator("#theme").click()
    assert background(page) == dark
    assert lightness(background(visit(report, colours="light"))) > 600


def test_paper_is_white_open_and_without_controls(visit, report):
    page = visit(report, colours="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert background(page) == "rgb(255, 255, 255)"
    for controls in page.locator(".controls").all():
        assert not controls.is_visible()
    assert page.locator("#viewer svg").first.is_visible()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not(.code):not([open])").count() == 0
    assert page.locator("details.code[open]").count() == 0
    for listing in page.locator("details.code").all():
        assert listing.inner_text() == "in results.json"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


LANDSCAPE, PORTRAIT = 1032, 703
"""Inner widths of A4 with these margins, CSS pixels."""


def test_paper_cuts_no_column(visit, wide_report):
    """The widest table there is: every metric with its interval, names of 40 letters."""
    page = visit(wide_report, width=LANDSCAPE)
    page.emulate_media(media="print")
    assert page.locator("#table thead th").count() > 20
    for place in ("#table", "#quality"):
        assert page.locator(place).evaluate("e => getComputedStyle(e).page") == "wide"
        table = page.locator(f"{place} table")
        assert table.evaluate("e => e.getBoundingClientRect().right") <= LANDSCAPE, place
    page.set_viewport_size({"width": PORTRAIT, "height": 844})
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    right = "e => [...e.querySelectorAll('table')].map(t => t.getBoundingClientRect().right)"
    for section in ("#tests", "#conditions", "#agreement", "#failures", "#recordings"):
        tables = page.locator(section).evaluate(right)
        assert tables
        assert max(tables) <= PORTRAIT, section


@pytest.fixture(scope="module")
def wide_report(analysed, waves, tmp_path_factory):
    names = ("beat F1 (%)", "IBI error (ms)", "RMSSD error (ms)", "SDNN error (ms)",
             "MAE (refined)", "MAPE", "MACC", "within 5 bpm", "within 10 bpm")  # fmt: skip
    long = {"STREAMNet": "PURE_PURE_UBFC_deepphys_with_a_long_name"}
    wide = Interval(-100.25, -200.25, -50.25)

    def named(items, *fields):
        return tuple(
            replace(x, **{f: long.get(getattr(x, f), getattr(x, f)) for f in fields}) for x in items
        )

    methods = tuple(
        replace(m, metrics={**m.metrics, **dict.fromkeys(names, wide)})
        for m in named(analysed.analysis.methods, "method")
    )
    results = replace(
        analysed, rows=named(analysed.rows, "method"),
        summaries=named(analysed.summaries, "method"),
        analysis=replace(
            analysed.analysis, methods=methods, pairs=named(analysed.analysis.pairs, "a", "b"),
            groups=named(analysed.analysis.groups, "method"),
        ),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("wide") / "report.html"
    picture = as_pictures(analysed)["group-setup"]
    pictures = {"group-setup": picture, "bland-altman-x": picture}
    return write_report(results, path, named(waves, "method"), pictures=pictures).as_uri()


def test_on_a_phone_the_tests_answer_first_and_in_low_rows(visit, report):
    page = visit(report, width=390)
    head = page.locator("#tests thead th", has_text="Significant").first
    box = head.bounding_box()
    assert box["x"] + box["width"] <= 390
    for row in page.locator("#tests tbody tr").all()[:2]:
        assert row.bounding_box()["height"] < 80


def test_names_do_not_run(visit, make_results, make_waveforms, tmp_path):
    results = make_results(methods=(EVIL, "POS"), names=[EVIL, "b"], n_windows=1)
    results = replace(results, title=EVIL, analysis=None)
    path = write_report(results, tmp_path / "evil.html", make_waveforms(results))
    page = visit(path.as_uri())
    assert page.locator("img").count() == 0
    assert page.locator("#viewer h3").inner_text().startswith(EVIL)
    assert page.locator("h1").inner_text() == EVIL


@pytest.mark.parametrize("left", ["no waveforms", "nothing"])
def test_poor_results_still_render(visit, analysed, tmp_path, left):
    poor = replace(analysed, analysis=None)
    if left == "nothing":
        poor = replace(poor, rows=(), summaries=(), failures=(), notes=())
    page = visit(write_report(poor, tmp_path / "poor.html", pictures={}).as_uri())
    if left == "nothing":
        assert "There is no recording" in page.locator("#recordings").inner_text()
    else:
        assert "No waveform of these methods" in page.locator("#viewer").inner_text()
        assert page.locator("#viewer svg").count() == 1  # the heart rate over the windows
