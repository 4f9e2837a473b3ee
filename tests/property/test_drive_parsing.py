"""Whatever bytes come: the parsers of the drive answer or refuse, and never guess."""

from hypothesis import given
from hypothesis import strategies as st

from drive_views import view
from trivet.drive import batch, fields, multipart, ranges
from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.query import parse_query
from trivet.drive.query_match import matches, parents_of, wants_trash
from trivet.drive.uploads import Chunk, UploadState, plan_request
from trivet.errors import BadRange, RequestError

_WORDS = "name trashed parents = != contains in has and or not ( ) { } true key value modifiedTime > x '"
_PIECES = [*_WORDS.split(), "'a'", "'\\''", "'2026-01-01'", " "]


@given(st.one_of(st.text(), st.lists(st.sampled_from(_PIECES)).map(" ".join)))
def test_any_q_is_read_or_refused(text: str) -> None:
    try:
        tree = parse_query(text)
    except InvalidParameter as error:
        location = error.location
        assert location == "q"
    else:
        assert matches(tree, view()) in {True, False}
        parents_of(tree)
        wants_trash(tree)


@given(st.text(max_size=40))
def test_a_name_survives_quoting(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    assert matches(parse_query(f"name = '{quoted}'"), view(name=name))


@given(st.text(alphabet="ab,/()* \t%"))
def test_any_fields_are_read_or_refused(text: str) -> None:
    try:
        tree = fields.parse_fields(text)
    except InvalidParameter:
        return
    fields.select(tree, {"a": {"b": [1]}, "b": 1})


@given(st.text(), st.integers(0, 100))
def test_any_range_lies_in_the_file(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        try:
            found = ranges.parse_range(header, size)
        except BadRange:
            continue
        assert found is None or 0 <= found.start < found.stop <= size


@given(st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.integers(1, 1 << 20), st.integers(0, 1 << 20))
def test_a_chunk_never_lands_beside_its_place(held: int, start: int, size: int, more: int) -> None:
    total = start + size + more
    state = UploadState(held, None, 1.0)
    try:
        plan = plan_request(state, f"bytes {start}-{start + size - 1}/{total}", None, 0.0)
    except InvalidParameter:
        return
    if isinstance(plan, Chunk):
        assert plan.offset == held
        assert start + plan.skip == held or plan.take == 0
        assert plan.take is not None
        assert plan.skip + plan.take == size


_PART = st.tuples(
    st.binary(max_size=300), st.dictionaries(st.sampled_from(["A", "Content-Type"]), st.just("x"), max_size=2)
)


@given(st.lists(_PART, min_size=1, max_size=4), st.lists(st.integers(1, 60), max_size=60), st.booleans())
def test_parts_come_out_as_they_went_in(
    parts: list[tuple[bytes, dict[str, str]]], cuts: list[int], bare: bool
) -> None:
    mark = b"bOuNdArY"
    end = b"\n" if bare else b"\r\n"
    body = b"preamble" + end
    for data, headers in parts:
        head = b"".join(f"{name}: {value}".encode() + end for name, value in headers.items())
        body += b"--" + mark + end + head + end + data + end
    body += b"--" + mark + b"--" + end + b"epilogue"
    parser = multipart.MultipartParser(mark)
    found: list[tuple[bytes, dict[str, str]]] = []
    for piece in _cut(body, cuts):
        for event in parser.feed(piece):
            if isinstance(event, multipart.PartBegun):
                found.append((b"", event.headers))
            elif isinstance(event, multipart.PartData):
                found[-1] = (found[-1][0] + event.data, found[-1][1])
        assert len(parser._held) < 1000
    parser.close()
    assert found == [(data, {k.lower(): v for k, v in headers.items()}) for data, headers in parts]


def _cut(body: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(body[at : at + size])
        at += size
    return [*pieces, body[at:]]


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"--b\r\n", b"--b\r\nContent-Type: application/http\r\n\r\n"]),
)
def test_any_batch_is_read_or_refused(data: bytes, front: bytes) -> None:
    try:
        calls = batch.parse_batch(b"b", front + data + b"\r\n--b--")
    except RequestError:
        return
    assert 1 <= len(calls) <= batch.CALLS_MAX
