"""One self-contained HTML page with tabs: what every report of the monitor is written into.

Rule: nothing is fetched; the page's own content security policy forbids it, whatever a fragment holds.
Rule: text enters a page only through the functions here, which escape it; `Fragment` marks what is markup.
Rule: an address that ends in #show-part2 opens the second tab (no element is called so: nothing scrolls).
Rule: without JavaScript, and on paper, all tabs are shown one below the other.
"""

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: What a cell shows that has no value: an en dash.
_NOTHING = "\u2013"

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; form-action 'none'; base-uri 'none'"
)

_STYLE = """
:root{color-scheme:light dark;--ink:#202020;--paper:#fff;--faint:#6b6b6b;--line:#d9d9d9;--mark:#1f78b3}
@media (prefers-color-scheme:dark){
  :root{--ink:#e6e6e6;--paper:#17191c;--faint:#a0a0a0;--line:#3a3d42;--mark:#a5cee3}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
  max-width:72rem;margin:0 auto;padding:1rem 1.25rem 4rem}
h1{font-size:1.5rem;margin:.5rem 0 0}h2{font-size:1.15rem;margin:1.5rem 0 .5rem}
.subtitle,.note{color:var(--faint)}.subtitle{margin:0 0 1rem}
[role=tablist]{display:flex;flex-wrap:wrap;border-bottom:1px solid var(--line);margin:1rem 0}
[role=tab]{font:inherit;color:var(--faint);background:none;border:0;border-bottom:3px solid transparent;
  padding:.4rem .9rem;cursor:pointer}
[role=tab][aria-selected=true]{color:var(--ink);border-color:var(--mark)}
.scroll,figure{overflow-x:auto}figure{margin:1rem 0;max-width:100%}
.vega-bind{margin:.15rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.5rem 0}
caption{text-align:left;color:var(--faint);padding:.25rem 0}
th,td{padding:.2rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{font-weight:600}.number{text-align:right;white-space:nowrap}
td{overflow-wrap:break-word;max-width:40rem}
pre{overflow-x:auto;border:1px solid var(--line);padding:.5rem}
img{max-width:100%}
@media print{[role=tablist]{display:none}[role=tabpanel]{display:block!important}}
"""

_TABS_SCRIPT = """
const bar=document.querySelector('[data-tabs]');
const panels=[...document.querySelectorAll('[role=tabpanel]')];
if(bar&&panels.length>1){
  const tabs=panels.map((panel,i)=>{
    const tab=document.createElement('button');
    tab.type='button';tab.role='tab';tab.id='tab-'+panel.id;tab.textContent=panel.dataset.title;
    tab.setAttribute('aria-controls',panel.id);panel.setAttribute('aria-labelledby',tab.id);
    panel.querySelector('h2[data-tab]').hidden=true;
    tab.onclick=()=>choose(i);
    tab.onkeydown=e=>{
      const step={ArrowRight:1,ArrowLeft:-1}[e.key];
      if(step){const next=(i+step+panels.length)%panels.length;choose(next);tabs[next].focus()}};
    bar.append(tab);return tab});
  const show=chosen=>{panels.forEach((panel,i)=>{
    panel.style.display=i===chosen?'':'none';
    tabs[i].setAttribute('aria-selected',i===chosen);tabs[i].tabIndex=i===chosen?0:-1})};
  const choose=i=>{show(i);history.replaceState(null,'','#show-'+panels[i].id)};
  const asked=panels.findIndex(panel=>'#show-'+panel.id===location.hash);
  show(asked<0?0:asked)}
"""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of trusted `markup`, with the `scripts` it needs at the end of the page (each put in once)."""

    markup: str
    scripts: tuple[str, ...] = field(default=(), repr=False)


def text(words: str, *, note: bool = False) -> Fragment:
    """A paragraph of plain `words`; a `note` is set in a fainter colour."""
    return Fragment(f"<p{' class=note' if note else ''}>{html.escape(words)}</p>")


def heading(words: str) -> Fragment:
    """A heading inside a tab."""
    return Fragment(f"<h2>{html.escape(words)}</h2>")


def preformatted(words: str) -> Fragment:
    """`words` as they stand: a command, a log line."""
    return Fragment(f"<pre>{html.escape(words)}</pre>")


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    figures: Iterable[int] = (),
) -> Fragment:
    """A table; a cell is a Fragment or anything with a `str`; numbers are aligned right, None is a dash.

    Whole numbers get thousands marks and floats are shown with 6 significant digits:
    hand over a string where that is not wanted, and its column as one of `figures` to align it right.
    """
    lines = [list(row) for row in rows]
    aligned = set(figures)
    numeric = aligned | {
        at for row in lines for at, value in enumerate(row) if isinstance(value, int | float)
    }
    head = "".join(
        f"<th{' class=number' if at in numeric else ''}>{html.escape(header)}</th>"
        for at, header in enumerate(headers)
    )
    body = "".join(
        f"<tr>{''.join(_cell(value, right=at in aligned) for at, value in enumerate(row))}</tr>"
        for row in lines
    )
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return Fragment(
        f"<div class=scroll><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def image(data: bytes, *, kind: str, alt: str) -> Fragment:
    """A picture inside the page: `data` of the MIME type `image/<kind>` (png, svg+xml), told by `alt`."""
    source = base64.b64encode(data).decode()
    return Fragment(f'<img src="data:image/{html.escape(kind)};base64,{source}" alt="{html.escape(alt)}">')


def page(title: str, tabs: Mapping[str, Sequence[Fragment]], *, subtitle: str = "") -> str:
    """Return the whole HTML document: `title`, `subtitle` and one tab per entry of `tabs`, the first shown.

    A single tab is shown without a tab bar.
    """
    panels, scripts = [], {_TABS_SCRIPT: None}
    for number, (name, fragments) in enumerate(tabs.items(), start=1):
        shown = html.escape(name)
        inner = "\n".join(fragment.markup for fragment in fragments)
        scripts.update({script: None for fragment in fragments for script in fragment.scripts})
        panels.append(
            f'<section role="tabpanel" id="part{number}" data-title="{shown}">\n'
            f"<h2 data-tab>{shown}</h2>\n{inner}\n</section>"
        )
    below = f'<p class="subtitle">{html.escape(subtitle)}</p>' if subtitle else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style></head>\n"
        f'<body><h1>{html.escape(title)}</h1>{below}\n<div role="tablist" data-tabs></div>\n'
        + "\n".join(panels)
        + "".join(f"\n<script>{script_safe(script)}</script>" for script in scripts)
        + "\n</body></html>\n"
    )


def script_safe(script: str) -> str:
    """`script` such that no string inside it can end the script element or open a comment."""
    return re.sub(r"<(?=/script|!--)", r"\\x3c", script, flags=re.IGNORECASE)


def _cell(value: object, *, right: bool = False) -> str:
    if isinstance(value, Fragment):
        return f"<td>{value.markup}</td>"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"<td class=number>{value:,}</td>"
    if isinstance(value, float):
        return f"<td class=number>{value:.6g}</td>"
    return (
        f"<td{' class=number' if right else ''}>{html.escape(_NOTHING if value is None else str(value))}</td>"
    )
