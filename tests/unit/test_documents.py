"""What README and guide tell people to type is what the program takes, and what the map shows is there."""

import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts.exceptions import (
    CycloptsError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from trivet.cli.main import VERBS, app

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide"
#: Written by the program, and by what.
WRITTEN = {"commands": "write_command_reference.py", "metrics": "write_metric_reference.py"}
#: What people wrote.
DOCUMENTS = [ROOT / "README.md", *sorted(place for place in GUIDE.glob("*.md") if place.stem != "commands")]
FENCED = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"`((?:\w+/)*[a-z0-9_]+\.(?:py|js))`")
METRIC = re.compile(r'"(trivet_[a-z_]+)"')
TEST = re.compile(r"`tests/([\w/]+\.py)(?:::(\w+))?`")
LINK = re.compile(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)")
INLINE = re.compile(r"`(trivet [^`]+)`")
#: What ends a command in a shell's line, and what leads somewhere else.
SEPARATORS = frozenset(["|", "||", "&&", ";", "&", ">", ">>", "<", "2>"])
UNKNOWN = (UnknownCommandError, UnknownOptionError, UnusedCliTokensError)


def commands_in(line: str) -> Iterator[list[str]]:
    """Yield the words behind each `trivet` of a shell's line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for ends, words in itertools.groupby(lexer, key=SEPARATORS.__contains__):
        if not ends and (command := list(words))[0] == "trivet":
            yield command[1:]


def typed(document: Path) -> list[list[str]]:
    """Return the commands of a document's blocks, as somebody types them."""
    blocks = FENCED.findall(document.read_text())
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [line.removeprefix("$ ") for line in lines if line.removeprefix("$ ").startswith("trivet ")]
    return [words for line in found for words in commands_in(line)]


def named(document: Path) -> list[list[str]]:
    """Return the commands named in a document's sentences: with placeholders, or without what they need."""
    text = FENCED.sub("", document.read_text())
    found = [" ".join(re.sub(r"[][]", "", line).split()) for line in INLINE.findall(text)]
    return [words for line in found for words in commands_in(line)]


def parsed(words: list[str]) -> None:
    """Read one command line as the program does, without carrying it out."""
    app.parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_what_people_are_told_to_type_is_taken(document: Path) -> None:
    refused = {}
    for words in typed(document):
        try:
            parsed(words)
        except CycloptsError as error:
            refused[" ".join(words)] = str(error)
    assert not refused


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_commands_and_options_that_are_named_are_there(document: Path) -> None:
    unknown = {}
    for words in named(document):
        try:
            parsed(words)
        except UNKNOWN as error:
            unknown[" ".join(words)] = str(error)
        except CycloptsError:
            continue  # a placeholder, or an argument that the sentence leaves out
    assert not unknown


@pytest.mark.parametrize("name", WRITTEN)
def test_a_reference_is_what_the_program_says(name: str) -> None:
    written = (GUIDE / f"{name}.md").read_text()
    script = [sys.executable, str(ROOT / "scripts" / WRITTEN[name])]
    said = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert said == written, "run `make docs`"


def test_every_metric_is_told() -> None:
    gateway = ROOT / "src" / "trivet" / "gateway"
    named = {name for place in gateway.glob("*metrics.py") for name in METRIC.findall(place.read_text())}
    assert len(named) > 30
    written = (GUIDE / "metrics.md").read_text()
    assert [name for name in sorted(named) if f"`{name}" not in written] == []


def test_every_test_that_the_guide_names_is_there() -> None:
    gone = []
    for document in DOCUMENTS:
        for path, name in TEST.findall(document.read_text()):
            place = ROOT / "tests" / path
            if not place.exists() or (name and f"def {name}(" not in place.read_text()):
                gone.append((document.name, path, name))
    assert gone == []


def test_every_link_of_the_guide_leads_somewhere() -> None:
    broken = [
        (document.name, target)
        for document in [*DOCUMENTS, *GUIDE.glob("*.md")]
        for target in LINK.findall(document.read_text())
        if not (document.parent / target).exists()
    ]
    assert broken == []


def test_every_command_is_told() -> None:
    told = {words[0] for document in DOCUMENTS for words in [*typed(document), *named(document)] if words}
    assert set(VERBS) - told == set()


def test_every_module_on_the_map_is_there() -> None:
    modules = {
        f"/{path.relative_to(ROOT)}"
        for room in ("src", "tests", "bench", "scripts")
        for kind in ("*.py", "*.js")
        for path in (ROOT / room).rglob(kind)
    }
    shown = set(MODULE.findall((ROOT / "docs" / "ARCHITECTURE.md").read_text()))
    assert shown
    assert {name for name in shown if not any(path.endswith(f"/{name}") for path in modules)} == set()
