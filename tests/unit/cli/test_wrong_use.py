"""Wrong use of any verb is one line that names what is wrong and what to write, and exit code 2."""

import pytest

from trivet.cli.main import VERBS, run


def told(capsys: pytest.CaptureFixture[str], words: str) -> str:
    """What `trivet WORDS` says to standard error."""
    assert run(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("trivet: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_names_an_option_it_does_not_have(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert "--no-such-thing" in told(capsys, f"{verb} --no-such-thing")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("stauts", "trivet has no verb stauts (did you mean status?)"),
        ("xyzzy", "trivet has no verb xyzzy; `trivet --help`"),
        ("uptime rebort", "trivet uptime has no verb rebort (did you mean report?)"),
        ("runs charts x.csv", "no file or store charts; did you mean `trivet runs chart`?"),
        ("wire --jsn x.pcap", "trivet wire has no option --jsn (did you mean --json?)"),
        ("wire --typo", "trivet wire has no option --typo; `trivet wire --help`"),
        ("logs --jsno x.log", "trivet logs has no option --jsno (did you mean --json?)"),
        ("floods --jsno x.log", "trivet floods has no option --jsno (did you mean --json?)"),
        ("up --prots 7,8,9", "trivet up has no option --prots (did you mean --ports?)"),
        ("repair --dry", "trivet repair has no option --dry (did you mean --dry-run?)"),
        ("status extra", "trivet status has no use for 'extra'"),
        ("wire a b c", "trivet wire has no use for 'b c'"),
        ("wire x.pcap --html", "--html wants a value"),
        ("runs generate 3", "trivet runs generate needs --out"),
        ("cgi", "trivet cgi needs SCRIPT"),
        ("runs stats x.csv --unit parsec", 'Choose from: "s", "ms", "us", "ns", "min"'),
        ("runs chart x.csv --page x", 'unable to convert "x" into int'),
    ],
)
def test_what_is_said(capsys: pytest.CaptureFixture[str], words: str, meant: str) -> None:
    assert meant in told(capsys, words)
