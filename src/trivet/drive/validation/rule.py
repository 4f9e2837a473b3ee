"""What a folder wants done with content that fails its check: `validate = off | flag | refuse`.

Rule: the rule nearest to the file counts; without one anywhere it is `flag`.
"""

from collections.abc import Iterable
from typing import Literal, get_args

from trivet.errors import InputError

Rule = Literal["off", "flag", "refuse"]
DEFAULT_RULE: Rule = "flag"


def parse_rule(text: str) -> Rule:
    """Return the rule people write as `text`, or raise InputError."""
    for rule in get_args(Rule):
        if text == rule:
            found: Rule = rule
            return found
    raise InputError(f"validate is off, flag or refuse, not {text!r}")


def effective_rule(rules: Iterable[Rule | None]) -> Rule:
    """Return the rule for a file below folders with `rules`, from the root down; None = says nothing."""
    found = DEFAULT_RULE
    for rule in rules:
        found = rule or found
    return found
