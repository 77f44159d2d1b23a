"""Each lesson as a learner has it who runs it from top to bottom in JupyterLab, in a window that is
1280 pixels wide, in the light theme and in the dark one.

All are run only with `--screenshots FOLDER`, which also stores pictures of them. Without it, most
are looked at as they are stored.
"""

from pathlib import Path

import pytest

from lab import CELLS, run_all, shut_down

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
RUN = {"02_noising", "03_posterior"}  # always
WIDTH, HEIGHT = 1280, 900
THEMES = ("Light", "Dark")
PANEL = ".jp-WindowedPanel-outer"
# MathJax's copy of a formula for screen readers, wider than the formula in some fonts
UNSEEN = "mjx-assistive-mml { display: none !important }"
# what a learner would stumble over, in words
PROBLEMS = f"""async () => {{
    const found = [];
    for (const {{ outputs = [] }} of {CELLS}) {{
        for (const {{ output_type, ename, evalue, name, text }} of outputs) {{
            if (output_type === 'error') found.push(`error: ${{ename}}: ${{evalue}}`);
            if (name === 'stderr') found.push(`stderr: ${{text}}`);
        }}
    }}
    const panel = document.querySelector('{PANEL}');
    const say = (what, element) =>
        found.push(`${{what}}: ${{element.outerHTML.slice(0, 200)}} ${{element.scrollWidth}}`);
    for (const image of panel.querySelectorAll('img')) {{
        await image.decode().catch(() => {{}});
        if (!image.naturalWidth) say('missing image', image);
    }}
    const wider = ({{ scrollWidth, clientWidth }}) => clientWidth && scrollWidth > clientWidth + 1;
    const hasWords = ({{ childNodes }}) =>
        [...childNodes].some(one => one.nodeType === Node.TEXT_NODE && one.data.trim());
    for (const element of panel.querySelectorAll('.jp-OutputArea-output *')) {{
        const isLabel = hasWords(element) || element.matches('input[type=number]');
        if (isLabel && wider(element)) say('clipped', element);
    }}
    const right = panel.getBoundingClientRect().left + panel.clientWidth;
    const out = element => element.getBoundingClientRect().right > right + 1;
    for (const element of panel.querySelectorAll('*')) {{
        if (wider(panel) && out(element) && ![...element.children].some(out)) {{
            say('sticks out of the notebook', element);
        }}
    }}
    const whole = '.jp-OutputArea-output, .jp-MarkdownOutput, .jp-CodeCell .cm-scroller';
    for (const element of panel.querySelectorAll(whole)) {{
        if (wider(element)) say('scrolls sideways', element);
    }}
    return found;
}}"""
# of the last cell, once those before it are drawn
BOTTOM = f"""async () => {{
    const panel = document.querySelector('{PANEL}');
    panel.scrollTop = 0;
    await new Promise(done => requestAnimationFrame(() => setTimeout(done, 100)));
    return [...panel.querySelectorAll('.jp-Cell')].at(-1).getBoundingClientRect().bottom;
}}"""
FAINT = """async include => {
    const found = await axe.run({ include }, { runOnly: ['color-contrast'] });
    return found.violations.flatMap(({ nodes }) => nodes).map(
        ({ html, failureSummary }) => `${html.slice(0, 200)}: ${failureSummary}`);
}"""

# symbols in the colour of a role, which axe leaves out; a filter may make them brighter
FAINT_SYMBOLS = f"""() => {{
    const numbers = text => text.match(/[\\d.]+/g).map(Number);
    const light = (colour, factor = 1) => {{
        const [red, green, blue] = numbers(colour).map(value => {{
            const share = Math.min(1, factor * value / 255);
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        }});
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    }};
    let page = document.querySelector('{PANEL}');
    const clear = 'rgba(0, 0, 0, 0)';
    while (getComputedStyle(page).backgroundColor === clear) page = page.parentElement;
    const ground = light(getComputedStyle(page).backgroundColor);
    const contrasts = {{}};
    for (const symbol of document.querySelectorAll('mjx-mstyle[style*=color]')) {{
        const {{ color, filter }} = getComputedStyle(symbol);
        const own = light(color, filter === 'none' ? 1 : numbers(filter)[0]);
        const [darker, lighter] = [own, ground].sort((one, other) => one - other);
        contrasts[color] = (lighter + 0.05) / (darker + 0.05);
    }}
    return Object.entries(contrasts).filter(([, contrast]) => contrast < 4.5).map(
        ([color, contrast]) => `symbols of ${{color}} have a contrast of ${{contrast.toFixed(2)}}`);
}}"""


@pytest.fixture
def look(request):
    """Stores a picture of a page where pictures were asked for: look(page, name)."""
    folder = request.config.option.screenshots

    def keep(page, name):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            page.locator(PANEL).screenshot(path=folder / f"{name}.png")

    return keep


def too_high(page):
    """What does not fit into the window: controls and their picture."""
    room = page.locator(PANEL).bounding_box()["height"]
    for figure in page.locator("figure[data-play]").all():
        figure.scroll_into_view_if_needed()
        if (height := figure.bounding_box()["height"]) > room:
            yield f"a picture and its controls need {height:.0f} pixels and have {room:.0f}"


def show_all(page):
    """Make the window so high that all of the notebook is seen at once."""
    height = 0
    while height != page.viewport_size["height"]:  # what comes into view is measured only then
        height = page.viewport_size["height"]
        bottom = page.evaluate(BOTTOM)
        page.set_viewport_size({"width": WIDTH, "height": max(HEIGHT, round(bottom) + 50)})


def change_theme(page, name):
    """Change to the light theme or the dark one."""
    theme = f"JupyterLab {name}"
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme
    )
    page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_runs_and_can_be_read(open_notebook, look, request, lesson):
    page = open_notebook(
        f"notebooks/{lesson}.ipynb",
        viewport={"width": WIDTH, "height": HEIGHT},
        reduced_motion="reduce",  # what moves stands at its end
    )
    page.set_default_timeout(900_000)
    runs = lesson in RUN or request.config.option.screenshots
    if runs:
        run_all(page)
    problems = list(too_high(page))
    show_all(page)
    page.add_style_tag(content=UNSEEN)
    problems += page.evaluate(PROBLEMS)
    page.evaluate(request.getfixturevalue("axe"))
    for theme in THEMES:
        change_theme(page, theme)
        look(page, f"{lesson}-{theme.lower()}")
        problems += page.evaluate(FAINT, [".jp-OutputArea-output"])
        if runs:  # what makes them brighter comes with a kernel
            problems += page.evaluate(FAINT_SYMBOLS)
    shut_down(page)
    assert problems == []
