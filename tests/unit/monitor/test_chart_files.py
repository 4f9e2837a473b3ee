"""Charts as files and fragments, drawn offline."""

import json
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import altair
import pytest

from trivet.errors import InputError
from trivet.monitor import chart_files, html_page

EVIL = "</script><b>&"


def bars() -> dict[str, Any]:
    """Two bars, one with an unfriendly name."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.4.1.json",
        "width": 300,
        "data": {"values": [{"run": EVIL, "min": 3}, {"run": "8", "min": 5}]},
        "mark": "bar",
        "encoding": {
            "x": {"field": "min", "type": "quantitative"},
            "y": {"field": "run", "type": "nominal"},
        },
    }


def test_svg_shows_the_data() -> None:
    svg = chart_files.chart_svg(bars())
    assert svg.startswith("<svg")
    assert "&lt;/script&gt;&lt;b&gt;&amp;" in svg


def test_png_has_the_asked_scale() -> None:
    small, large = (chart_files.chart_png(bars(), scale=scale) for scale in (1.0, 2.0))
    widths = [struct.unpack(">I", picture[16:20])[0] for picture in (small, large)]
    assert widths[1] == pytest.approx(2 * widths[0], abs=2)


def test_a_fragment_keeps_the_spec_whole_and_harmless() -> None:
    markup = chart_files.chart_fragment(bars(), alt='two "bars"').markup
    assert markup.count("</script>") == 1
    assert 'aria-label="two &quot;bars&quot;"' in markup
    inside = markup.split('<script type="application/json">')[1].removesuffix("</script>")
    assert json.loads(inside) == bars()


def test_an_altair_chart_is_taken_as_it_is() -> None:
    data = altair.Data(values=[{"a": 1}])
    chart = altair.Chart(data).mark_point().encode(x="a:Q")
    assert chart_files.chart_spec(chart)["encoding"]["x"]["field"] == "a"


@pytest.mark.parametrize("place", ["top", "layer"])
def test_data_by_url_is_refused(place: str) -> None:
    remote = {"data": {"url": "https://example.org/x.csv"}, "mark": "bar"}
    with pytest.raises(InputError, match="nothing is fetched"):
        chart_files.chart_spec(remote if place == "top" else {"layer": [remote]})


def test_rows_may_have_a_column_called_data() -> None:
    spec = bars() | {"data": {"values": [{"data": {"url": "just a value"}}]}}
    assert chart_files.chart_spec(spec) == spec


@pytest.mark.parametrize(
    ("suffix", "start"), [(".html", b"<!doctype"), (".svg", b"<svg"), (".png", b"\x89PNG")]
)
def test_the_suffix_says_what_is_written(tmp_path: Path, suffix: str, start: bytes) -> None:
    out = tmp_path / f"chart{suffix}"
    chart_files.write_chart(bars(), out, title="Bars")
    assert out.read_bytes().startswith(start)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.html, \.svg or \.png"):
        chart_files.write_chart(bars(), tmp_path / "chart.pdf", title="Bars")
    with pytest.raises(InputError, match="can't write"):
        chart_files.write_chart(bars(), tmp_path / "nowhere" / "chart.svg", title="Bars")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_a_browser_draws_the_charts_under_the_policy_of_the_page(tmp_path: Path) -> None:
    fragment = chart_files.chart_fragment(bars())
    document = html_page.page("Two", {"One": [fragment], "Two": [fragment]})
    report = tmp_path / "report.html"
    report.write_text(document)
    assert document.count("vegaEmbed=") == 1
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/profile",
    ]
    command += ["--virtual-time-budget=5000", "--dump-dom", report.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert len(re.findall(r"<svg [^>]*class=\"marks\"", shown)) == 2
