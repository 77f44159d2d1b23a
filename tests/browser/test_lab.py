"""A learner's way through JupyterLab: run a lesson, move its slider; answer an exercise wrongly,
then rightly.
"""

from lab import CELLS, NOTEBOOK, run_all
from minddpm_course.lessons import FIRST_LESSON

STUB = "pass  # your answer"
WRONG = "return beta_t"
RIGHT = "return (1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta_t"


def run_cell(page, text):
    """Run the first code cell that holds the text, and wait until the kernel is done with it."""
    page.evaluate(
        f"""text => {{
            const notebook = {NOTEBOOK}.content, cells = {CELLS};
            window.place = cells.findIndex(c => c.cell_type === 'code' && c.source.includes(text));
            cells[window.place].execution_count = null;
            notebook.activeCellIndex = window.place;
            window.jupyterapp.commands.execute('notebook:run-cell');
        }}""",
        text,
    )
    page.wait_for_function(f"() => {CELLS}[window.place].execution_count")


def write(page, name, answer):
    """Put an answer in place of what stands below the head of a function."""
    page.evaluate(
        f"""([name, answer]) => {{
            const code = {CELLS}.filter(c => c.cell_type === 'code');
            const cell = code.find(c => c.source.startsWith(`def ${{name}}(`));
            cell.setSource(cell.source.split('\\n')[0] + '\\n    ' + answer);
        }}""",
        [name, answer],
    )


def answer(page, name, text):
    """Write a function, run it and its check."""
    write(page, name, text)
    run_cell(page, f"def {name}(")
    run_cell(page, f'check("03.{name}"')


def test_an_exercise_is_answered_wrongly_and_then_rightly(open_notebook):
    page = open_notebook("exercises/03_posterior.ipynb")
    run_cell(page, "from minddpm_course import")
    run_cell(page, 'check("03.posterior_variance"')
    page.get_by_text("NameError").first.wait_for()

    answer(page, "posterior_variance", STUB)
    card = page.get_by_text("03.posterior_variance: not written yet.").first
    card.wait_for()

    answer(page, "posterior_variance", WRONG)
    mistake = page.get_by_text("A known mistake: beta for beta tilde. You return beta_t.")
    mistake.wait_for()
    assert "must be [0]; yours is [0.1]" in mistake.inner_text()
    assert "engine.py" not in page.locator(".jp-Notebook").inner_text()

    answer(page, "posterior_variance", RIGHT)
    page.get_by_text("03.posterior_variance: right, on").wait_for()
    assert mistake.count() == 0


def test_a_lesson_runs_from_top_to_bottom_and_its_slider_redraws(open_notebook):
    page = open_notebook("notebooks/01_schedule.ipynb")
    run_all(page)
    outputs = page.evaluate(f"() => {CELLS}.flatMap(c => c.outputs ?? []).map(o => o.output_type)")
    assert "error" not in outputs
    slider = page.locator("figure[data-play] input[type=range]").first
    picture = page.locator("figure[data-play] img").first
    before = picture.get_attribute("src"), picture.get_attribute("alt")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "src => document.querySelector('figure[data-play] img').src !== src", arg=before[0]
    )
    assert picture.get_attribute("alt") != before[1]  # the sentence follows the picture


def test_a_figure_is_shown_with_its_words_and_not_as_the_file_for_paper(open_notebook):
    page = open_notebook("notebooks/01_schedule.ipynb")
    figure = page.locator(".jp-OutputArea-output figure").first
    figure.wait_for()
    for again in (False, True):  # as it is stored, and as it is drawn
        if again:
            run_all(page)
        width = figure.locator("img").evaluate(
            "image => image.decode().then(() => image.naturalWidth)"
        )
        assert width == 1155
        assert figure.locator("figcaption").text_content() == figure.locator("img").get_attribute(
            "alt"
        )
        assert page.locator(".jp-RenderedImage").count() == 0


def test_a_lesson_leads_to_its_exercises_and_to_the_pages_of_docs(open_notebook):
    lesson = "notebooks/06_sampler.ipynb"
    page = open_notebook(lesson)
    for link, path in (
        ("06 · Sampler", "exercises/06_sampler.ipynb"),
        ("Is it a bug?", "docs/diagnosis.md"),
    ):
        page.evaluate(  # without what it returns, which is the whole widget
            "async path => { await window.jupyterapp.commands.execute('docmanager:open', {path}) }",
            lesson,
        )
        page.locator(".jp-MarkdownOutput a", has_text=link).click()
        page.wait_for_function(f"path => {NOTEBOOK}.context?.path === path", arg=path)


def test_an_answer_of_the_questions_leads_to_the_section_that_it_names(open_notebook):
    page = open_notebook("notebooks/06_sampler.ipynb")  # a click would open it at its top
    page.locator('h2[data-jupyter-id="Check-yourself"]').wait_for(state="attached")  # drawn so far
    page.evaluate(
        """async () => {
            const preview = {path: 'docs/questions.md', factory: 'Markdown Preview'};
            await window.jupyterapp.commands.execute('docmanager:open', preview);
        }"""
    )
    page.locator(".jp-MarkdownViewer a", has_text="06 · Believe it").first.click()
    page.wait_for_function(
        f"""() => {{
            const heading = {NOTEBOOK}.node.querySelector('h2[data-jupyter-id="Believe-it"]');
            const place = heading?.getBoundingClientRect();
            return place && place.top >= 0 && place.bottom <= window.innerHeight;
        }}"""
    )


def test_nothing_covers_the_first_lesson(open_notebook):
    page = open_notebook(FIRST_LESSON)
    page.wait_for_timeout(3000)  # the question about news comes late
    assert page.locator(".Toastify__toast").count() == 0
    assert page.locator(".jp-Dialog").count() == 0
