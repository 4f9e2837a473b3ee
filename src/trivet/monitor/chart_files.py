"""Charts as files and fragments: one Vega-Lite spec becomes interactive HTML, SVG or PNG, offline.

Rule: a chart is an Altair chart or the dict of a Vega-Lite 6 spec with its data inside it; a spec
that names a URL is refused, so nothing is ever fetched, neither here nor in a reader's browser.
Rule: the libraries that draw (1 MB) are put into a page once, however many charts it holds.
"""

import functools
import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from trivet.errors import InputError
from trivet.monitor.html_page import Fragment, page

if TYPE_CHECKING:
    import altair

    Chart: TypeAlias = altair.TopLevelMixin | dict[str, Any]

#: The Vega-Lite version of Altair 6, as vl-convert names it.
_VEGA_LITE = "6.4"

#: Draws every chart of the page, again when the reader's colour scheme changes. `ast` lets Vega do
#: without eval, which the page's content security policy forbids.
_DRAW_SCRIPT = """
const dark=matchMedia('(prefers-color-scheme:dark)');
const draw=()=>document.querySelectorAll('[data-chart]').forEach(place=>vegaEmbed(
  place,JSON.parse(place.nextElementSibling.textContent),
  {ast:true,actions:false,renderer:'svg',theme:dark.matches?'dark':undefined,config:{background:null}})
  .catch(error=>{place.textContent='This chart could not be drawn: '+error}));
dark.addEventListener('change',draw);draw();
"""


def chart_spec(chart: "Chart") -> dict[str, Any]:
    """The Vega-Lite dict of `chart`; raises InputError when it would fetch its data from a URL."""
    spec: dict[str, Any] = chart if isinstance(chart, dict) else chart.to_dict()
    if _names_url(spec):
        raise InputError("the chart names data by URL; put the data into the chart: nothing is fetched")
    return spec


def chart_fragment(chart: "Chart", *, alt: str = "") -> Fragment:
    """`chart` with its tooltips and controls, for a tab of `html_page.page`; `alt` says what it shows."""
    spec = json.dumps(chart_spec(chart), allow_nan=False, separators=(",", ":"))
    quoted = spec.replace("<", "\\u003c")
    return Fragment(
        f'<figure data-chart aria-label="{html.escape(alt)}"></figure>'
        f'<script type="application/json">{quoted}</script>',
        scripts=(_vega_bundle(), _DRAW_SCRIPT),
    )


def chart_svg(chart: "Chart") -> str:
    """`chart` as an SVG image."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(chart_spec(chart), vl_version=_VEGA_LITE, allowed_base_urls=[]))


def chart_png(chart: "Chart", *, scale: float = 2.0) -> bytes:
    """`chart` as a PNG image with `scale` pixels for each unit of the chart."""
    import vl_convert

    spec = chart_spec(chart)
    return bytes(vl_convert.vegalite_to_png(spec, vl_version=_VEGA_LITE, scale=scale, allowed_base_urls=[]))


def write_chart(chart: "Chart", out: Path, *, title: str) -> None:
    """Write `chart` alone to `out` as what its suffix says (.html, .svg, .png); `title` heads the page."""
    try:
        match out.suffix.lower():
            case ".html" | ".htm":
                document = page(title, {"Chart": [chart_fragment(chart, alt=title)]})
                out.write_text(document, encoding="utf-8")
            case ".svg":
                out.write_text(chart_svg(chart), encoding="utf-8")
            case ".png":
                out.write_bytes(chart_png(chart))
            case _:
                raise InputError(
                    f"can't tell the kind of chart from '{out.name}': end it in .html, .svg or .png"
                )
    except OSError as error:
        raise InputError(f"can't write {out}: {error.strerror}") from None


@functools.cache
def _vega_bundle() -> str:
    """The script that defines `vegaEmbed`, with Vega and Vega-Lite; takes about 2 s to put together."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;", _VEGA_LITE))


def _names_url(node: object) -> bool:
    """Whether a spec names data by URL; the rows of inline data are not looked into."""
    if isinstance(node, dict):
        data = node.get("data")
        if isinstance(data, dict) and "url" in data:
            return True
        return any(_names_url(value) for key, value in node.items() if key not in ("datasets", "values"))
    return isinstance(node, list) and any(_names_url(value) for value in node)
