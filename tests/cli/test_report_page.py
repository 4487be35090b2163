"""A report's page as a browser shows it: complete, legible, safe, on screen and on paper."""

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import fxpnn
from fxpnn.analysis.full_report import MATRIX
from fxpnn.fixedpoint.qformat import Accumulator
from fxpnn.network.layers import Dense, Flatten, Relu, Softmax
from fxpnn.reference import classify
from tests.support.cli_runner import fxp, tiny

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (apt-get install chromium)"
)
HOSTILE = "<script>alert(1)</script>"
PAPER = (688, 1016)
"""Pixels of A4 inside its margins of 14 mm, at 96 to an inch."""
CONTRAST = 4.5
"""What WCAG 2 asks of text at level AA (success criterion 1.4.3)."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a page of a network whose layer would like to be a script, and loses much."""
    folder = tmp_path_factory.mktemp("page")
    generator = np.random.default_rng(1)
    layers = {
        "flatten": Flatten(),
        HOSTILE: Dense(generator.normal(0, 0.1, (8, 784)), generator.normal(0, 0.1, 8)),
        "relu' onload=\"alert(2)": Relu(),
        "output": Dense(generator.normal(0, 1, (10, 8)), np.zeros(10)),
        "softmax": Softmax(),
    }
    network = fxpnn.chain("tiny </title>&amp;", (1, 28, 28), layers)
    fxpnn.save_onnx(network, folder / "m.onnx")
    x = fxpnn.load_data("mnist").x[:300]
    np.savez(folder / "x.npz", x=x, y=classify(network, x))
    (folder / "short.toml").write_text(
        f'[layers."{HOSTILE}"]\noutput = "Q-3.18"\naccumulator = "24 wrap"\n'
    )
    made = fxp(
        *("quantize", folder / "m.onnx", "-o", folder / "m.fxp", "-q"),
        *("--formats", folder / "short.toml"),
    )
    assert made.status == 0, made.err
    return written(folder / "m.fxp", folder / "m.onnx", folder / "x.npz")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a page with the largest matrices of confusions that there are."""
    folder, network = tmp_path_factory.mktemp("wide"), tiny(MATRIX)
    fxpnn.save_onnx(network, folder / "m.onnx")
    x = fxpnn.load_data("mnist").x[:300]
    np.savez(folder / "x.npz", x=x, y=classify(network, x))
    made = fxp("quantize", folder / "m.onnx", "-o", folder / "m.fxp", "--word", "5", "-q")
    assert made.status == 0, made.err
    return written(folder / "m.fxp", folder / "m.onnx", folder / "x.npz")


def written(model: Path, reference: Path, data: str | Path) -> Path:
    """Write a page."""
    page = model.with_suffix(".html")
    done = fxp("report", model, "--reference", reference, "--data", data, "-o", page, "-q")
    assert done.status == 0, done.err
    return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the system's Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(params=["light", "dark"])
def shown(request: pytest.FixtureRequest, browser: Browser, hostile: Path) -> Iterator[Page]:
    """Open the page as it looks by day and by night."""
    page = browser.new_page(color_scheme=request.param)
    page.goto(hostile.as_uri())
    yield page
    page.close()


def test_it_needs_nothing_and_says_nothing(browser: Browser, hostile: Path) -> None:
    """The only request is the file; no message, no dialog, no error, and no script runs."""
    page, heard = browser.new_page(), list[str]()
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    page.goto(hostile.as_uri())
    page.wait_for_load_state("networkidle")
    assert heard == [hostile.as_uri()]
    types = page.eval_on_selector_all("script", "all => all.map(it => it.type)")
    assert types == ["application/json"]
    assert page.title() == "tiny </title>&amp; in fixed point"
    page.close()


def test_hostile_names_are_text(shown: Page) -> None:
    """Wherever a layer is named: tables, figures, headings, titles."""
    text = shown.inner_text("main")
    assert text.count(HOSTILE) >= 5
    titles = shown.eval_on_selector_all("svg title", "all => all.map(it => it.textContent)")
    assert any(HOSTILE in title for title in titles)
    attributes = shown.evaluate(
        "[...document.querySelectorAll('*')].flatMap(it => it.getAttributeNames())"
    )
    assert not [name for name in attributes if name.startswith("on")]


def test_structure(shown: Page) -> None:
    """Ids are unique; headings go down by one at most; all that is seen has a size and a name."""
    ids = shown.eval_on_selector_all("[id]", "all => all.map(it => it.id)")
    assert len(ids) == len({*ids}) > 10
    levels = shown.eval_on_selector_all("h1,h2,h3,h4,h5,h6", "all => all.map(it => +it.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    seen = shown.eval_on_selector_all(
        "svg, img",
        """all => all.map(it => {
            const box = it.getBoundingClientRect();
            const name = it.alt ?? it.querySelector('title')?.textContent;
            return [box.width, box.height, name, it.complete ?? true, it.naturalWidth ?? 1];
        })""",
    )
    assert len(seen) > 16
    for width, height, name, complete, pixels in seen:
        assert min(width, height) > 20
        assert name
        assert complete
        assert pixels
    assert shown.eval_on_selector_all("img", "all => all.length") == 16
    assert shown.eval_on_selector_all("th:not([scope])", "all => all.length") == 0


def test_numbers_are_those_of_the_data(shown: Page) -> None:
    """Each number of a table is the one that its place in the JSON has, as rounded."""
    data = msgspec.json.decode(shown.text_content("script") or "")
    cells = shown.eval_on_selector_all(
        "td[data-at]", "all => all.map(it => [it.dataset.at, it.firstChild.textContent.trim()])"
    )
    assert len(cells) > 250
    assert len({path for path, _ in cells}) == len(cells)
    for path, text in cells:
        value: Any = data
        for step in path.split("/"):
            value = value[int(step)] if isinstance(value, list) else value[step]
        check(value, text, path)
    loose = shown.eval_on_selector_all(
        "td.number:not([data-at])", "all => all.map(it => it.innerText.trim())"
    )
    assert {*loose} <= {"–"}


def check(value: Any, text: str, path: str) -> None:
    """Compare a number with its text: half a unit of its last digit is what rounding may do."""
    if value is None:
        assert text in ("exact", "lost", "–"), path
    elif isinstance(value, str):
        assert int(text) == Accumulator.parse(value).word, path
    else:
        spelled = text.replace(",", "").replace("−", "-")
        unit = 10.0 ** -len(spelled.partition(".")[2])
        assert math.isclose(float(spelled), value, rel_tol=1e-12, abs_tol=0.5001 * unit), path
        assert unit < 1 or isinstance(value, int), path


def test_text_has_contrast(shown: Page, request: pytest.FixtureRequest) -> None:
    """Of every text with what is behind it, by day and by night, which do differ."""
    found = shown.evaluate(CONTRASTS)
    assert len(found) > 300
    assert [each for each in found if each[0] < CONTRAST] == []
    dark = "dark" in request.node.callspec.id
    ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", ground))) < 64) == dark
    bars = shown.eval_on_selector(
        "figure path[style*='--float']", "it => getComputedStyle(it).fill"
    )
    assert bars == ("rgb(88, 166, 255)" if dark else "rgb(10, 99, 201)")


CONTRASTS = """() => {
    const numbers = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const over = (above, below) => {
        const a = above[3] ?? 1;
        return [0, 1, 2].map(i => a * above[i] + (1 - a) * below[i]);
    };
    const ground = it => it === null ? [255, 255, 255]
        : over(numbers(getComputedStyle(it).backgroundColor), ground(it.parentElement));
    const found = [];
    for (const it of document.querySelectorAll('body *:not(script, title)')) {
        const own = [...it.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own) continue;
        const style = getComputedStyle(it), below = ground(it);
        const ink = it instanceof SVGElement ? style.fill : style.color;
        const pair = [light(over(numbers(ink), below)), light(below)].sort((a, b) => b - a);
        found.push([(pair[0] + 0.05) / (pair[1] + 0.05), it.tagName, it.textContent.slice(0, 40)]);
    }
    return found;
}"""
"""Contrast ratios as WCAG 2 defines them, of texts with the colours behind them, laid over."""


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", ["hostile", "wide"])
def test_it_fits_the_screen(
    browser: Browser, request: pytest.FixtureRequest, name: str, width: int
) -> None:
    """Only tables scroll sideways, on a telephone too."""
    page = browser.new_page(viewport={"width": width, "height": 700})
    page.goto(request.getfixturevalue(name).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("name", ["hostile", "wide"])
def test_paper_cuts_nothing(browser: Browser, request: pytest.FixtureRequest, name: str) -> None:
    """What must stay whole asks for it and fits a page; nothing is wider; it prints by day."""
    page = browser.new_page(viewport={"width": PAPER[0], "height": PAPER[1]}, color_scheme="dark")
    page.goto(request.getfixturevalue(name).as_uri())
    page.emulate_media(media="print")
    whole = page.eval_on_selector_all(
        "figure, svg, img, .tile, .matrix, tr",
        """all => all.map(it => [
            it.getBoundingClientRect().height,
            getComputedStyle(it.closest('figure, .tile, .matrix, tr')).breakInside,
            it.getBoundingClientRect().right,
        ])""",
    )
    assert len(whole) > 80
    for height, inside, right in whole:
        assert 0 < height < PAPER[1]
        assert inside == "avoid"
        assert right <= PAPER[0]
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER[0]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    page.close()


@pytest.mark.slow
def test_lenet_is_small_and_the_same_again(tmp_path: Path, browser: Browser) -> None:
    """On 10,000 images: less than a megabyte, and the same bytes again."""
    reference, model = Path("models/lenet5-relu.onnx"), tmp_path / "lenet.fxp"
    assert fxp("quantize", reference, "-o", model, "--word", "5", "-q").status == 0
    page = written(model, reference, "mnist")
    first = page.read_bytes()
    assert len(first) < 1_000_000
    assert written(model, reference, "mnist").read_bytes() == first
    opened = browser.new_page()
    opened.goto(page.as_uri())
    assert opened.eval_on_selector_all("figure", "all => all.length") >= 16 + 8
    opened.close()
