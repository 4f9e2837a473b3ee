"""fields, orderBy, page tokens, names, times, revisions, errors: the small cores of the drive."""

import pytest

from drive_views import view
from trivet import errors
from trivet.drive import errors_v3, fields, names, ordering, revisions, timestamps
from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.file_metadata import Content, FileMetadata, Sums, decode_metadata
from trivet.drive.resources import file_json


def test_fields_keep_what_they_name() -> None:
    told = {
        "kind": "k",
        "files": [{"id": "1", "name": "a", "owners": [{"me": True, "x": 1}]}],
        "nextPageToken": "t",
    }
    chosen = fields.select(fields.parse_fields("nextPageToken, files(id,owners/me)"), told)
    assert chosen == {"files": [{"id": "1", "owners": [{"me": True}]}], "nextPageToken": "t"}
    assert fields.select(fields.parse_fields("*"), told) == told
    assert fields.select(fields.parse_fields("files/*"), told) == {"files": told["files"]}


@pytest.mark.parametrize(
    "text", ["", ",", "a,", "a(", "a(b", "a)", "a//b", "a b", "(a)", "a/(b)", "(" * 50, "%"]
)
def test_malformed_fields(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        fields.parse_fields(text)
    assert caught.value.location == "fields"


def test_sizes_are_strings_and_folders_have_none() -> None:
    content = Content("r", 5, 10**18, Sums("m", "s", "t"))
    file = file_json(view(content=content), "http://x")
    assert (file["size"], file["version"], file["quotaBytesUsed"]) == ("5", "3", "5")
    assert file["md5Checksum"] == "m"
    assert file["createdTime"] == "2001-09-09T01:46:40.000Z"
    folder = file_json(view(is_folder=True, size=0), "http://x")
    assert not {"size", "md5Checksum", "headRevisionId", "originalFilename"} & set(folder)


def test_sums_of_other_bytes_are_not_told() -> None:
    data = FileMetadata(content=Content("r", 5, 7, Sums("m", "s", "t")))
    again = decode_metadata(data.encoded())
    assert again == data
    assert again.sums_of(5, 7) == Sums("m", "s", "t")
    assert again.sums_of(5, 8) is None
    assert (again.revision_of(5, 7), again.revision_of(6, 7)) == ("r", "m7")


def test_natural_order_and_pages() -> None:
    views = [view(ino, name=f"File {ino}") for ino in (10, 9, 100)]
    keys = ordering.parse_order("name_natural desc")
    first, place = ordering.page_of(keys, None, 2, views)
    assert [one.ino for one in first] == [100, 10]
    assert place is not None
    token = ordering.write_token("mark", place)
    rest, end = ordering.page_of(keys, ordering.read_token(token, "mark"), 2, views)
    assert ([one.ino for one in rest], end) == ([9], None)


@pytest.mark.parametrize("text", ["size", "name descending", "name,,folder", "name desc desc", ","])
def test_wrong_order(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        ordering.parse_order(text)
    assert caught.value.location == "orderBy"


def test_tokens_of_other_questions_are_refused() -> None:
    token = ordering.write_token("mark", ["x", 1])
    for wrong, mark in (
        (token, "other"),
        (token[:-2] + "AA", "mark"),
        ("", "mark"),
        ("!!", "mark"),
        ("é", "mark"),
    ):
        with pytest.raises(InvalidParameter):
            ordering.read_token(wrong, mark)


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5"])
def test_wrong_page_size(text: str) -> None:
    with pytest.raises(InvalidParameter):
        ordering.parse_page_size(text)


def test_large_page_size_is_cut() -> None:
    assert ordering.parse_page_size("5000") == 1000
    assert ordering.parse_page_size(None) == 100


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a\x00b", "a\nb", "/etc/passwd", "../x", "a/../b", "x" * 256, "é" * 128]
)
def test_refused_names(name: str) -> None:
    with pytest.raises(InvalidParameter):
        names.check_name(name)


def test_names_in_the_mount() -> None:
    assert names.mount_name("a/b.txt") == "a_b.txt"
    assert names.mount_name("a.txt", 2) == "a (2).txt"
    assert names.mount_name(".profile", 3) == ".profile (3)"
    assert len(names.mount_name("é" * 127, 12).encode()) <= 255
    with pytest.raises(InvalidParameter):
        names.check_path("/".join(["d"] * 101))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.5Z", 0.5),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert timestamps.parse_rfc3339(text) == int(seconds * 10**9)


def test_which_revisions_expire() -> None:
    day = 24 * 3600.0
    kept = [revisions.OldVersion(str(n), n, (100 - n) * day, n == 60) for n in range(100)]
    gone = {one.ino for one in revisions.expired(kept, 100 * day)}
    assert gone == set(range(31, 100)) - {60}
    assert revisions.expired([revisions.OldVersion("a", 1, 0.0, False)], 1e9) == []
    crowd = [revisions.OldVersion(str(n), n, float(n), False) for n in range(150)]
    assert {one.ino for one in revisions.expired(crowd, 200.0)} == set(range(50))


def test_every_error_has_both_faces() -> None:
    missing = [
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.RequestError)
        and not any(parent in errors_v3.TABLE for parent in kind.__mro__)
    ]  # fmt: skip
    assert missing == []


def test_shapes_of_errors() -> None:
    status, told = errors_v3.drive_error(InvalidParameter("Invalid Value", "q"))
    assert status == 400
    assert told["error"]["errors"] == [
        {
            "domain": "global",
            "reason": "invalid",
            "message": "Invalid Value",
            "locationType": "parameter",
            "location": "q",
        }
    ]
    locked = errors.Locked("x is locked", holder="ann", expires_at_s=5.0)
    assert errors_v3.drive_error(locked)[0] == 403
    status, body = errors_v3.problem(locked, "id")
    assert (status, body["holder"], body["code"]) == (423, "ann", "locked")
