"""Paths as routing keys: what subscribers bind to, never longer than the protocol allows."""

import pytest

from trivet.drive.routing_keys import KEY_BYTES, routing_key


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/", ""),
        ("/google/reports/plan.txt", "google.reports.plan_txt"),
        ("/a b/#/*/c.d.e", "a_b._._.c_d_e"),
        ("/Übersicht/2026-11", "Übersicht.2026-11"),
        ("/new\nline/\x00", "new_line._"),
    ],
)
def test_a_path_is_words_between_dots(path: str, key: str) -> None:
    assert routing_key(path) == key


def test_long_paths_lose_their_last_words_and_long_names_their_end() -> None:
    assert routing_key("/" + "/".join(["folder"] * 100)) == ".".join(["folder"] * 36)
    assert routing_key("/" + "ü" * 300) == "ü" * (KEY_BYTES // 2)
