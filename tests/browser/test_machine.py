"""The digit machine in a browser without a network: its numbers are the library's, and a visitor
draws, denoises, fills in, cancels and looks back.
"""

import base64
import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_drawing import BAR, SEVEN, contrast, marked_by

from minddpm import OnnxNetwork, forward_diffusion, guided, load_pretrained, respaced
from minddpm.ddim import ddim_steps
from minddpm.inpainting import inpaint_steps
from minddpm.sampler import sample_steps

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "book" / "machine"
SHAPE = (1, 1, 28, 28)
TOLERANCE = 1e-4

# a worker as the page makes one, with a network and noise of its own, and the states on the way to
# what it is asked for
WORKER = """async ([network, noise]) => {
    const source = document.getElementById("worker").textContent;
    const worker = new Worker(URL.createObjectURL(new Blob([source])));
    const told = (message) => new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => data.error ? reject(Error(data.error)) : resolve(data);
        worker.postMessage(message);
    });
    const runtime = document.getElementById("runtime").textContent;
    await told({ load: { runtime, network } });
    window.statesOf = async (request) => {
        await told({ start: { ...request, noise } });
        const states = [];
        for (;;) {
            const { state } = await told({ next: true });
            if (!state) return states;
            states.push([state.t, [...state.x_t], [...state.x_0]]);
        }
    };
}"""
PIXELS = """canvas => {
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    return [...data].filter((_, i) => i % 4 === 0);
}"""
WORDS = """() => [...document.querySelectorAll("body *")]
    .filter(part => part.checkVisibility() && !part.closest("script, style, option") &&
        [...part.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim()))
    .map(part => {
        let behind = part;
        while (behind && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)")
            behind = behind.parentElement;
        return [part.textContent, getComputedStyle(part).color,
            getComputedStyle(behind).backgroundColor];
    })"""
CONTROLS = """[...document.querySelectorAll("a, button, input, select, canvas[tabindex]")]
    .filter(part => part.checkVisibility())"""
# what can have the focus; of each group of radio buttons the chosen one
STOPS = f"""{CONTROLS}.filter(part => !part.disabled && (part.type !== "radio" || part.checked))
    .length"""
# what is less than 24 pixels high or wide to a finger, which may press a radio button's label
SMALL = f"""{CONTROLS}.map(part => part.type === "radio" ? part.closest("label") : part)
    .filter(part => Math.min(part.offsetWidth, part.offsetHeight) < 24)
    .map(part => part.outerHTML)"""
PHONE = {"width": 390, "height": 844}
MODES = ("noise", "drawing", "filling")


def build(folder, *options):
    """Build the page into a folder, and return its path."""
    command = [sys.executable, ROOT / "tools" / "build_machine.py", folder, *options]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot be installed" in built.stderr or "is not installed" in built.stderr:
        pytest.skip(built.stderr.strip().splitlines()[-1])
    assert built.returncode == 0, built.stderr
    return folder / "index.html"


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """The page, built as by `make machine`."""
    return build(tmp_path_factory.mktemp("machine"))


@pytest.fixture
def open_machine(machine, browser):
    """Opens the machine from the disk, without a network, and waits until it is ready."""
    errors = []

    def open_page(**options):
        options = {"viewport": {"width": 1200, "height": 1000}} | options
        page = browser.new_context(offline=True, **options).new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(machine.as_uri())
        said(page, "Ready.")
        return page

    yield open_page
    assert errors == []


def said(page, words):
    """Wait until the status begins with these words, and return all of it."""
    status = page.locator("#status").filter(has_text=re.compile(f"^{re.escape(words)}"))
    return status.text_content()


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def choose(page, **settings):
    """Set fields by their name, as a visitor does."""
    for name, value in settings.items():
        field = page.locator(f"[name={name}]").first
        if name == "mode":
            page.locator(f"[name=mode][value={value}]").check()
        elif field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(str(value))


def draw(page, name="Draw", **settings):
    """Draw with some settings, and return the finished pictures' greys, 0..255."""
    choose(page, **settings)
    button(page, name).click()
    said(page, "Done: ")
    return greys(page)


def greys(page, name="x_0"):
    return torch.tensor(page.locator(f"#{name}").evaluate(PIXELS)).float()


# the library's numbers


@pytest.fixture(scope="module")
def shipped():
    model, schedule, _ = load_pretrained("mnist_labels")
    return model, schedule


def seeded():
    return torch.Generator().manual_seed(5)


def drawn_image():
    """A 7 of two strokes."""
    return 2 * marked_by([(6, 6), (20, 6)], [(18, 6), (18, 23)]).float().reshape(SHAPE) - 1


def labelled(model, request):
    digit = request["digit"]
    return model if digit is None else guided(model, digit, request["scale"])


def states_of(request, shipped):
    """The library's states for a request to the worker."""
    model, schedule = shipped
    model, generator, steps = labelled(model, request), seeded(), request["steps"]
    x_t = torch.randn(SHAPE, generator=generator)
    if "mask" in request:
        few, shorter = respaced(model, schedule, steps)
        mask = torch.tensor(request["mask"]).reshape(28, 28)
        settings = {"resamplings": request["resamplings"], "generator": seeded()}
        return list(inpaint_steps(few, drawn_image(), mask, shorter, **settings))
    if "image" in request:
        x_t, _ = forward_diffusion(drawn_image(), request["t"], schedule, x_t)
        schedule = schedule.until(request["t"])
    if request["sampler"] == "ddim":
        settings = {"steps": steps, "eta": request["eta"], "clip": False}
        return list(ddim_steps(model, x_t, schedule, **settings, generator=generator))
    few, shorter = respaced(model, schedule, steps)
    start = (x_t, shorter.T)
    return list(sample_steps(few, SHAPE, shorter, start=start, generator=generator))


REQUESTS = {
    "DDIM": {"digit": None, "sampler": "ddim", "eta": 0.0},
    "guided DDIM with fresh noise": {"digit": 7, "scale": 2.0, "sampler": "ddim", "eta": 0.5},
    "ancestral": {"digit": 3, "sampler": "ancestral"},
    "guided ancestral": {"digit": 8, "scale": 3.0, "sampler": "ancestral"},
    "DDIM from a drawing": {"digit": 7, "sampler": "ddim", "eta": 0.0, "t": 400},
    "ancestral from a drawing": {"digit": None, "sampler": "ancestral", "t": 625},  # 12.5 a step
    "filled in": {"digit": 7, "steps": 20, "resamplings": 2},
}


def test_each_state_of_each_sampler_is_the_librarys(open_machine, shipped):
    page = open_machine()
    whole = gzip.compress(OnnxNetwork(shipped[0], SHAPE[1:]).onnx)
    generator = seeded()
    noise = [torch.randn(784, generator=generator).tolist() for _ in range(120)]
    page.evaluate(WORKER, [base64.b64encode(whole).decode(), noise])
    for name, more in REQUESTS.items():
        request = {"count": 1, "scale": 1.0, "steps": 50} | more
        if "t" in request or "resamplings" in request:
            request["image"] = drawn_image().flatten().tolist()
        if "resamplings" in request:
            request["mask"] = marked_by(BAR).flatten().tolist()
        theirs = page.evaluate("request => statesOf(request)", request)
        ours = states_of(request, shipped)
        assert len(theirs) == len(ours) == request["steps"] + 1
        times = [t for t, _, _ in theirs]
        signal = shipped[1].alpha_bar[times].sqrt()
        x_t, x_0 = (torch.tensor([state[part] for state in theirs]) for part in (1, 2))
        wanted_x_t, wanted_x_0 = (
            torch.stack([state[part].flatten() for state in ours]) for part in (1, 2)
        )
        if request.get("sampler") == "ddim":
            assert times == [state.t for state in ours], name
        assert (x_t - wanted_x_t).abs().max() <= TOLERANCE, name
        # where little signal is left, rounding of x_t is magnified as the signal is
        apart = (x_0 - wanted_x_0).abs() * signal[:, None]
        assert apart.max() <= TOLERANCE, name
        assert wanted_x_t[-1].std() > 0.3


def test_the_weights_of_the_page_draw_the_librarys_pictures(open_machine, shipped):
    page = open_machine()
    inside = page.evaluate("document.getElementById('network').textContent")
    half = OnnxNetwork(shipped[0], SHAPE[1:], half=True)
    assert gzip.decompress(base64.b64decode(inside)) == half.onnx
    page.evaluate(WORKER, [inside, [torch.randn(784, generator=seeded()).tolist()]])
    request = {"count": 1, "scale": 1.0, "steps": 50, "sampler": "ddim", "eta": 0.0, "digit": 4}
    theirs = page.evaluate("request => statesOf(request)", request)
    ours = torch.cat([state.x_t for state in states_of(request, shipped)]).flatten(1)
    apart = (torch.tensor([state[1] for state in theirs]) - ours).abs()
    assert apart.max() <= 0.05
    assert apart.mean() <= 1e-3


@pytest.fixture
def random_module(browser):
    """A page in which `random` is the module random.js."""
    page = browser.new_context(offline=True).new_page()
    kinds = {"": ("text/html", "<!doctype html>")}
    script = (SOURCE / "random.js").read_text(encoding="utf-8")
    kinds["random.js"] = ("text/javascript", script)

    def fulfil(route):
        kind, body = kinds[route.request.url.rsplit("/", 1)[1]]
        route.fulfill(content_type=kind, body=body)

    page.route("http://machine.test/**", fulfil)
    page.goto("http://machine.test/")
    page.evaluate("async () => { window.random = await import('/random.js'); }")
    return page


def test_the_noise_is_threefrys_and_normal(random_module):
    answers = {  # as Random123, which its authors wrote, lists them
        ((0, 0), (0, 0)): [0x6B200159, 0x99BA4EFE],
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF)): [0x1CB996FC, 0xBB002BE7],
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3)): [0xC4923A9C, 0x483DF7A0],
    }
    for (key, counter), expected in answers.items():
        found = random_module.evaluate("ask => random.threefry(...ask)", [key, counter])
        assert found == expected
    draws = """([seed, images]) => {
        const draw = random.seededNoise(seed, images, 784);
        return Array.from({ length: 40 }, () => [...draw()]);
    }"""
    four = torch.tensor(random_module.evaluate(draws, [1, 4])).reshape(40, 4, 784)
    one = torch.tensor(random_module.evaluate(draws, [1, 1])).reshape(40, 784)
    assert torch.equal(one, four[:, 0])
    other = torch.tensor(random_module.evaluate(draws, [2, 1])).reshape(40, 784)
    samples = torch.stack([*four.unbind(1), other]).flatten(1)
    powers = [samples.pow(power).mean() for power in (1, 2, 3, 4)]
    assert (torch.tensor(powers) - torch.tensor([0.0, 1.0, 0.0, 3.0])).abs().max() < 0.06
    assert (torch.corrcoef(samples) - torch.eye(5)).abs().max() < 0.03
    lagged = torch.corrcoef(torch.stack([samples[:, :-1].flatten(), samples[:, 1:].flatten()]))
    assert abs(lagged[0, 1]) < 0.03


# a visitor


def test_the_same_seed_draws_the_same_picture_again(open_machine):
    page = open_machine()
    first = draw(page)
    assert first.std() > 50
    assert torch.equal(first, greys(page, "x_t"))
    other = draw(page, seed=2)
    assert (first - other).abs().mean() > 10
    assert torch.equal(draw(page, seed=1), first)
    four = draw(page, count="4").reshape(58, 58)
    parts = [four[y : y + 28, x : x + 28] for y in (0, 30) for x in (0, 30)]
    assert (parts[0].flatten() - first).abs().max() <= 1
    assert all((one - parts[0]).abs().mean() > 10 for one in parts[1:])


def test_the_slider_goes_back_and_forth(open_machine):
    page = open_machine()
    finished = draw(page, steps=10)
    slider = page.get_by_role("slider", name="Time")
    assert slider.get_attribute("aria-valuetext") == "t = 0, finished"
    slider.press("Home")
    assert page.locator("#time").text_content() == "t = 1000"
    assert page.locator("#x_t").get_attribute("aria-label") == "the noisy picture at t = 1000"
    noise = greys(page, "x_t")
    assert abs(noise - finished).mean() > 50
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "t = 900"
    assert not torch.equal(greys(page, "x_t"), noise)
    slider.press("End")
    assert torch.equal(greys(page), finished)


def test_a_drawing_in_progress_is_cancelled_and_the_next_one_is_whole(open_machine):
    page = open_machine()
    expected = draw(page)
    choose(page, steps=1000)
    button(page, "Draw").click()
    page.wait_for_function("document.getElementById('progress').value > 0.005")
    button(page, "Cancel").click()
    said(page, "Cancelled.")
    assert button(page, "Cancel").is_disabled()
    page.get_by_role("slider", name="Time").press("Home")
    assert page.locator("#time").text_content() == "t = 1000"
    assert torch.equal(draw(page, steps=20), expected)


def test_another_drawing_takes_the_place_of_the_one_in_progress(open_machine):
    page = open_machine()
    expected = draw(page)
    choose(page, steps=1000)
    button(page, "Draw").click()
    page.wait_for_function("document.getElementById('progress').value > 0.005")
    assert torch.equal(draw(page, steps=20), expected)
    assert page.get_by_role("slider", name="Time").get_attribute("max") == "20"


def test_a_drawing_is_noised_to_t_and_denoised(open_machine):
    page = open_machine()
    choose(page, mode="drawing", t=400, digit="7", eta=1)
    button(page, "Denoise").click()
    said(page, "Draw a digit on the pad first.")
    pad = page.get_by_role("application", name="Your drawing")
    by_mouse_on(page, pad, SEVEN)
    ink = torch.tensor(pad.evaluate(PIXELS)).float()
    result = draw(page, "Denoise")
    page.get_by_role("slider", name="Time").press("Home")
    assert page.locator("#time").text_content() == "t = 400"
    alike = torch.corrcoef(torch.stack([ink, result]))[0, 1]
    assert 0.4 < alike < 0.99
    free = draw(page, "Denoise", t=1000)
    assert torch.corrcoef(torch.stack([ink, free]))[0, 1] < alike
    assert draw(page, "Denoise", t=50, steps=100).std() > 50  # at most t steps are taken
    assert said(page, "Done: 50 steps in ")


def test_the_keyboard_alone_draws_a_digit_and_denoises_it(open_machine):
    page = open_machine()
    page.get_by_label("noise", exact=True).focus()
    page.keyboard.press("ArrowRight")
    pad = page.get_by_role("application", name="Your drawing")
    tab_to(page, pad)
    strokes = [*["ArrowRight"] * 13, *["ArrowDown", "ArrowDown", "ArrowLeft"] * 5]
    for key in [*["ArrowLeft", "ArrowUp"] * 7, "Space", *strokes, "Space"]:
        page.keyboard.press(key)
    ink = torch.tensor(pad.evaluate(PIXELS)).float()
    tab_to(page, button(page, "Denoise"))
    page.keyboard.press("Enter")
    said(page, "Done: ")
    assert 0.4 < torch.corrcoef(torch.stack([ink, greys(page)]))[0, 1] < 0.99
    tab_to(page, page.get_by_role("slider", name="Time"))
    page.keyboard.press("Home")
    assert page.locator("#time").text_content() == "t = 400"


def tab_to(page, part):
    """Press Tab until a part of the page has the focus."""
    for _ in range(page.evaluate(STOPS)):
        page.keyboard.press("Tab")
        if part.evaluate("part => part === document.activeElement"):
            return
    raise AssertionError(f"Tab does not reach {part}")


def test_a_drawing_says_which_digit_it_is(open_machine):
    page = open_machine()
    digit = page.get_by_label("Digit")
    assert digit.input_value() == "3"
    choose(page, mode="drawing")
    assert digit.input_value() == ""
    choose(page, digit="7")
    assert digit.input_value() == "7"


def test_a_part_is_marked_and_filled_in(open_machine):
    page = open_machine()
    drawn = draw(page, digit="8")
    choose(page, mode="filling", resamplings=2)
    button(page, "Use the last digit drawn").click()
    button(page, "Fill in").click()
    said(page, "Mark the part to hide on the second pad first.")
    by_mouse_on(page, page.get_by_role("application", name="The part to hide"), BAR)
    hidden = marked_by(BAR).flatten()
    filled = draw(page, "Fill in", seed=3)
    assert (filled - drawn)[~hidden].abs().max() <= 1
    assert (filled - drawn)[hidden].abs().max() > 5
    assert filled[hidden].std() > 50


def by_mouse_on(page, pad, points):
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    scale = box["width"] / 28
    first, *others = [(box["x"] + scale * x, box["y"] + scale * y) for x, y in points]
    page.mouse.move(*first)
    page.mouse.down()
    for point in others:
        page.mouse.move(*point, steps=5)
    page.mouse.up()


def test_pictures_move_only_where_motion_is_welcome(open_machine):
    page = open_machine()
    page.evaluate("""() => {
        const time = document.getElementById("time");
        new MutationObserver(() => shown++).observe(time, { childList: true });
    }""")
    for motion, least, most in (("no-preference", 20, 30), ("reduce", 1, 3)):
        page.emulate_media(reduced_motion=motion)
        page.evaluate("window.shown = 0")
        draw(page)
        assert least <= page.evaluate("shown") <= most, motion


def test_it_runs_from_a_server_too(machine, browser):
    page = browser.new_context(offline=True).new_page()
    asked = []

    def fulfil(route):
        asked.append(route.request.url)
        route.fulfill(content_type="text/html", body=machine.read_text(encoding="utf-8"))

    page.route(re.compile("^http"), fulfil)
    page.goto("http://machine.test/book/machine/index.html")
    said(page, "Ready.")
    assert draw(page).std() > 50
    assert [url for url in asked if not url.endswith("favicon.ico")] == [page.url]


def test_only_in_a_book_does_it_lead_back(machine, tmp_path, browser):
    page = browser.new_context(color_scheme="light").new_page()
    page.goto(machine.as_uri())
    assert page.get_by_role("link").count() == 0
    kinds = {
        "index.html": "<title>The book</title><script>localStorage.mode = 'dark'</script>",
        "machine/index.html": build(tmp_path, "--book").read_text(encoding="utf-8"),
    }

    def fulfil(route):
        path = route.request.url.removeprefix("http://machine.test/book/")
        route.fulfill(content_type="text/html", body=kinds[path])

    page.route("http://machine.test/book/**", fulfil)
    page.goto("http://machine.test/book/machine/index.html")
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.get_by_role("link", name="Back to the book").click()
    assert page.title() == "The book"
    page.go_back()
    page.reload()
    assert page.evaluate(paper) == "rgb(21, 21, 21)"


# seeing and reaching it


def test_a_phone_shows_it_without_scrolling_sideways(open_machine):
    page = open_machine(viewport=PHONE)
    for mode in MODES:
        choose(page, mode=mode)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], mode


def test_a_finger_meets_every_control(open_machine):
    page = open_machine(viewport=PHONE, has_touch=True)
    for mode in MODES:
        choose(page, mode=mode)
        assert page.evaluate(SMALL) == [], mode


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_machine, axe, scheme):
    page = open_machine(color_scheme=scheme, viewport=PHONE)
    draw(page, steps=1)
    page.evaluate(axe)
    for mode in MODES:
        choose(page, mode=mode)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        assert [f"{one['id']}: {one['nodes'][0]['html']}" for one in found] == [], mode


def test_paper_is_white_and_has_the_pictures(open_machine):
    page = open_machine(color_scheme="dark")
    draw(page)
    page.emulate_media(media="print", color_scheme="dark")
    assert all(contrast(ink, "rgb(255, 255, 255)") >= 4.5 for _, ink, _ in page.evaluate(WORDS))
    assert page.locator("#x_t").is_visible()
    assert page.locator("button:visible").count() == 0
    assert len(re.findall(rb"/Type /Page\b", page.pdf())) == 1


def test_words_can_be_read_in_light_and_in_dark(open_machine):
    page = open_machine()
    choose(page, mode="filling")
    papers = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        words = page.evaluate(WORDS)
        assert len(words) > 40
        for text, ink, paper in words:
            papers.add(paper)
            assert contrast(ink, paper) >= 4.5, (scheme, text)
    assert {"rgb(255, 255, 255)", "rgb(21, 21, 21)"} <= papers


@pytest.mark.parametrize("viewport", [{"width": 1200, "height": 1000}, PHONE])
def test_the_keyboard_reaches_everything(open_machine, viewport):
    page = open_machine(viewport=viewport)
    draw(page)
    choose(page, mode="filling")
    page.evaluate("document.activeElement.blur()")
    count = page.evaluate(STOPS)
    assert count > 15
    page.evaluate("window.visited = new Set()")
    for _ in range(count + 1):  # past the end of the page nothing has the focus, once
        page.keyboard.press("Tab")
        page.evaluate("visited.add(document.activeElement)")
    page.evaluate("visited.delete(document.body)")
    assert page.evaluate("visited.size") == count


def test_it_is_small_and_asks_for_nothing(machine):
    text = machine.read_text(encoding="utf-8")
    assert len(gzip.compress(machine.read_bytes())) < 10e6
    page = re.sub(r'<script type="text/plain".*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"<(?:link|script|img|iframe)[^>]*(?:src|href)=", page)
