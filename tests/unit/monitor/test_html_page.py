"""The page of every report: tabs, escaping, nothing fetched."""

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from trivet.monitor import html_page

EVIL = "</script><img src=x onerror=alert(1)>\"'&"


class Outline(HTMLParser):
    """The tags of a page with their attributes, and the text outside scripts and styles."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._raw = False
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style", "title")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.words.append(data)


def fetched(outline: Outline) -> list[str]:
    """Every address in the page that a browser would go to."""
    links = [attrs.get(name) for _, attrs in outline.tags for name in ("src", "href", "action", "data")]
    return [link for link in links if link is not None and not link.startswith(("#", "data:"))]


def test_whatever_stands_in_the_data_is_shown_as_text() -> None:
    cells = [[EVIL, 1, 2.5, None]]
    fragments = [html_page.text(EVIL), html_page.heading(EVIL), html_page.preformatted(EVIL)]
    document = html_page.page(
        EVIL, {EVIL: [*fragments, html_page.table([EVIL], cells, caption=EVIL)]}, subtitle=EVIL
    )
    outline = Outline(document)
    assert not [tag for tag, _ in outline.tags if tag == "img"]
    assert "".join(outline.words).count(EVIL) == 9
    assert fetched(outline) == []


def test_the_policy_of_the_page_forbids_every_fetch() -> None:
    outline = Outline(html_page.page("Report", {"One": [html_page.text("words")]}))
    policy = next(
        attrs for tag, attrs in outline.tags if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in str(policy["content"])
    assert "http" not in str(policy["content"])


def test_numbers_in_a_table_are_aligned_and_nothing_is_shown_as_a_dash() -> None:
    markup = html_page.table(["n", "x", "y"], [[1234567, 0.1234567, None]]).markup
    assert "<td class=number>1,234,567</td><td class=number>0.123457</td><td>\u2013</td>" in markup


def test_a_script_is_put_in_once_and_can_not_end_its_element() -> None:
    fragment = html_page.Fragment("<p>x</p>", scripts=("const end='</script><!--';",))
    document = html_page.page("Report", {"a": [fragment, fragment], "b": [fragment]})
    assert document.count("const end=") == 1
    assert "const end='\\x3c/script>\\x3c!--'" in document


def test_a_picture_is_inside_the_page() -> None:
    fragment = html_page.image(b"\x89PNG", kind="png", alt='a "chart"')
    assert fragment.markup == '<img src="data:image/png;base64,iVBORw==" alt="a &quot;chart&quot;">'


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_a_browser_shows_one_tab_at_a_time(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text(html_page.page("Report", {"One": [html_page.text("a")], "Two": [html_page.text("b")]}))
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/profile",
    ]
    shown = subprocess.run(
        [*command, "--dump-dom", f"{report.as_uri()}#show-part2"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    tabs = [attrs for _, attrs in Outline(shown).tags if attrs.get("role") == "tab"]
    panels = [attrs for _, attrs in Outline(shown).tags if attrs.get("role") == "tabpanel"]
    assert [tab["aria-selected"] for tab in tabs] == ["false", "true"]
    assert [panel.get("style") or "shown" for panel in panels] == ["display: none;", "shown"]
