"""Formats are found before parsing, and what is no access log is refused."""

import pytest

from trivet.errors import InputError
from trivet.wire.access_formats import detect_format, named_format

COMBINED = b'1.2.3.4 - - [05/Jun/2024:13:07:09 +0200] "GET /a HTTP/1.1" 200 17 "-" "curl/8"\n'
COMMON = b'1.2.3.4 - - [05/Jun/2024:13:07:09 +0200] "GET /a HTTP/1.1" 200 17\n'
S3 = (
    b"79a5 bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a5 3E57427F3EXAMPLE REST.GET.VERSIONING - "
    b'"GET /bucket?versioning HTTP/1.1" 200 - 113 - 7 - "-" "S3Console/0.4" - s9lz SigV4 ECDHE host TLSv1.2\n'
)
IIS = (
    b"#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n"
    b"#Fields: date time cs-method cs-uri-stem cs-uri-query c-ip cs-host sc-status sc-bytes time-taken\r\n"
    b"2024-06-05 11:07:09 GET /default.htm a=1 192.0.2.9 example.org 200 512 250\r\n"
)


@pytest.mark.parametrize(
    ("sample", "name"),
    [
        (COMBINED, "combined"),
        (COMMON, "common"),
        (b"www.example.org:80 " + COMBINED, "vhost"),
        (COMBINED[:-1] + b" 0.123\n", "combined+duration"),
        (S3, "s3"),
        (IIS, "w3c"),
        (b"", "combined"),
        (b"\x00\xff junk\n" * 20 + COMBINED, "combined"),
    ],
)
def test_detection(sample: bytes, name: str) -> None:
    assert detect_format(sample).name == name


@pytest.mark.parametrize(
    "sample", [b'{"version":6,"requests":{"total":1}}\n', b"\x7fELF\x00\x01\n", b"hello\n"]
)
def test_what_is_no_access_log_is_refused(sample: bytes) -> None:
    with pytest.raises(InputError, match=r"status\.json is no access log that trivet knows"):
        detect_format(sample, "status.json")


def test_an_iis_line_is_read_by_its_columns() -> None:
    parse = detect_format(IIS).parse
    records = [parse(line) for line in IIS.splitlines()]
    assert records[:3] == [None, None, None]
    record = records[3]
    assert record is not None
    assert (record.ip, record.target, record.status, record.size_bytes) == (
        b"192.0.2.9",
        b"/default.htm?a=1",
        200,
        512,
    )
    assert record.duration_s == 0.25
    assert record.time_s == 1717585629


def test_an_s3_line() -> None:
    record = named_format("s3").parse(S3.rstrip())
    assert record is not None
    assert (record.ip, record.target, record.size_bytes, record.duration_s) == (
        b"192.0.2.3",
        b"/bucket?versioning",
        113,
        0.007,
    )


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="combined"):
        named_format("syslog")
