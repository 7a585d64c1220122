"""The page in a browser, where there is one: what JavaScript adds, and what must not happen."""

import shutil

import pytest
from made_comparison import EMOTIONS, HOSTILE, hostile_comparison, make_comparison

from ser_lightning.compare.html.page import write_page

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SMALL = {"n_seeds": 1, "n_folds": 2, "n_epochs": 3, "n_speakers": 8}
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Open a comparison's page; nothing may be said on the console or asked of a network by the test's end."""
    contexts, complaints, requests = [], [], []

    def open_page(*comparisons, **options):
        write_page(tmp_path / "page.html", comparisons)
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
    assert {url for url in requests if not url.startswith("data:")} == {(tmp_path / "page.html").as_uri()}


def names(page) -> list[str]:
    return page.locator(".board tbody .name").all_inner_texts()


def pair_texts(page) -> list[str]:
    return page.locator(".pair [data-field], .pair td, .pair [data-name]:visible").all_inner_texts()


def test_columns_sort_by_click_and_by_key(show):
    made = make_comparison(**SMALL)
    page = show(made)
    by_rank = [group.name for group in made.groups]
    by_size = [group.name for group in sorted(made.groups, key=lambda group: group.parameters)]
    assert names(page) == by_rank
    board = page.locator(".board")

    board.get_by_role("button", name="parameters").click()
    assert names(page) == by_size
    assert board.locator("th[aria-sort]").all_inner_texts() == ["parameters"]
    assert board.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"

    board.get_by_role("button", name="parameters").press("Enter")
    assert names(page) == by_size[::-1]
    assert board.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"

    board.get_by_role("button", name="rank").press("Space")
    assert names(page) == by_rank


def test_what_is_missing_sorts_last_both_ways(show):
    page = show(make_comparison(names=["a", "b", "c"]))
    page.locator(".board tbody tr").first.locator("td").nth(-2).evaluate("cell => { cell.dataset.v = ''; }")
    first = names(page)[0]
    for _ in range(2):
        page.locator(".board").get_by_role("button", name="minutes").click()
        assert names(page)[-1] == first


def test_any_two_models_can_be_chosen(show):
    made = make_comparison(**SMALL)
    page = show(made)
    as_written = pair_texts(page)
    first, second = page.get_by_label("first model"), page.get_by_label("second model")
    first.select_option("3")
    second.select_option("1")
    pair = next(
        pair
        for pair in made.pairs
        if {pair.first, pair.second} == {g.name for g in (made.groups[1], made.groups[3])}
    )
    assert page.locator("[data-field=difference]").inner_text() == f"{-100 * pair.difference.value:.1f}".replace(
        "-", "−"
    )
    assert page.locator("[data-field=only_first]").inner_text() == f"{pair.only_second / pair.n_clips:.1%}"
    assert page.locator("[data-field=permutation]").inner_text() in (f"{pair.permutation_p:.3f}", "< 0.001")
    confusion = made.groups[3].confusion
    share = page.locator("[data-confusion=first] tbody tr").first.locator("td").first.inner_text()
    assert share == f"{100 * confusion[0][0] / sum(confusion[0]):.1f}"
    assert page.locator(".recalls [data-name='0']").inner_text() == made.groups[3].name

    first.select_option("0")
    assert pair_texts(page) == as_written  # the script says what the page said without it

    second.select_option("0")
    assert page.locator("[data-field=difference]").inner_text() == "–"


def test_curves_switch_on_and_off(show):
    page = show(make_comparison(names=[f"m{number}" for number in range(10)], n_seeds=1, n_folds=2, n_epochs=4))
    shown = page.locator("[data-curves] svg.plot g[data-group]:not(.off)")
    per_group = 3 * 2  # panels, lines and marks
    assert shown.count() == 8 * per_group
    page.get_by_role("checkbox", name="m0", exact=True).uncheck()
    assert shown.count() == 7 * per_group
    page.get_by_role("button", name="all").click()
    assert shown.count() == 10 * per_group


def test_models_are_filtered_by_name(show):
    page = show(make_comparison(names=[f"m{number}" for number in range(12)], n_seeds=1, n_folds=1, n_epochs=2))
    page.get_by_label("Show models whose name contains").fill("M1")
    assert sorted(page.locator(".board tbody tr:visible .name").all_inner_texts()) == ["m1", "m10", "m11"]
    assert page.locator("[data-filter-count]").inner_text() == "3 of 12"


def test_a_mark_tells_its_numbers(show):
    page = show(make_comparison(**SMALL))
    page.locator(".board use.mark[data-tip]").first.hover()
    assert page.locator("#tip").inner_text().startswith("c") and "%" in page.locator("#tip").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


@pytest.mark.parametrize("long", [False, True])
def test_a_narrow_page_does_not_scroll_sideways(show, long):
    name = "cnn, " + "optimizer.lr_and_whatever_else_was_changed_" * 4
    made = make_comparison(
        names=[name, "b", "c"] if long else ["a", "b", "c"], labels=EMOTIONS, failed=[(name, name)]
    )
    page = show(made, viewport={"width": 360, "height": 800})
    page.locator("details").evaluate_all("all => all.forEach((details) => { details.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_hostile_names_run_nothing_whatever_is_used(show):
    page = show(hostile_comparison())
    page.get_by_label("first model").select_option("1")
    page.locator(".board").get_by_role("button", name="model").click()
    page.locator(".board use.mark[data-tip]").first.hover()
    assert HOSTILE in page.locator("#tip").evaluate("tip => tip.textContent")
    assert page.locator("img").count() == 0


def test_everything_is_there_without_javascript_and_on_paper(show):
    page = show(make_comparison(**SMALL), java_script_enabled=False, color_scheme="dark")
    assert page.locator("button:visible, select:visible, input:visible").count() == 0
    assert page.locator(".pair .no-js").first.is_visible()
    page.emulate_media(media="print")
    assert page.locator(".path").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
