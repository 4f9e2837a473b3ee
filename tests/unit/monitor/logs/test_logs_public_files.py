"""Public logs that nobody here wrote give the answers that three parsers agreed on, with both engines."""

from pathlib import Path
from typing import Any

import pytest

from trivet.errors import InputError
from trivet.monitor.logs.batch import ReadOptions, read_logs

LOGS = Path(__file__).resolve().parents[4] / ".." / "shared" / "data" / "logs"
COMBINED = ["elastic_apache_logs.log", "lnav_shop_access.log", "lnav_bad_access.log"]
COMBINED += ["cs_nginx_malformed.log", "cs_apache2_malformed.log"]
NO_5XX = {"2xx": 938, "3xx": 38, "4xx": 24, "5xx": 0}

EXPECTED: dict[str, dict[str, Any]] = {
    "elastic_apache_logs.log": {
        "lines": 10_000, "records": 9_999, "malformed_lines": [8899], "bytes_sum": 2_747_282_505,
        "distinct_ips": 1_753, "distinct_pairs": 7_909,
        "status_class": {"2xx": 9170, "3xx": 609, "4xx": 217, "5xx": 3},
    },
    "lnav_shop_access.log": {
        "records": 1_000, "bytes_sum": 18_963_364, "distinct_ips": 101, "distinct_pairs": 942,
        "status_class": NO_5XX, "malformed": 0,
    },
    "lnav_bad_access.log": {"records": 2, "malformed_lines": [2], "bytes_sum": 79_063},
    "cs_nginx_malformed.log": {
        "records": 12, "bad_requests": 12, "bytes_sum": 1_884, "distinct_pairs": 12,
    },
    "cs_apache2_malformed.log": {"records": 11, "bad_requests": 11, "bytes_sum": 2_486},
    "cs_traefik_base.log": {
        "records": 80, "status": {"400": 1, "404": 79}, "bytes_sum": 28_611, "distinct_pairs": 79,
    },
    "cs_traefik.json.log": {
        "records": 6, "malformed": 1, "status": {"200": 4, "204": 1, "404": 1}, "bytes_sum": 1_462,
    },
    "cs_caddy.json.log": {
        "records": 10, "status": {"0": 7, "200": 1, "401": 2}, "bytes_sum": 18_630,
    },
    "cs_aws_alb.log": {"records": 14, "status": {"200": 6, "404": 8}},
    "cs_aws_cloudfront.log": {"malformed": 0},
}  # fmt: skip
RUNS = [(name, "regex") for name in EXPECTED] + [(name, "kernel") for name in COMBINED]


@pytest.fixture(autouse=True)
def need_logs() -> None:
    """Skip where the public logs are not beside the checkout."""
    if not LOGS.is_dir():
        pytest.skip("the public logs (../shared/data/logs) are not here")


@pytest.mark.parametrize(("name", "engine"), RUNS)
def test_public_log(name: str, engine: str) -> None:
    reading = read_logs([str(LOGS / name)], ReadOptions(engine=engine))
    said = reading.summary.as_json(reading.malformed_lines)
    assert {key: said[key] for key in EXPECTED[name]} == EXPECTED[name]
    assert reading.engine.name == engine
    assert said["records"] + said["malformed"] == said["lines"]


@pytest.mark.parametrize("engine", ["kernel", "regex"])
def test_busiest_of_the_public_logs(engine: str) -> None:
    def summary(name: str) -> Any:
        return read_logs([str(LOGS / name)], ReadOptions(engine=engine)).summary

    elastic, shop = summary("elastic_apache_logs.log"), summary("lnav_shop_access.log")
    assert elastic.top_ips[0] == (b"66.249.73.135", 482)
    assert elastic.top_pairs[0] == (b"46.105.14.53", b"/blog/tags/puppet?flav=rss20", 364)
    assert shop.top_ips[0] == (b"66.249.66.194", 88)
    assert (shop.sections[b"/image"][0], shop.sections[b"/filter"][0]) == (401, 230)


def test_the_kernel_reads_every_common_and_combined_file_by_itself() -> None:
    read_logs(
        [str(LOGS / COMBINED[0])], ReadOptions(engine="kernel")
    )  # compiles it where that was never done
    for name in COMBINED:
        assert read_logs([str(LOGS / name)], ReadOptions()).engine.name == "kernel"


def test_a_status_page_is_refused() -> None:
    with pytest.raises(InputError, match="is no access log"):
        read_logs([str(LOGS / "elastic_nginxplus_json_NOT_ACCESS.log")], ReadOptions())
