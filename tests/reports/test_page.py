"""The page in a real browser, without a server: clicks, sorting, search, curves, the image browser."""

import os
import shutil
import time
from pathlib import Path

import pytest
from synthetic import ODD

pytest.importorskip("selenium", reason="selenium is not installed")
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on this machine"
)


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1200,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, odd_report):
    browser.get("about:blank")
    browser.get((odd_report / "index.html").as_uri())
    wait(lambda: "images" in text(browser, "#view-count"))
    yield browser
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.05)


def find(page, selector):
    return page.find_element("css selector", selector)


def all_(page, selector):
    return page.find_elements("css selector", selector)


def texts(page, selector):
    """What the elements say, read at once: one that the page redraws in between would be lost."""
    script = "return [...document.querySelectorAll(arguments[0])].map(e => (e.innerText ?? e.textContent).trim())"
    return page.execute_script(script, selector)


def text(page, selector):
    return texts(page, selector)[0]


def position(page, selector):
    """The place in the whole list of the first such element."""
    script = "return document.querySelector(arguments[0]).getAttribute('aria-posinset')"
    return int(page.execute_script(script, selector))


def choose(page, selector, value):
    from selenium.webdriver.support.select import Select

    Select(find(page, selector)).select_by_value(value)


def names(page):
    return texts(page, "[data-table=scores] tbody tr:not([hidden]) th")


def test_tables_sort_by_number_and_by_name(page):
    heads = all_(page, "[data-table=scores] thead tr:last-child .sort")
    heads[1].click()  # SOD MAE: the best first
    first = [float(c.get_attribute("data-value")) for c in all_(page, "[data-table=scores] tbody tr:not(.published) td:nth-child(2)")
             if c.get_attribute("data-value")]  # fmt: skip
    assert first == sorted(first) and len(first) == 4
    heads[1].click()
    assert text(page, "[data-table=scores] [aria-sort=descending]").startswith("MAE")
    heads[1].click()  # the third click restores the order
    assert all_(page, "[data-table=scores] [aria-sort=descending]") == []
    assert names(page)[:4] == [f"{name}{letter}" for name, letter in zip(ODD, "abcd", strict=True)]
    heads[0].click()
    own = [name for name in names(page) if not name.endswith("as published")]
    assert own == sorted(own, key=str.lower)
    assert names(page)[: len(own)] == own, "published rows stay below the measured ones"


def test_numbers_that_are_printed_with_signs_sort_as_numbers(page):
    for column in (2, 3):  # the difference, and p
        cells = f"[data-table=comparisons] tbody td:nth-child({column})"
        find(page, f"[data-table=comparisons] thead th:nth-child({column}) .sort").click()
        values = [float(c.get_attribute("data-value")) for c in all_(page, cells)]
        assert len(values) > 4 and values == sorted(values, reverse=True)


def test_the_chooser_rules_tables_curves_and_browser_and_stays_in_the_address(page):
    find(page, "#chooser summary").click()
    columns = "[data-table=scores] thead tr:last-child th:not([hidden])"
    before = len(all_(page, columns))
    all_(page, "#choose-metric input")[0].click()
    all_(page, "#choose-method input")[1].click()
    assert len(all_(page, columns)) == before - 2, "one metric on two datasets"
    assert ODD[1] + "b" not in names(page)
    assert len(all_(page, "#chart-svg .curve")) == 3
    assert ODD[1] not in texts(page, "#view-detail h4")
    assert "4 of 5 metrics, 3 of 4 methods" in text(page, "#chooser-state")
    folded = texts(page, "details.more:not([hidden]) > summary")
    assert folded == ["S by object size", "Max E by object size", "Weighted F by object size"]
    address = page.current_url
    page.get("about:blank")
    page.get(address)
    wait(lambda: "images" in text(page, "#view-count"))
    assert len(all_(page, columns)) == before - 2
    find(page, "#chooser summary").click()
    find(page, "#choose-all").click()
    assert len(all_(page, columns)) == before


def test_a_bin_a_group_and_a_range_select_images(page):
    find(page, "#view-bins button[title^='1 ']").click()
    assert text(page, "#view-count") == "1 of 12 images"
    find(page, "#view-reset").click()
    assert text(page, "#view-count") == "12 of 12 images"
    groups = page.execute_script(
        "return [...document.querySelectorAll('#view-group option')].map(o => o.value)"
    )
    choose(page, "#view-group", groups[1])
    assert text(page, "#view-count") != "12 of 12 images"
    assert "group=" in page.current_url


def test_a_click_on_a_figure_shows_the_images_behind_it(page):
    spots = all_(page, "a.spot")
    assert len(spots) > 2 * 4 * 2, "boxes, and dots of methods and of groups, on both datasets"
    spot = next(s for s in spots if "large" in s.get_attribute("title"))
    address = spot.get_attribute("href").partition("#")[2]
    page.execute_script(
        "arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()", spot
    )
    chosen = "return document.getElementById(arguments[0]).selectedOptions[0].textContent"
    wait(lambda: page.execute_script(chosen, "view-group").startswith("object size: large"))
    method, _, _ = spot.get_attribute("title").partition(" on ")
    assert page.execute_script(chosen, "view-sort") == method
    assert address.partition("group=")[2] in page.current_url
    assert (
        page.execute_script("return document.getElementById('browser').getBoundingClientRect().top")
        < 100
    )


def test_an_image_is_enlarged_below_a_slider_or_an_overlay(page):
    all_(page, "#view-detail .open")[2].click()
    assert find(page, "#zoom").is_displayed()
    style = "return getComputedStyle(document.getElementById('zoom-over'))[arguments[0]]"
    assert page.execute_script(style, "opacity") == "0.5"
    choose(page, "#zoom-mode", "slider")
    assert "50%" in page.execute_script(style, "clipPath")
    choose(page, "#zoom-below", "mask")
    assert "/mask/" in find(page, "#zoom-under").get_attribute("src")
    find(page, "#zoom-close").click()
    assert not find(page, "#zoom").is_displayed()


def test_the_list_of_images_stays_in_sight_while_many_maps_scroll_by(page):
    page.execute_script("document.getElementById('view-detail').style.height = '5000px'")
    page.execute_script("document.getElementById('view-detail').scrollIntoView({block: 'end'})")
    top = "return document.getElementById('view-list').getBoundingClientRect().top"
    assert 0 <= page.execute_script(top) < 100


def test_the_browser_has_a_grid_and_sections_fold(page):
    choose(page, "#view-layout", "grid")
    tops = page.execute_script(
        "return [...document.querySelectorAll('.item')].map(e => e.getBoundingClientRect().top)"
    )
    assert len(set(tops)) < len(tops) == 12
    assert find(page, "#provenance details").get_attribute("open") is None
    page.execute_script("location.hash = 'provenance'")
    wait(lambda: find(page, "#provenance details").get_attribute("open") is not None)


def test_a_tap_on_a_phone_shows_the_image(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        width = "return document.documentElement.scrollWidth"
        assert page.execute_script(width) <= 390
        page.execute_script("document.querySelectorAll('.item')[2].click()")
        top = "return document.getElementById('view-detail').getBoundingClientRect().top"
        # a page scrolls by whole pixels
        wait(lambda: -1 < page.execute_script(top) < 800)
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_printed_tables_wrap_and_no_column_is_cut_off(page):
    overflows = (
        "return [...document.querySelectorAll('.scroll')].map(e => getComputedStyle(e).overflowX)"
    )
    cells = (
        "return [...document.querySelectorAll('tbody th')].map(e => getComputedStyle(e).whiteSpace)"
    )
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert set(page.execute_script(overflows)) == {"visible"}
        assert set(page.execute_script(cells)) == {"normal"}
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert set(page.execute_script(overflows)) == {"auto"}


def test_a_table_of_thirty_columns_fits_on_paper(page):
    # A4 without its margins, at 96 pixels per inch
    paper = 718
    widths = (
        "const box = document.querySelector('[data-table=scores]').cloneNode(true); document.body.append(box);"
        "box.querySelector('thead').rows[0].remove();"
        "for (const row of box.querySelectorAll('tr')) while (row.cells.length < 31) row.append(row.cells[1].cloneNode(true));"
        f"box.style.width = '{paper}px'; const own = () => box.querySelector('table').scrollWidth;"
        "box.style.setProperty('--columns', 30); const width = own(); box.remove(); return width;"
    )
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        width = page.execute_script(widths)
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert width <= paper


def test_tables_filter_by_text(page):
    box = find(page, "[data-table=scores] .filter")
    box.send_keys("<b>")
    assert names(page) == [ODD[1] + "b"]
    box.clear()
    box.send_keys("published")
    assert names(page) and all(n.endswith("as published") for n in names(page))


def test_curves_answer_to_pointer_keys_and_clicks(page):
    from selenium.webdriver import ActionChains, Keys

    assert len(all_(page, "#chart-svg .curve")) == 4
    svg = find(page, "#chart-svg")
    page.execute_script("arguments[0].scrollIntoView()", svg)
    ActionChains(page).move_to_element(svg).perform()
    assert ", threshold " in text(page, "#chart-tip") and "precision 0." in text(page, "#chart-tip")
    svg.send_keys(Keys.ARROW_LEFT)
    before = text(page, "#chart-tip")
    svg.send_keys(Keys.ARROW_LEFT)
    assert text(page, "#chart-tip") != before
    button = all_(page, "#chart-legend button")[1]
    assert button.text == ODD[1]
    button.click()
    assert len(all_(page, "#chart-svg .curve")) == 3
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    choose(page, "#chart-kind", "f")
    choose(page, "#chart-set", "1")
    assert "F-measure" in text(page, "#chart-svg")


def axis_labels(page):
    """The numbers at the axes of the curves: those below them, and those on the left."""
    both = {"middle": [], "end": []}
    script = "return [...document.querySelectorAll('#chart-svg text')].map(e => [e.getAttribute('text-anchor'), e.textContent])"
    for anchor, label in page.execute_script(script):
        if label.replace(".", "").isdigit():
            both[anchor].append(label)
    return both["middle"], both["end"]


def test_a_dragged_rectangle_of_the_curves_is_enlarged_and_stays_in_the_address(page, odd_report):
    from selenium.webdriver import ActionChains

    whole = axis_labels(page)
    assert whole[0] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    svg = find(page, "#chart-svg")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
    # from the middle to the upper right corner
    corner = svg.size["width"] // 2 - 10, -svg.size["height"] // 2 + 10
    ActionChains(page).move_to_element(svg).click_and_hold().move_by_offset(*corner).perform()
    assert find(page, "#chart-drag").is_displayed()
    ActionChains(page).release().perform()
    assert not find(page, "#chart-drag").is_displayed()
    below, left = axis_labels(page)
    assert below[0] >= "0.45" and below[-1] == "1.0" and len(below) > 3
    assert left[0] > whole[1][0] and left[-1] == whole[1][-1]
    ActionChains(page).move_to_element(svg).perform()
    recall = float(text(page, "#chart-tip").rpartition("recall ")[2])
    assert recall > 0.45, "only what is shown is read"
    address = page.current_url
    assert "curve-part=" in address
    page.get("about:blank")
    page.get(address)
    wait(lambda: "images" in text(page, "#view-count"))
    assert axis_labels(page) == (below, left)
    svg = find(page, "#chart-svg")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
    ActionChains(page).double_click(svg).perform()
    assert axis_labels(page) == whole and "curve-part" not in page.current_url


def test_the_curves_are_enlarged_by_keys_and_printed_whole(page):
    from selenium.webdriver import Keys

    whole, button = axis_labels(page), find(page, "#chart-whole")
    assert not button.is_enabled()
    for _ in range(12):  # as far as it goes
        find(page, "#chart-zoom").send_keys(Keys.ENTER)
    below, left = axis_labels(page)
    assert below[0] > "0.9" and len(set(below)) == len(below) > 2
    assert len(set(left)) == len(left) > 2
    page.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert axis_labels(page) == whole
    page.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert axis_labels(page) == (below, left)
    button.send_keys(Keys.ENTER)
    assert axis_labels(page) == whole and not button.is_enabled()


def test_the_address_keeps_what_the_curves_show_and_an_impossible_part_is_ignored(page, odd_report):
    choose(page, "#chart-set", "1")
    choose(page, "#chart-kind", "f")
    find(page, "#chart-zoom").click()
    below, _ = axis_labels(page)
    assert (below[0], below[-1]) == ("0", "250"), "thresholds stay, the upper half of F is shown"
    address = page.current_url
    for part in ("1e300,2e300,0,1", "0,255", "0,255,1,0", "x,y,z,t"):
        page.get("about:blank")
        page.get((odd_report / "index.html").as_uri() + f"#?curve=e&curve-part={part}")
        wait(lambda: "images" in text(page, "#view-count"))
        assert not find(page, "#chart-whole").is_enabled() and "E-measure" in text(
            page, "#chart-svg"
        )
    page.get("about:blank")
    page.get(address)
    wait(lambda: "images" in text(page, "#view-count"))
    chosen = "return [...document.querySelectorAll('#chart-set, #chart-kind')].map(e => e.value)"
    assert page.execute_script(chosen) == ["1", "f"] and find(page, "#chart-whole").is_enabled()


def test_browser_sorts_searches_and_shows_errors(page):
    assert text(page, "#view-count") == "12 of 12 images"
    values = [float(item.split("\n")[-1]) for item in texts(page, "#view-list .item")]
    assert values == sorted(values), "the worst first"
    choose(page, "#view-order", "best")
    values = [float(item.split("\n")[-1]) for item in texts(page, "#view-list .item")]
    assert values == sorted(values, reverse=True)
    choose(page, "#view-metric", "0")  # MAE: the best are the lowest
    values = [float(item.split("\n")[-1]) for item in texts(page, "#view-list .item")]
    assert values == sorted(values)
    choose(page, "#view-metric", "1")
    choose(page, "#view-sort", "spread")
    choose(page, "#view-order", "worst")
    values = [float(item.split("\n")[-1]) for item in texts(page, "#view-list .item")]
    assert values == sorted(values, reverse=True), "the largest range first"
    choose(page, "#view-order", "best")
    choose(page, "#view-sort", "0")
    choose(page, "#view-minus", "3")  # the difference of two methods
    assert float(text(page, "#view-list .item").split("\n")[-1]) > 0
    assert texts(page, "#view-detail h4") == ["image", "GT", *ODD]
    choose(page, "#view-show", "errors")
    assert len(all_(page, "#view-detail .layer.map")) == 4
    find(page, "#view-filter").send_keys("IM_003")
    assert text(page, "#view-count") == "1 of 12 images"
    wait(
        lambda: page.execute_script(
            "return [...document.querySelectorAll('#view-detail img')].every(i => i.naturalWidth > 0)"
        )
    )


def test_browser_follows_keys_and_links(page, odd_report):
    from selenium.webdriver import Keys

    box = find(page, "#view-list")
    box.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert position(page, "#view-list [aria-selected=true]") == 3
    stem = text(page, "#view-list [aria-selected=true] .name")
    assert stem in text(page, "#view-detail h3")
    box.send_keys(Keys.END)
    assert position(page, "#view-list [aria-selected=true]") == 12
    address = page.current_url
    page.get("about:blank")
    page.get(
        (odd_report / "index.html").as_uri()
        + "#?set=own_set+%3C1%3E&image=im_000+%3C%26%25%3E&sort=name"
    )
    wait(lambda: "own_set <1>: im_000 <&%>" in text(page, "#view-detail h3"))
    assert "image=im_" in address and "set=" not in address


def test_a_screenshot_shows_the_page_in_light_and_dark(page, tmp_path):
    from PIL import Image

    brightness = {}
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        page.execute_script("scrollTo(0, 0)")
        page.save_screenshot(str(tmp_path / f"{scheme}.png"))
        brightness[scheme] = (
            Image.open(tmp_path / f"{scheme}.png").convert("L").resize((1, 1)).getpixel((0, 0))
        )
    assert brightness["light"] > 200 and brightness["dark"] < 90


def test_wide_tables_scroll_by_themselves(page):
    """The page itself is never wider than the window, however many columns its tables have."""
    page.execute_script("""
      for (const row of document.querySelectorAll('[data-table=scores] tr'))
        for (let i = 0; i < 40; i++) row.append(row.lastElementChild.cloneNode(true));""")
    assert page.execute_script("return document.querySelector('.scroll').scrollWidth") > 2000
    width = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.execute_script(width) == 0


def test_text_has_contrast_in_light_and_dark(page):
    """WCAG 2 contrast of at least 4.5 for every colour that text has on its background."""
    script = """
      const seen = {}, lum = (c) => { const v = c.map(x => { x /= 255; return x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4; });
        return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
      const rgb = (s) => (s.match(/[0-9.]+/g) || []).map(Number);
      for (const e of document.querySelectorAll('h1,h2,h3,h4,p,a,th,td,label,code,button,summary,figcaption,dt,dd,span')) {
        if (!e.innerText || e.closest('[hidden], .sr, .skip, .photo')) continue;
        let b = e, back = [0, 0, 0, 0];
        while (b && !(back.length === 3 || back[3] > 0)) { back = rgb(getComputedStyle(b).backgroundColor); b = b.parentElement; }
        if (back.length === 4 && back[3] === 0) continue;
        const pair = [lum(rgb(getComputedStyle(e).color)), lum(back)].sort();
        const ratio = (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
        if (ratio < 4.5) seen[e.tagName + '.' + e.className] = ratio;
      }
      return seen;"""
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        assert page.execute_script(script) == {}, scheme


@pytest.fixture(scope="module")
def linked_report(tmp_path_factory):
    """A page that links its images; they are larger than thumbnails, and in a folder with an odd name."""
    from PIL import Image
    from synthetic import report_page, synthetic

    from sodbench.reports import plot_style

    root = tmp_path_factory.mktemp("linked")
    result = synthetic("plain", "SOD", images=3, folder=root / "data #1 ä 50%")
    for file in (root / "data #1 ä 50%").rglob("*.*"):
        with Image.open(file) as image:
            larger = image.resize((1500, 1200))
        larger.save(file)
    maps = root / "data #1 ä 50%/maps/plain"
    (maps / "1.png").unlink()
    with Image.open(maps / "2.png") as image:
        square = image.resize((704, 704))
    square.save(maps / "2.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_style, "save_figure", lambda *_: None)
        report_page([result], root / "reports/out", resamples=100, link_images=True)
    return root / "reports/out"


@pytest.fixture
def linked_page(browser, linked_report):
    browser.get("about:blank")
    browser.get((linked_report / "index.html").as_uri())
    wait(lambda: "images" in text(browser, "#view-count"))
    yield browser
    # this page has no figures, and one of its files is missing
    browser.get_log("browser")


def open_image(page, stem):
    find(page, "#view-filter").send_keys(stem)
    wait(lambda: stem in text(page, "#view-detail h3"))
    all_(page, "#view-detail .open")[2].click()


NATURAL_WIDTH = "return document.getElementById(arguments[0]).naturalWidth"
WIDTH = "return document.getElementById(arguments[0]).getBoundingClientRect().width"


@pytest.mark.parametrize(("stem", "map_width"), [("im_000", 1500), ("im_002", 704)])
def test_linked_files_are_enlarged_to_the_window_and_to_actual_pixels(linked_page, stem, map_width):
    page = linked_page
    open_image(page, stem)
    wait(lambda: page.execute_script(NATURAL_WIDTH, "zoom-under") == 1500)
    wait(lambda: page.execute_script(NATURAL_WIDTH, "zoom-top") == map_width)
    assert text(page, "#zoom-note") == ""
    sizes = "const e = document.getElementById('zoom-scroll'); return [e.scrollWidth - e.clientWidth, e.scrollHeight - e.clientHeight]"
    assert page.execute_script(sizes) == [0, 0], "the whole image is in sight"
    height = page.execute_script(WIDTH.replace("width", "height"), "zoom-under")
    assert height > page.execute_script("return innerHeight") / 2
    for name in ("zoom-under", "zoom-top"):
        assert page.execute_script(WIDTH, name) == pytest.approx(1.25 * height, abs=1)
    find(page, "#zoom-actual").click()
    for name in ("zoom-under", "zoom-top"):
        assert page.execute_script(WIDTH, name) == 1500
    assert min(page.execute_script(sizes)) > 300, "it scrolls"
    choose(page, "#zoom-below", "mask")
    wait(lambda: "/masks/" in find(page, "#zoom-under").get_attribute("src"))
    wait(lambda: page.execute_script(NATURAL_WIDTH, "zoom-under") == 1500)
    find(page, "#zoom-actual").click()
    assert page.execute_script(sizes) == [0, 0]


def test_the_thumbnail_of_a_missing_file_stays_and_is_named(linked_page, linked_report):
    page = linked_page
    # what the report made of the map before it was moved
    thumbnail = linked_report / "thumbnails/SOD/map-plain/000001.jpg"
    thumbnail.write_bytes(thumbnail.with_name("000002.jpg").read_bytes())
    open_image(page, "im_001")
    wait(lambda: page.execute_script(NATURAL_WIDTH, "zoom-top") == 200)
    wait(lambda: text(page, "#zoom-note").startswith("Only the thumbnail of plain is shown"))
    choose(page, "#zoom-below", "map-plain")
    choose(page, "#zoom-above", "image")
    wait(lambda: page.execute_script(NATURAL_WIDTH, "zoom-under") == 200)
    find(page, "#zoom-actual").click()
    wait(lambda: page.execute_script(WIDTH, "zoom-top") == 1500)
    choose(page, "#zoom-below", "mask")
    wait(lambda: page.execute_script(NATURAL_WIDTH, "zoom-under") == 1500)
    wait(lambda: text(page, "#zoom-note") == "")


def test_a_page_links_nothing_outside_its_folder_unless_asked(odd_report, linked_report):
    def addresses(report):
        files = [report / "index.html", *sorted((report / "data").iterdir())]
        return [file.name for file in files if "../" in file.read_text(encoding="utf-8")]

    assert addresses(linked_report) == ["dataset-0.js"]
    assert addresses(odd_report) == []
    assert "on this machine only" in (linked_report / "index.html").read_text(encoding="utf-8")
    assert "zoom-actual" not in (odd_report / "index.html").read_text(encoding="utf-8")


def test_five_thousand_images_do_not_make_five_thousand_elements(page):
    script = """
      const d = window.SODBENCH.images[0], n = 5000;
      d.stems = Array.from({length: n}, (_, i) => 'image ' + i);
      d.scores = d.scores.map(m => m.map(() => d.stems.map((_, i) => (i * 7919 % n) / n)));
      const start = performance.now();
      document.getElementById('view-filter').dispatchEvent(new Event('input'));
      return performance.now() - start;"""
    spent = page.execute_script(script)
    assert text(page, "#view-count") == "5000 of 5000 images"
    assert len(all_(page, "#view-list .item")) < 40
    page.execute_script("document.getElementById('view-list').scrollTop = 100000")
    wait(lambda: position(page, "#view-list .item") > 2000)
    assert len(all_(page, "#view-list .item")) < 40
    print(f"arranged 5000 images in {spent:.0f} ms")
    page.get_log(
        "browser"
    )  # these images have no thumbnails, which the log says and the page shows


AXE = os.environ.get("SODBENCH_AXE", "")


def write_other_pages(folder):
    """Every other kind of page: in one file, of two methods, of a leaderboard and of agreement."""
    from synthetic import ODD, synthetic

    from sodbench import ReportOptions, compare, update_leaderboard, write_report
    from sodbench.cli import main
    from sodbench.reports.comparison_files import write_comparison

    results = [
        synthetic(m, "SOD", noise=0.2 + i / 5, folder=folder / "data")
        for i, m in enumerate(ODD[:2])
    ]
    write_report(results, folder / "single.html", ReportOptions(resamples=100))
    write_comparison(
        compare(*results, resamples=100), results[:1], results[1:], folder / "compare.html"
    )
    update_leaderboard(results, folder / "board", date="2026-01-01")
    maps = [result.folders["maps"] for result in results]
    main(
        ["agree", *maps, "--images", results[0].folders["images"], "-o", str(folder / "agree.html")]
    )
    return [
        folder / name for name in ("single.html", "compare.html", "board/index.html", "agree.html")
    ]


@pytest.mark.skipif(not AXE, reason="SODBENCH_AXE names no axe.min.js (npm install axe-core)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_of_accessibility_in_any_page(
    page, linked_report, tmp_path, capsys, scheme
):
    """The rules of WCAG 2.0 to 2.2, levels A and AA, and axe's best practices."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    violations = {"report": run_axe(page)}
    page.get((linked_report / "index.html").as_uri())
    wait(lambda: "images" in text(page, "#view-count"))
    open_image(page, "im_001")
    wait(lambda: text(page, "#zoom-note") != "")
    violations["enlarged"] = run_axe(page)
    page.get_log("browser")
    for other in write_other_pages(tmp_path) if scheme == "light" else []:
        page.get(other.as_uri())
        violations[other.name] = run_axe(page)
    assert not any(violations.values()), violations


def run_axe(page):
    page.execute_script(Path(AXE).read_text(encoding="utf-8"))
    return page.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'], preload: false})"
        ".then(r => done(r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200))])));"
    )
