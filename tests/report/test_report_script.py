"""What the page's script does, in a real browser: the map, the saved files, the theme, and what it keeps out."""

import base64
import hashlib
import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from genocontrast.report.carried import script_safe

pytestmark = pytest.mark.browser
CANVAS = "#figure-embedding canvas"
# Saved files are caught where they would leave the page.
CATCH = """
window.saved = [];
const before = URL.createObjectURL;
URL.createObjectURL = (blob) => { const address = before(blob); window.saved.push([blob, address]); return address; };
HTMLAnchorElement.prototype.click = function () {
  const entry = window.saved.find(([, address]) => address === this.href);
  entry.push(this.download);
};
"""
SAVED = """
const done = arguments[arguments.length - 1];
const [blob, , name] = window.saved[window.saved.length - 1] || [];
if (!name) { done(null); } else {
  const reader = new FileReader();
  reader.onload = () => done([name, blob.type, reader.result.split(',')[1]]);
  reader.readAsDataURL(blob);
}
"""


@pytest.fixture
def shown(browser, page):
    """The standard page, with saved files caught."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen", "features": []})
    size = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    browser.execute_script(CATCH)
    return browser


def saved(browser, selector, kind):
    """Press a button, and give the name, type and bytes of what it saves."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_script("window.saved.length = 0")
    find = (
        "return [...document.querySelectorAll(arguments[0] + ' .save button')].find(b => b.textContent == arguments[1])"
    )
    browser.execute_script("arguments[0].click()", browser.execute_script(find, selector, kind))
    name, of, text = WebDriverWait(browser, 10).until(lambda page: page.execute_async_script(SAVED))
    return name, of, base64.b64decode(text)


def pixels(browser, selector=CANVAS):
    from PIL import Image

    script = "return document.querySelector(arguments[0]).toDataURL().split(',')[1]"
    with Image.open(io.BytesIO(base64.b64decode(browser.execute_script(script, selector)))) as image:
        return np.asarray(image.convert("RGBA")).astype(int)


def colours_of(browser):
    """The choices of the map by their names."""
    script = "return [...document.querySelectorAll('#figure-embedding label')].map(label => label.textContent.trim())"
    return browser.execute_script(script)


def choose(browser, name):
    inputs = browser.find_elements("css selector", "#figure-embedding input")
    browser.execute_script("arguments[0].click()", inputs[colours_of(browser).index(name)])


def told(browser):
    return browser.execute_script("return document.querySelector('#figure-embedding output').textContent")


def legend(browser):
    return browser.execute_script("return document.querySelector('#figure-embedding .legend').textContent")


def test_every_colour_redraws_the_map(shown):
    names = colours_of(shown)
    assert names == ["class", "GC content", "accessibility", "chromosome"]
    drawn = {}
    for name in names:
        choose(shown, name)
        drawn[name] = pixels(shown)
        assert (drawn[name][..., 3] > 0).mean() > 0.005
    for one in names:
        for other in names:
            assert (one == other) == (np.abs(drawn[one] - drawn[other]).sum() == 0)


def test_the_map_shows_each_class_in_its_colour(shown):
    script = "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0])"
    seen = pixels(shown)
    for name in ("--promoter", "--decoy"):
        value = shown.execute_script(script, name).strip()
        colour = np.array([int(value[i : i + 2], 16) for i in (1, 3, 5)])
        near = np.abs(seen[..., :3] - colour).max(-1) < 12
        assert (near & (seen[..., 3] > 100)).sum() > 90 * 8
    assert legend(shown).split() == ["promoters", "(90)", "decoys", "(90)"]
    choose(shown, "chromosome")
    assert "chr4" in legend(shown)
    choose(shown, "GC content")
    assert re.search(r"GC content 0\.\d+ .*0\.\d+", legend(shown))


def test_pointing_at_a_point_tells_its_locus(shown, page):
    from selenium.webdriver import ActionChains

    table = pd.read_csv(page.parent / "data" / "embedding.tsv", sep="\t")
    hint = told(shown)
    assert "Point at an example" in hint
    canvas = shown.find_element("css selector", CANVAS)
    shown.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
    # the rightmost point, where the page draws it: one scale for both axes, the middle in the middle
    width, height = shown.execute_script("return [arguments[0].clientWidth, arguments[0].clientHeight]", canvas)
    size = np.array([width - 38, height - 38])
    plane = table[["pc1", "pc2"]].to_numpy()
    low, high = plane.min(0), plane.max(0)
    row = int(plane[:, 0].argmax())
    away = (size / (high - low)).min() * (plane[row] - (low + high) / 2)
    left, top = 26 + size[0] / 2 + away[0], 12 + size[1] / 2 - away[1]
    ActionChains(shown).move_to_element_with_offset(canvas, round(left - width / 2), round(top - height / 2)).perform()
    one = table.iloc[row]
    assert f"{one['chrom']}:{one['start'] + 1:,}\u2013{one['end']:,}" in told(shown)
    assert one["name"] in told(shown)
    assert ("promoter" if one["label"] else "decoy") in told(shown)
    ActionChains(shown).move_to_element_with_offset(canvas, 2 - width // 2, 2 - height // 2).perform()
    assert told(shown) == hint


def test_the_map_can_be_read_with_the_keyboard(shown, page):
    from selenium.webdriver import Keys

    table = pd.read_csv(page.parent / "data" / "embedding.tsv", sep="\t").set_index("name")
    canvas = shown.find_element("css selector", CANVAS)
    plain = pixels(shown)
    places = []
    for _ in range(4):
        canvas.send_keys(Keys.ARROW_RIGHT)
        name = re.search(r"(promoter|decoy)-\d+", told(shown))[0]
        places.append(table.loc[name, "pc1"])
    assert places == sorted(places)
    assert len(set(places)) == 4
    assert np.abs(pixels(shown) - plain).sum() > 0  # a ring marks the point
    canvas.send_keys(Keys.ESCAPE)
    assert np.abs(pixels(shown) - plain).sum() == 0
    radio = shown.find_element("css selector", "#figure-embedding input")
    radio.send_keys(Keys.ARROW_RIGHT)
    assert "GC content" in legend(shown)


def test_every_figure_saves_its_data_and_its_drawing(shown, page):
    names = shown.execute_script(
        "return [...document.querySelectorAll('[data-figure]')].filter(f => f.offsetParent).map(f => f.dataset.figure)"
    )
    assert len(names) == len(set(names)) == 26
    for name in names:
        selector = f"[data-figure='{name}']"
        file, kind, text = saved(shown, selector, "TSV")
        assert (file, kind) == (f"demo-{name}.tsv", "text/tab-separated-values")
        assert len(pd.read_csv(io.BytesIO(text), sep="\t")) > 0
        beside = page.parent / "data" / f"{name}.tsv"
        assert not beside.is_file() or beside.read_bytes() == text
        file, kind, text = saved(shown, selector, "SVG")
        assert (file, kind) == (f"demo-{name}.svg", "image/svg+xml")
        assert b"var(--" not in text
        assert text.count(b"<path") + text.count(b"<use") > 1
        ElementTree.fromstring(text)


def test_each_logo_saves_its_own_matrix(shown, motifs):
    logos = {f"motif-{rank}": one["matrix"] for rank, one in enumerate(motifs["motifs"], start=1)}
    logos |= {f"filter-{one['filter']}": one["matrix"] for one in motifs["filters"]}
    assert len(logos) > len(motifs["motifs"])
    for name, matrix in logos.items():
        _, _, text = saved(shown, f"[data-figure='{name}']", "TSV")
        np.testing.assert_allclose(pd.read_csv(io.BytesIO(text), sep="\t").to_numpy(), matrix, atol=1e-9)


@pytest.mark.parametrize("name", ["roc", "embedding", "motif-1"])
def test_pictures_are_sharp_and_drawn(shown, name):
    from PIL import Image

    file, kind, data = saved(shown, f"[data-figure='{name}']", "PNG")
    assert (file, kind) == (f"demo-{name}.png", "image/png")
    with Image.open(io.BytesIO(data)) as image:
        seen = np.asarray(image.convert("RGB")).astype(int)
    assert seen.shape[1] > 500
    assert 0.005 < (np.abs(seen - seen[1, 1]).sum(-1) > 60).mean() < 0.9


def test_tables_are_saved_as_they_stand(shown):
    name, _, text = saved(shown, ".table[aria-label='By test chromosome']", "TSV")
    assert name == "demo-table-by-test-chromosome.tsv"
    assert text.decode() == "Chromosome\tPairs\tAUROC\nchr4\t50\t0.920\nchr5\t40\t0.900\n"


def test_the_theme_turns_with_its_button(shown):
    back = "return getComputedStyle(document.body).backgroundColor"
    button = shown.find_element("id", "theme")
    seen = {}
    for _ in range(3):
        seen[button.text] = (shown.execute_script(back), pixels(shown))
        button.click()
    assert list(seen) == ["Theme: auto", "Theme: light", "Theme: dark"]
    assert seen["Theme: light"][0] == "rgb(252, 251, 248)"
    assert seen["Theme: dark"][0] == "rgb(20, 24, 29)"
    assert np.abs(seen["Theme: light"][1] - seen["Theme: dark"][1]).sum() > 0  # the map is drawn anew
    assert button.text == "Theme: auto"


def test_only_the_own_script_may_run(shown, page):
    written = page.read_text()
    own = re.search(r"<script>(.*?)</script>", written, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in written
    shown.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 1'; document.body.append(s);"
        "const i = document.createElement('i'); i.setAttribute('onclick', 'window.pwned = 1');"
        "document.body.append(i); i.click();"
    )
    assert shown.execute_script("return window.pwned") is None


def test_hostile_names_stay_text_in_the_map(browser, hostile_page, evil):
    from selenium.webdriver import Keys

    browser.get(hostile_page.as_uri())
    choose(browser, "chromosome")
    assert evil in legend(browser)
    browser.find_element("css selector", CANVAS).send_keys(Keys.ARROW_RIGHT)
    assert browser.execute_script("return [window.pwned || null, document.images.length]") == [None, 0]


def test_without_the_script_and_on_paper_the_drawings_stand_in(shown, page):
    visible = (
        "return ['embedding', 'embedding-class', 'embedding-covariate']"
        ".map(name => !!document.getElementById('figure-' + name).offsetParent)"
    )
    assert shown.execute_script(visible) == [True, False, False]
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert shown.execute_script(visible) == [False, True, True]
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})
    shown.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        shown.get(page.as_uri())
        assert shown.execute_script(visible) == [False, True, True]
        assert shown.find_elements("css selector", ".save") == []
    finally:
        shown.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_carried_data_cannot_end_its_element():
    value = {"name": "</script><!--<script>&\u2028"}
    text = script_safe(value)
    assert not re.search(r"[<>&\u2028]", text)
    assert json.loads(text) == value
