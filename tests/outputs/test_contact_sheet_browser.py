"""Claim: a real browser shows contact sheets whole, light and dark, wide and narrow, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from kling_render.outputs.contact_sheet.records import Heading, Sheet, ShotSheet
from tests.browser import Browser, running_browser
from tests.outputs.sheets import sheet, shown
from tests.outputs.test_contact_sheet import write


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests of this file."""
    with running_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shots of 4 × 10 cells: an odd folder name, so that links must be quoted."""
    root = tmp_path_factory.mktemp("studio") / 'renders #1 "x"'
    write(root, sheet(root.parent, shots=2, rows=4, columns=10))
    return root / "contact-sheet.html"


def test_every_poster_is_there_and_nothing_is_complained_about(browser: Browser, page: Path) -> None:
    """No missing file, no breach of the page's own policy, no request to anywhere else."""
    for file in (page, page.parent / "contact-sheets/sc001.html"):
        browser.show(file, 1200, 800)
        assert browser.value("[...document.images].every(image => image.naturalWidth > 0)")
        assert browser.value("document.images.length") > 20
    assert browser.complaints == []
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "about"}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 800, 1600])
def test_a_page_never_scrolls_sideways_as_a_whole(browser: Browser, page: Path, width: int, *, dark: bool) -> None:
    """A wide matrix scrolls in its own box; a narrow window stacks it. Text stands out from its ground."""
    browser.show(page, width, 700, dark=dark)
    assert browser.value("document.documentElement.scrollWidth") <= width
    ground, ink = (
        sum(map(int, browser.value(f"getComputedStyle(document.body).{name}")[4:-1].split(",")))
        for name in ("backgroundColor", "color")
    )
    assert (ink - ground > 450) if dark else (ground - ink > 450)


@pytest.mark.parametrize("width", [360, 1200])
def test_ids_and_names_of_any_length_stay_in_their_place(browser: Browser, tmp_path: Path, width: int) -> None:
    """The page grows neither sideways, nor by the lines of a name that somebody wrote a novel into."""
    long = Heading(id="W" * 90, name="x" * 900)
    shot = ShotSheet(
        id="s" * 90, rows=(long,), columns=(long,), cells={(long.id, long.id): (shown("a", 1, tmp_path, 0),)}
    )
    write(tmp_path / "out", Sheet(project="P" * 300, provider="aimlapi", shots=(shot, replace(shot, id="t" * 200))))
    browser.show(tmp_path / "out/contact-sheet.html", width, 700)
    assert browser.value("document.documentElement.scrollWidth") <= width
    heights = browser.value("[...document.querySelectorAll('th small')].map(name => name.offsetHeight)")
    assert max(heights) < 120


def test_pointing_at_a_take_plays_it(browser: Browser, page: Path, tmp_path: Path) -> None:
    """The preview covers the poster, and is fetched only then."""
    browser.requests.clear()
    browser.show(page, 1200, 800)
    assert not [url for url in browser.requests if "moving" in url]
    browser.point_at("a.take .frame")
    for _ in range(50):
        browser.value("new Promise(done => setTimeout(done, 100))")
        if asked := [url for url in browser.requests if "moving" in url]:
            break
    assert len(asked) == 1
    browser.value("new Promise(done => setTimeout(done, 200))")
    with Image.open(browser.picture(tmp_path / "a.png")) as seen:
        colours = {colour for count, colour in seen.convert("RGB").getcolors(1 << 20) or [] if count > 2000}
    assert colours & {(255, 255, 0), (0, 255, 255)}


def test_the_keyboard_reaches_every_take_and_plays_it(browser: Browser, page: Path) -> None:
    """Tab goes through filters and takes; what has the focus shows it and its preview."""
    browser.show(page, 1200, 800)
    reached: list[str] = []
    for _ in range(8):
        browser.press("Tab")
        reached.append(browser.value("document.activeElement.className || document.activeElement.id"))
    assert any(name.startswith("f-") for name in reached)
    assert any(name.startswith("size-") for name in reached)
    browser.value("document.querySelector('a.take').focus({focusVisible: true})")
    assert (
        browser.value("getComputedStyle(document.activeElement.querySelector('.frame'), '::after').backgroundImage")
        != "none"
    )
    assert browser.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    reachable = "[...document.querySelectorAll('.take')].every(take => take.tabIndex === 0)"
    assert browser.value(reachable)


def test_filters_leave_only_what_they_name_in_sight(browser: Browser, page: Path) -> None:
    """The rest stays in its place, faded, so that the matrix stays readable."""
    browser.show(page, 1200, 800)
    faded = "[...document.querySelectorAll('.take')].filter(t => getComputedStyle(t).opacity < 0.5).length"
    assert browser.value(faded) == 0
    browser.value("document.getElementById('f-warned').click(); new Promise(done => setTimeout(done, 400))")
    whole = browser.value("document.querySelectorAll('.take').length")
    warned = browser.value("document.querySelectorAll('.take.warned').length")
    assert 0 < warned < whole
    assert browser.value(faded) == whole - warned


def test_two_hundred_cells_fit_on_a_screen_and_keep_their_headings(browser: Browser, tmp_path: Path) -> None:
    """As tiny pictures all of them; larger ones scroll under headings that stay."""
    write(tmp_path / "out", sheet(tmp_path, shots=1, rows=10, columns=20))
    browser.show(tmp_path / "out/contact-sheet.html", 1920, 1080)
    assert browser.value("document.querySelectorAll('.take').length") == 200
    browser.value("document.getElementById('size-xs').click()")
    assert browser.value("document.querySelector('table').getBoundingClientRect().width") <= 1920
    browser.value("document.getElementById('size-l').click(); document.querySelector('.scroll').scrollTo(900, 900)")
    head, row = (
        browser.value(f"(b => [b.x, b.y])(document.querySelector('{cell}').getBoundingClientRect())")
        for cell in ("thead th:nth-child(5)", "tbody tr:nth-child(4) th")
    )
    box = browser.value("(b => [b.x, b.y])(document.querySelector('.scroll').getBoundingClientRect())")
    assert head[1] == pytest.approx(box[1], abs=2)
    assert row[0] == pytest.approx(box[0], abs=2)
