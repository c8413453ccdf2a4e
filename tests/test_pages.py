"""Whatever a page names of this tree is there: files, folders, headings, and tests by their names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md")])
FOLDERS = "bench|client|config|crypto|deploy|docs|repository|scheduler|sources|tests|workers"
NAMED = re.compile(rf"`((?:{FOLDERS})/[\w./-]*)(?:::(test_\w+))?`")
LINKED = re.compile(r"\]\((?!https?:)([\w./-]*)(?:#([\w-]+))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What its headings are called in links."""
    plain = (re.sub(r"[^\w -]", "", heading.lower()) for heading in HEADING.findall(page.read_text()))
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    for name, test in NAMED.findall(text):
        assert (ROOT / name).exists(), name
        if test:
            assert re.search(rf"^def {test}\(", (ROOT / name).read_text(), re.MULTILINE), f"{name}::{test}"
    for link, anchor in LINKED.findall(text):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


def test_many_things_are_named() -> None:
    """The control: the expressions find what pages name."""
    text = "".join(page.read_text() for page in PAGES)
    assert len(NAMED.findall(text)) > 200
    assert len(LINKED.findall(text)) > 30
