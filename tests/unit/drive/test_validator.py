"""The streaming validator: every kind whole, cut, flipped and mislabelled; bombs; early ends."""

import gzip
import hashlib
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import made_files
from trivet.drive.validation.rule import Rule, effective_rule, parse_rule
from trivet.drive.validation.validator import Content, Validator
from trivet.errors import CorruptContent, InputError, UnsupportedType


def _through(name: str, content: bytes, mime: str | None = None, step: int = 1000, **more: object) -> Content:
    validator = Validator(name, mime, **more)  # type: ignore[arg-type]
    for at in range(0, len(content), step):
        validator.feed(content[at : at + step])
    return validator.finish()


def _feed_all(validator: Validator, content: bytes) -> None:
    for at in range(0, len(content), 100):
        validator.feed(content[at : at + 100])


@pytest.mark.parametrize("kind", made_files.KINDS)
def test_whole_files_pass_under_their_own_name_and_type(kind: str) -> None:
    content = made_files.whole(kind)
    told = _through(f"a.{kind}", content, made_files.MIMES[kind], expected_size=len(content))
    assert told.checksums["md5"] == hashlib.md5(content).hexdigest()
    assert told.size_bytes == len(content)
    assert told.fault is None


@pytest.mark.parametrize("kind", made_files.KINDS)
@pytest.mark.parametrize("other", made_files.KINDS)
def test_mislabelled_files_are_refused_with_a_better_name(kind: str, other: str) -> None:
    zips = {"docx", "xlsx", "zip"}
    if kind == other or {kind, other} <= zips:
        return  # what is inside a ZIP is found out by unpacking it
    with pytest.raises(UnsupportedType) as refused:
        _through(f"a.b.{other}", made_files.whole(kind))
    better = "zip" if kind in zips else kind
    assert refused.value.suggested_name == f"a.b.{better}"
    assert refused.value.declared == f".{other}"
    assert refused.value.detected == made_files.MIMES[better]


@pytest.mark.parametrize("kind", made_files.KINDS)
def test_a_wrong_mime_type_is_refused(kind: str) -> None:
    wrong = "image/png" if kind != "png" else "application/pdf"
    with pytest.raises(UnsupportedType):
        _through(f"a.{kind}", made_files.whole(kind), wrong)
    with pytest.raises(UnsupportedType):
        _through("without-extension", made_files.whole(kind), wrong)


@pytest.mark.parametrize("kind", made_files.KINDS)
def test_cut_or_flipped_content_fails_what_the_sender_announced(kind: str) -> None:
    content = made_files.whole(kind)
    sums = {"sha256": hashlib.sha256(content).hexdigest()}
    with pytest.raises(CorruptContent):
        _through(f"a.{kind}", content[:-10], expected_size=len(content))
    with pytest.raises(CorruptContent):
        _through(f"a.{kind}", made_files.flipped(content, len(content) // 2), expected_hashes=sums)
    assert _through(f"a.{kind}", content, expected_hashes=sums).kind is not None


@pytest.mark.parametrize("kind", ["png", "gz", "xml"])
def test_damage_ends_a_transfer_before_its_last_byte(kind: str) -> None:
    content = bytearray(made_files.whole(kind))
    if kind == "png":
        content[20] ^= 1  # in the first chunk, whose CRC comes right after it
    elif kind == "xml":
        content[5000:5000] = b"<<"
    else:
        content = bytearray(made_files.flipped(gzip.compress(b"first member"), 15)) + content
    validator = Validator(f"a.{kind}")
    with pytest.raises(CorruptContent):
        _feed_all(validator, bytes(content))
    assert validator.size_bytes < len(content) - 5000


def test_more_than_announced_ends_at_once() -> None:
    validator = Validator("a.bin", None, 10)
    validator.feed(b"x" * 10)
    with pytest.raises(CorruptContent, match="longer than the 10 bytes"):
        validator.feed(b"x")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "words, with ümlauts\n".encode()),
        ("a.csv", b"BMW,3\nBMX,4\n"),
        ("page.html", b"<?xml version='1.0'?><html/>"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("no-extension", b"\x89PNG\r\n\x1a\n but not really"),
        ("a.dat", bytes(range(256))),
        ("a.txt", b""),
        (".hidden", b"x"),
    ],
)
def test_what_promises_nothing_passes(name: str, content: bytes) -> None:
    assert _through(name, content, rule="flag").fault is None or name == "no-extension"


def test_empty_images_and_unknown_beginnings_are_corrupt() -> None:
    with pytest.raises(CorruptContent, match="empty"):
        _through("a.png", b"")
    with pytest.raises(CorruptContent, match="does not begin like a PNG"):
        _through("a.png", bytes(range(256)))


@pytest.mark.parametrize(
    ("rule", "fault"), [("off", None), ("flag", "a.pdf is declared as .pdf, but its content is PNG")]
)
def test_rules_below_refuse_only_note(rule: Rule, fault: str | None) -> None:
    content = made_files.whole("png")
    told = _through("a.pdf", content, rule=rule)
    assert told.fault == fault
    assert told.checksums["md5"] == hashlib.md5(content).hexdigest(), "all of it was read"
    with pytest.raises(CorruptContent):
        _through("a.pdf", content, rule=rule, expected_size=5)


def test_the_nearest_rule_counts() -> None:
    assert effective_rule([None, "refuse", None, "off", None]) == "off"
    assert effective_rule([None, None]) == "flag"
    with pytest.raises(InputError):
        parse_rule("maybe")


def test_unpacking_takes_little_memory() -> None:
    bomb = gzip.compress(bytes(64 << 20), 9)
    tracemalloc.start()
    assert _through("a.gz", bomb, step=1 << 16).fault is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


@pytest.mark.parametrize(
    "content",
    [
        b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x 'y'><!ENTITY z '&x;&x;'>]><a>&z;</a>",
        b"<?xml version='1.0'?><!DOCTYPE a SYSTEM 'file:///etc/passwd' [<!ENTITY e SYSTEM 'x'>]><a>&e;</a>",
        b"<a>" * 2000 + b"</a>" * 2000,
    ],
)
def test_xml_bombs_are_refused(content: bytes) -> None:
    with pytest.raises(CorruptContent):
        _through("a.xml", content)


def _photoshop(version: int, packed: bool) -> bytes:
    head = struct.pack(">4sH6xHIIHH", b"8BPS", version, 3, 20, 30, 8, 3)
    sections = bytes(4) + struct.pack(">I", 5) + b"abcde" + bytes(8 if version == 2 else 4)
    if not packed:
        return head + sections + b"\0\0" + bytes(3 * 20 * 30)
    counts = struct.pack(f">60{'I' if version == 2 else 'H'}", *range(60))
    return head + sections + b"\0\1" + counts + bytes(sum(range(60)))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_photoshop_files_are_followed_to_their_end(version: int, packed: bool) -> None:
    content = _photoshop(version, packed)
    name = "a.psb" if version == 2 else "a.psd"
    assert _through(name, content, step=7).fault is None
    for cut in (1, 100, len(content) - 30):
        with pytest.raises(CorruptContent, match="cut"):
            _through(name, content[:-cut])


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(made_files.KINDS), step=st.integers(1, 9000), cut=st.integers(0, 200))
def test_how_content_is_cut_into_chunks_changes_nothing(kind: str, step: int, cut: int) -> None:
    content = made_files.whole(kind)
    content = content[: len(content) - cut]
    once = _through(f"a.{kind}", content, step=len(content), rule="flag")
    assert _through(f"a.{kind}", content, step=max(step, 50), rule="flag") == once


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["a.png", "a.gz", "a.xml", "a.psd", "a.gif", "a.pdf"]), junk=st.binary(max_size=300)
)
def test_junk_is_refused_and_never_a_bug(name: str, junk: bytes) -> None:
    heads = {"a.png": b"\x89PNG\r\n\x1a\n", "a.gz": b"\x1f\x8b\x08", "a.psd": b"8BPS", "a.xml": b"<?xml"}
    told = _through(name, heads.get(name, b"") + junk, rule="flag")
    assert told.size_bytes == len(heads.get(name, b"")) + len(junk)


def test_several_gzip_members_and_padding_are_one_file() -> None:
    content = gzip.compress(b"one") + gzip.compress(b"two") + bytes(512)
    assert _through("a.gz", content, step=5).fault is None
    with pytest.raises(CorruptContent):
        _through("a.gz", gzip.compress(b"one") + b"rubbish", step=5)
    with pytest.raises(CorruptContent):
        _through("a.gz", zlib.compress(b"zlib, not gzip"))
