"""Text for a terminal: what came from outside is shown, never obeyed.

Rule: log lines, URLs, host names and error words reach a terminal only through `printable`.
"""


def printable(text: str) -> str:
    """Return `text` with every character that a terminal might obey as `\\xNN` or `\\uNNNN`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
