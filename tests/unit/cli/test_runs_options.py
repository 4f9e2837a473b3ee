"""Options of `trivet runs` that make no sense are refused with one line; nothing is written."""

from pathlib import Path

import pytest

from trivet.cli.main import run

EVENTS = "testrun_id,event_name,event_emit,event_receive,group\nr,queue_start,1,1,a\nr,queue_end,3,4,a\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stats", "--late-after-s", "nan"], "--late-after-s wants seconds"),
        (["stats", "--late-after-s", "inf"], "--late-after-s wants seconds"),
        (["stats", "--late-after-s", "-1"], "--late-after-s wants seconds"),
        (["stats", "--memory-mib", "-5"], "--memory-mib wants a number"),
        (["stats", "--dimension", "team"], "no dimension 'team'"),
        (["chart", "--out", "{page}.html"], "a page of HTML holds all pages"),
        (["import", "--store", "s", "--where", "group=a"], "has no option --where"),
    ],
)
def test_it_is_refused_with_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("e.csv").write_text(EVENTS)
    assert run(["runs", words[0], "e.csv", *words[1:]]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["e.csv"]


def test_the_help_says_what_each_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "--help"]) == 0
    told = capsys.readouterr().out
    for words in (
        "what changed",
        "Chrome trace",
        "one event",
        "into a store",
        "small segments",
        "old events",
    ):
        assert words in told
