"""docs/questions.md answers in a minute, docs/glossary.md names what there is, docs/map.md is no
circle. That their links lead to files and headings is tested with all pages.
"""

import difflib
import functools
import importlib
import inspect
import itertools
import json
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import diffusers
import pytest
from pages import FENCE, LINK, anchors, spans

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?(?!\w)")
A_YEAR = re.compile(r"\b(?:19|20)\d\d\b")  # of the paper that a sentence names
LESSON_NUMBERS = re.compile(r"\blessons? \d\d(?: (?:to|and) \d\d)?|\b\d\d(?: to \d\d)? build\b")
SOURCES_OF_DIFFUSERS = (  # where the names of its column are defined
    *("schedulers", "models/unets", "models/embeddings.py", "training_utils.py"),
    *("pipelines/ddpm", "pipelines/ddim", "pipelines/dit"),
)


class Question(NamedTuple):
    words: str
    answer: str
    see: str  # the paragraph with the links


def questions(page: str) -> list[Question]:
    """The questions of a page: a heading, a paragraph that answers, a paragraph of links."""
    parts = re.split(r"^### (.+)$", re.sub(r"^## .+$", "", page, flags=re.MULTILINE), flags=re.M)
    found = []
    for words, body in zip(parts[1::2], parts[2::2], strict=True):
        answer, see = body.strip().split("\n\n")
        found.append(Question(words, answer, see))
    return found


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph."""
    plain = re.sub(r"`[^`]*`", "code", text).replace("et al.", "et al")
    return re.split(r"(?<=[.?!])\s+", plain)


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


ALL = questions(read("questions.md"))
each_question = pytest.mark.parametrize("question", ALL, ids=[one.words for one in ALL])


def test_there_are_questions_enough_and_all_groups_are_in_the_contents():
    page = read("questions.md")
    assert len(ALL) >= 80
    groups = {f"#{name}" for name in anchors("\n".join(re.findall(r"^## .+$", page, re.M)))}
    assert {link for link in LINK.findall(page) if link.startswith("#")} == groups


@each_question
def test_a_question_has_an_answer_of_up_to_three_sentences_and_a_link(question):
    assert question.words.endswith("?")
    assert 1 <= len(sentences(question.answer)) <= 3 + question.answer.startswith(("No.", "Yes."))
    assert question.see.startswith("See ")
    assert LINK.findall(question.see)


def alike(words: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of questions that ask for the same in nearly the same words."""
    small = set(
        "a an and are at be can do does how i in is it my of or that the to what why".split()
    )
    kept = {one: [w for w in re.findall(r"\w+", one.lower()) if w not in small] for one in words}
    for one, other in itertools.combinations(words, 2):
        same = len(set(kept[one]) & set(kept[other])) / len(set(kept[one]) | set(kept[other]))
        if same > 0.6 or difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio() > 0.8:
            yield one, other


def test_no_two_questions_are_alike():
    assert list(alike([one.words for one in ALL])) == []


def test_questions_that_are_alike_are_seen():
    words = [
        "Why clip x_0?",
        "Why is x_0 clipped to a range?",
        "Why do I clip the x_0?",
        "What is t?",
    ]
    assert list(alike(words)) == [(words[0], words[2])]


@functools.cache
def numbers_in(path: Path) -> set[float]:
    """The numbers of a page, or of the text, code and outputs of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        parts = ["".join(cell["source"]) for cell in cells]
        for output in itertools.chain.from_iterable(cell.get("outputs", []) for cell in cells):
            shown = output.get("data", {}).get("text/plain", [])
            parts += ["".join(output.get("text", [])), "".join(shown)]
        text = "\n".join(parts)
    found = re.findall(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?", text)
    return {float(number.replace(",", "")) for number in found}


def stands_in(number: str, known: set[float]) -> bool:
    """Whether a number is known, or what a known one with more decimals is rounded to."""
    value = float(number.replace(",", ""))
    decimals = len(number.partition(".")[2]) if "e" not in number else 0
    return value in known or bool(decimals) and any(round(x, decimals) == value for x in known)


def unfounded(question: Question) -> Iterator[str]:
    """The numbers of an answer that stand in nothing it links to, in sentences without a paper."""
    targets = [(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall(question.see)]
    known = set().union(*(numbers_in(path) for path in targets))
    for sentence in sentences(question.answer):
        if not A_YEAR.search(sentence):
            for number in NUMBER.findall(LESSON_NUMBERS.sub("", sentence)):
                if not stands_in(number, known):
                    yield number


@each_question
def test_each_number_stands_where_the_answer_links_to(question):
    assert list(unfounded(question)) == []


def test_a_number_that_stands_nowhere_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("1,000 steps, 0.1234, 50")
    answer = "1,000 steps in lesson 07, or 0.123, or 0.124. Ho et al. 2020 say 7. And 5, not `6`."
    question = Question("Why?", answer, f"See [page]({page}#there).")
    assert list(unfounded(question)) == ["0.124", "5"]


LESSONS = sorted((ROOT / "notebooks" / "py").glob("*.py"))
LOOK_IT_UP = re.compile(
    r"^# \*\*Look it up:\*\* \[questions about (.+)\]\(\.\./docs/questions\.md#(.+)\),"
    r" each with its answer, and the \[glossary\]\(\.\./docs/glossary\.md\) of names\.$",
    re.MULTILINE,
)


def groups_by_anchor() -> dict[str, tuple[str, str]]:
    """The heading of each group of questions and what stands below it, by its anchor."""
    _, *parts = re.split(r"^## (.+)$", read("questions.md"), flags=re.MULTILINE)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {next(iter(anchors(f"## {heading}"))): (heading, body) for heading, body in pairs}


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_each_lesson_leads_to_its_questions_and_to_the_glossary(path):
    """At the end of *Check yourself*, to a group that leads back, if any does."""
    lesson = path.read_text(encoding="utf-8")
    _, checking = lesson.split("\n# ## Check yourself\n")
    ((words, anchor),) = LOOK_IT_UP.findall(checking.split("\n# ## ")[0])
    assert len(LOOK_IT_UP.findall(lesson)) == 1
    heading, body = groups_by_anchor()[anchor]
    assert words == heading[0].lower() + heading[1:]
    back = f"notebooks/{path.stem}.ipynb"
    assert back in body or back not in read("questions.md")
    assert (DOCS / "glossary.md").is_file()


class Term(NamedTuple):
    symbol: str
    meaning: str
    here: str
    diffusers: str
    denoising_diffusion_pytorch: str
    improved_diffusion: str
    paper: str


def table_rows(page: str) -> list[list[str]]:
    """The cells of all tables of a page, heads and lines left out."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    rules = [number for number, line in enumerate(lines) if line.startswith("|---")]
    heads = {place for rule in rules for place in (rule - 1, rule)}
    rows = (line.strip()[1:-1].strip() for number, line in enumerate(lines) if number not in heads)
    return [re.split(r" *\| *", row) for row in rows]


NAMES, WORDS = read("glossary.md").split("\n## Words\n")
TERMS = [Term(*row) for row in table_rows(NAMES)]


def test_the_glossary_has_terms_enough_each_with_a_definition_and_none_twice():
    words = table_rows(WORDS)
    assert len(TERMS) + len(words) >= 35
    assert all(len(row) == 4 for row in words)
    meanings = [term.meaning for term in TERMS] + [row[2] for row in words]
    assert all(meanings)
    assert len(set(meanings)) == len(meanings)
    assert all(LINK.search(row[3]) for row in words)


def exists(name: str) -> bool:
    """Whether the library has a name: `function`, `function(argument=)`, `module.name`,
    `Class.array[t]`.
    """
    form = re.fullmatch(r"([\w.]+)(?:\((\w+)=\)|\[.*\])?", name)
    assert form, f"{name} is no name"
    path, argument = form.groups()
    thing = importlib.import_module("minddpm")
    for part in path.split("."):
        fields = getattr(thing, "__annotations__", {})
        if not hasattr(thing, part) and inspect.ismodule(thing):
            try:
                importlib.import_module(f"{thing.__name__}.{part}")
            except ModuleNotFoundError:
                return False
        if not hasattr(thing, part) and part not in fields:
            return False
        thing = getattr(thing, part, None)
    return argument is None or argument in inspect.signature(thing).parameters


def test_names_of_the_library_exist():
    names = [name for term in TERMS for name in spans(term.here)]
    assert names
    assert [name for name in names if not exists(name)] == []


def test_a_name_that_does_not_exist_is_seen():
    right = ["train", "metrics.DigitReport.closer", "Schedule.beta[t - 1]", "ddim_sample(eta=)"]
    wrong = ["tarin", "metrics.nothing", "nothing.at_all", "Schedule.gamma", "ddim_sample(x=)"]
    assert [name for name in right + wrong if not exists(name)] == wrong


def test_names_of_diffusers_exist():
    root = Path(diffusers.__file__).parent
    places = [root / name for name in SOURCES_OF_DIFFUSERS]
    files = [
        file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])
    ]
    known = {word for file in files for word in re.findall(r"\w+", file.read_text("utf-8"))}
    named = [name for term in TERMS for name in spans(term.diffusers)]
    words = {re.match(r"\w+", name)[0] for name in named}
    words |= {value for name in named for value in re.findall(r'="(\w+)"', name)}
    assert len(words) > 30
    assert words - known == set()


MAP = read("map.md")
(DRAWING,) = (block for _, language, block in FENCE.findall(MAP) if language == "mermaid")


def lessons_of_ideas() -> dict[str, str]:
    """The number of the lesson in whose box each idea stands."""
    boxes = re.findall(r"subgraph L(\d\w+)\[.*?\]\n(.*?)\n +end", DRAWING, re.DOTALL)
    return {idea: number for number, box in boxes for idea in re.findall(r"(\w+)\[", box)}


def test_on_the_map_each_idea_rests_on_earlier_ones_and_none_stands_alone():
    lesson, arrows = lessons_of_ideas(), re.findall(r"(\w+) --> (\w+)", DRAWING)
    assert {idea for arrow in arrows for idea in arrow} == lesson.keys()
    assert len(set(arrows)) == len(arrows)
    for start, end in arrows:
        assert lesson[start] <= lesson[end], f"{start} --> {end}"
    rests: dict[str, set[str]] = {}
    for start, end in arrows:
        rests.setdefault(end, set()).add(start)
    try:
        TopologicalSorter(rests).prepare()
    except CycleError as error:
        raise AssertionError(f"a circle: {error.args[1]}") from None


def test_the_map_has_every_lesson():
    lessons = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert [Path(LINK.findall(row[0])[0]).name for row in table_rows(MAP)] == lessons
    assert sorted(set(lessons_of_ideas().values())) == [name.split("_")[0] for name in lessons]
