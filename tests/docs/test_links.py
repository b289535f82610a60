"""Every link of the documentation leads somewhere, both as a site and where the files are looked at."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
ALL = [*sorted(ROOT.glob("*.md")), *PAGES]
FENCED = re.compile(r"^ *(`{3,}).*?^ *\1", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text("utf-8"))


def as_site(heading: str) -> str:
    """The anchor that MkDocs makes of a heading."""
    ascii_ = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_).strip().lower())


def as_files(heading: str) -> str:
    """The anchor that those make who show Markdown as it lies in a repository."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE)
    texts = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", each) for each in headings]
    return {as_site(each) for each in texts} & {as_files(each) for each in texts}


def broken(page: Path) -> list[str]:
    found = []
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_of_the_site_leads_to_others_of_it_alone(page: Path) -> None:
    links = [link for link in LINK.findall(prose(page)) if not re.match(r"#|[a-z]+:", link)]
    assert [link for link in links if not (page.parent / link).resolve().is_relative_to(DOCS)] == []


def test_the_site_has_every_page_in_its_navigation_and_the_first_page_names_it() -> None:
    paths = {str(page.relative_to(DOCS)) for page in PAGES}
    assert sorted(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8"))) == sorted(paths)
    assert {link.partition("#")[0] for link in LINK.findall(prose(DOCS / "README.md"))} == paths - {"README.md"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a](there.md)", []),
        ("[a](gone.md)", ["gone.md"]),
        ("[a](there.md#a-part)", []),
        ("[a](there.md#no-part)", ["there.md#no-part"]),
        ("# Here\n[a](#here) [a](#gone)", ["#gone"]),
        ("[a](https://example.com/gone.md)", []),
        ("```\n[a](gone.md)\n```\n[b](gone.md)", ["gone.md"]),
    ],
)
def test_what_is_broken(tmp_path: Path, text: str, found: list[str]) -> None:
    (tmp_path / "there.md").write_text("# There\n\n## A `part`\n", "utf-8")
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    assert broken(page) == found
