"""Paths as text: any path survives the trip."""

from hypothesis import example, given
from hypothesis import strategies as st

from trivet.wire.path_text import path_bytes, path_text


@given(st.binary(max_size=300))
@example(b"/a\nb")
@example(b"\\x41")
@example("/ä/\u202eevil".encode())
@example(b"\xff\\\xfe")
def test_any_path_survives_as_printable_text(path: bytes) -> None:
    text = path_text(path)
    assert path_bytes(text) == path
    assert "\n" not in text
    assert "\x1b" not in text
    text.encode("utf-8")


def test_ordinary_names_stay_readable() -> None:
    assert path_text("/Bücher/Täglich 1.txt".encode()) == "/Bücher/Täglich 1.txt"
