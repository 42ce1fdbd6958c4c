"""The page in a real browser: it renders, fits, and asks for nothing outside itself."""

import base64
import io

import numpy as np
import pytest

pytestmark = pytest.mark.browser
OVERFLOW = """
const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const shown = [...document.querySelectorAll('[data-figure], .audits li:has(.sketch)')].filter(box => box.offsetParent);
const boxes = shown.map(figure => {
  const card = figure.getBoundingClientRect();
  const out = [...figure.querySelectorAll('svg text')].filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < card.left - 1 || box.right > card.right + 1 || box.top < card.top - 1;
  }).map(text => text.textContent);
  const svg = figure.querySelector('.drawing > *, .sketch svg').getBoundingClientRect();
  return {left: card.left, right: card.right, width: svg.width, height: svg.height, out};
});
return {wide, boxes, inner: window.innerWidth};
"""
DRAWINGS = """
const drawings = [...document.querySelectorAll('[data-figure] .drawing, .sketch')].filter(box => box.offsetParent);
return drawings.map(drawing => {
  const box = drawing.getBoundingClientRect();
  return [drawing.outerHTML.slice(0, 200), box.left + scrollX, box.top + scrollY, box.width, box.height];
});
"""


def show(browser, page, width=1280, scheme="light", media="screen"):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.get(page.as_uri())


def picture(browser):
    """The whole page as an array of pixels."""
    from PIL import Image

    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": 1280, "height": height, "scale": 1}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_the_page_renders_without_errors_or_requests(opened, page):
    console, asked = opened(page)
    assert console == []
    assert asked == {page.as_uri()}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_figure_is_drawn(browser, page, scheme):
    show(browser, page, scheme=scheme)
    seen = picture(browser)
    drawings = browser.execute_script(DRAWINGS)
    assert len(drawings) == 34
    for label, left, top, width, height in drawings:
        drawing = seen[int(top) : int(top + height), int(left) : int(left + width)]
        background = drawing[1, -2]
        drawn = (np.abs(drawing - background).sum(-1) > 60).mean()
        assert 0.003 < drawn < 0.9, label
        assert (background.mean() < 80) == (scheme == "dark"), label


@pytest.mark.parametrize("width", [1280, 768, 420])
@pytest.mark.parametrize("names", ["page", "hostile_page"])
def test_nothing_is_wider_than_the_screen(browser, request, width, names):
    show(browser, request.getfixturevalue(names), width)
    check_fit(browser)


def test_nothing_is_wider_than_the_paper(browser, page):
    show(browser, page, 700, media="print")
    check_fit(browser)


def check_fit(browser):
    found = browser.execute_script(OVERFLOW)
    assert found["wide"] <= 0
    for box in found["boxes"]:
        assert box["left"] >= 0
        assert box["right"] <= found["inner"]
        assert box["width"] > 100
        assert box["height"] > 40
        assert box["out"] == []


def test_the_verdict_and_the_figures_fit_the_first_screen(browser, page):
    show(browser, page)
    bottom = "return document.querySelector(arguments[0]).getBoundingClientRect().bottom"
    assert browser.execute_script(bottom, ".audits") < 500
    assert browser.execute_script(bottom, "#figure-auroc svg") < 800


def test_hostile_names_run_nothing(browser, hostile_page, evil):
    show(browser, hostile_page)
    assert browser.execute_script("return window.pwned") is None
    assert browser.execute_script("return [document.images.length, document.scripts.length]") == [0, 2]
    assert evil in browser.execute_script("return document.body.textContent")
