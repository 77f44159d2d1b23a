"""The web book in Chromium, with the network cut off: search, predictions, moving pictures, small
screens, the keyboard, paper, and axe-core in light and dark.
"""

import threading

import pytest
from book_pages import pages_of

from minddpm_course.book import address_of, book_server
from minddpm_course.course import load_course

PHONE = {"width": 390, "height": 844}
KINDS = (  # a page of each kind
    *("index", "search", "README", "api", "api/minddpm.sampler"),
    *("notebooks/00_from_noise_to_images", "notebooks/03_posterior", "exercises/03_posterior"),
    *("solutions/03_posterior", "docs/map", "docs/glossary", "docs/teaching"),
)
PAPER = {"width": 703, "height": 1032}  # A4 within margins of 12 mm
# what does not fit on paper; what a formula has for screen readers and beyond a root is not shown
CUT = """[...document.querySelectorAll(".bd-article *")]
    .filter(part => part.checkVisibility() && !part.closest(".katex-mathml, .katex svg"))
    .filter(part => part.textContent.trim() || part.tagName === "IMG")
    .filter(part => part.getBoundingClientRect().right > innerWidth + 1 ||
        (part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).overflowX !== "visible"))
    .map(part => part.outerHTML.slice(0, 200))"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def served(book):
    """The address of the book, served as `minddpm book` does."""
    with book_server(book) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield address_of(server)
        server.shutdown()
        thread.join()


@pytest.fixture
def open_page(served, browser):
    """Opens a page of the book, with options of the browser's page: open_page("docs/map"). Whatever
    it asks of another machine is refused, and fails the test.
    """
    afar = []

    def only_here(route):
        if route.request.url.startswith(served):
            route.continue_()
        else:
            afar.append(route.request.url)
            route.abort()

    def open_one(name, **options):
        page = browser.new_page(**options)
        page.route("**/*", only_here)
        page.goto(f"{served}{name}.html")
        return page

    yield open_one
    assert afar == []


def test_search_finds_the_lesson_that_defines_a_word(open_page):
    page = open_page("index")
    page.keyboard.press("Control+k")
    page.keyboard.type("timesteps")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=timesteps*")
    page.locator("#search-results a[href*='notebooks/01_schedule.html']").first.click()
    assert "timestep" in page.inner_text("article")


def test_a_prediction_is_replied_to_only_when_it_is_made(open_page):
    question = load_course().bank["03.predict"]
    page = open_page("exercises/03_posterior")
    asked = page.get_by_role("group", name=question.name)
    for reply in question.replies.values():
        assert reply not in page.inner_text("body")
    for letter, option in question.options.items():
        button = asked.get_by_role("button", name=f"{letter} {option}", exact=True)
        button.focus()
        page.keyboard.press("Enter")
        said = asked.get_by_role("status").inner_text()
        assert question.replies[letter] in said
        assert ("Right." in said) == (letter == question.right)
        assert button.get_attribute("aria-pressed") == "true"
    assert asked.locator("[aria-pressed=true]").count() == 1


def test_moving_pictures_wait_for_those_who_want_less_motion(open_page):
    page = open_page("notebooks/00_from_noise_to_images", reduced_motion="reduce")
    player = page.get_by_role("group", name="moving picture").first
    player.scroll_into_view_if_needed()
    slider, button = player.get_by_role("slider"), player.get_by_role("button").first
    last = slider.input_value()
    page.wait_for_timeout(500)
    assert (button.inner_text(), slider.input_value()) == ("Play", last)
    button.click()
    page.wait_for_function(
        "([slider, last]) => slider.value !== last", arg=[slider.element_handle(), last]
    )
    assert button.inner_text() == "Pause"


def test_no_page_scrolls_sideways_on_a_phone(open_page, book, served):
    page = open_page("index", viewport=PHONE)
    wide = {}
    for path in pages_of(book):
        name = path.relative_to(book).as_posix()
        page.goto(f"{served}{name}", wait_until="domcontentloaded")
        if pixels := page.evaluate(TOO_WIDE):
            wide[name] = pixels
    assert wide == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page, served, axe, scheme):
    page = open_page("index", color_scheme=scheme, reduced_motion="reduce")
    assert page.get_attribute("html", "data-theme") == scheme
    found = []
    for name in KINDS:
        page.goto(f"{served}{name}.html")
        page.evaluate(axe)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [
            f"{name}: {one['id']}: {one['nodes'][0]['html'][:200]}" for one in result["violations"]
        ]
    assert found == []


def test_the_keyboard_opens_the_contents_on_a_phone(open_page):
    page = open_page("notebooks/03_posterior", viewport=PHONE)
    link = page.locator(".bd-docs-nav a", has_text="04 · Loss").first
    assert not link.is_visible()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.primary-toggle')"):
            break
    page.keyboard.press("Enter")
    link.wait_for()
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/04_loss.html")


@pytest.mark.parametrize("name", [*KINDS, "notebooks/01_schedule", "benchmarks/README"])
def test_paper_is_white_and_shows_all(open_page, name):
    page = open_page(name, viewport=PAPER, color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert page.evaluate(CUT) == []
    figures = page.locator("figure")
    assert figures.count() == page.locator("figure img:visible, figure canvas:visible").count()
    page.emulate_media(media="null", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(background) != "rgb(255, 255, 255)"
    assert page.pdf().count(b"/Subtype /Image") >= figures.count()
    assert page.evaluate(background) != "rgb(255, 255, 255)"
