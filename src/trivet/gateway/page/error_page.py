"""An error as a browser shows it: what is the matter, until when, and what can be done meanwhile.

Rule: whoever asks for text/html gets words, everybody else JSON.
"""

import html
import time
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trivet.drive.errors_v3 import Faces
from trivet.errors import BudgetSpent, ContentAway, TrivetError, UsageLimit, VendorQuotaSpent
from trivet.io.clock import wall_s

#: A body that is being fetched is asked for again by the page itself, after so many seconds.
AGAIN_S = 4
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'none'"
)
_TITLES = {
    "usage_limit": "Limit of usage exceeded",
    "quota_exhausted": "The vendor's limit of today is reached",
    "budget_spent": "Today's bytes are spoken for",
    "beyond_budget": "This file is larger than a day's bytes",
    "queued": "Your file waits in the queue",
    "upstream_down": "The vendor does not answer",
    "content_away": "Your file is on its way",
    "unauthorized": "Log in first",
    "forbidden": "You may not do this",
    "not_found": "It is not there",
}
_LIMITS = (UsageLimit, VendorQuotaSpent, BudgetSpent)


def wants_page(request: Request) -> bool:
    """Tell whether a browser asks, for somebody to read the answer."""
    return request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "")


def error_page(request: Request, error: TrivetError, faces: Faces, headers: dict[str, str]) -> Response:
    """Return the page that tells of `error`; a limit leads to the error handler if there is one."""
    handler: str | None = request.scope.get("trivet.error_handler")
    resets_at_s = _resets_at_s(error)
    if handler is not None and isinstance(error, _LIMITS):
        facts = {"code": faces.code, "resets_at_s": f"{resets_at_s:.0f}", "path": request.url.path}
        sign = "&" if urlsplit(handler).query else "?"
        return RedirectResponse(f"{handler}{sign}{urlencode(facts)}", 303, headers)
    title = _TITLES.get(faces.code, "This did not work")
    words = [str(error)]
    if resets_at_s is not None:
        words.append(f"A new day begins at {_clock(resets_at_s)}.")
    again = AGAIN_S if isinstance(error, ContentAway) else None
    if again is not None:
        words.append("This page asks again by itself.")
        headers = {**headers, "Refresh": str(again)}
    headers = {**headers, "Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    return Response(_page(title, words, request), faces.status, headers, media_type="text/html")


def _page(title: str, words: list[str], request: Request) -> str:
    said = "".join(f"<p>{html.escape(one[:1].upper() + one[1:])}</p>" for one in words)
    asked = html.escape(request.scope.get("trivet.request_id", ""))
    return f"""<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>{html.escape(title)} - trivet</title>
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <link rel="icon" href="/page/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/page/style.css">
  <link rel="stylesheet" href="/page/views.css">
</head>
<body>
  <main>
    <div class="card login">
      <h1>{html.escape(title)}</h1>
      {said}
      <p><a href="/#/vendors">How it stands, and what you were served</a><br><a href="/">To the files</a></p>
      <p class="soft">{asked}</p>
    </div>
  </main>
</body>
</html>
"""


def _resets_at_s(error: TrivetError) -> float | None:
    if isinstance(error, UsageLimit | BudgetSpent):
        return error.resets_at_s
    return wall_s() + error.retry_after_s if isinstance(error, VendorQuotaSpent) else None


def _clock(at_s: float) -> str:
    """Return a time as people read it, and how long it is until then."""
    rest_s = max(0, round(at_s - wall_s()))
    hours, minutes = rest_s // 3600, rest_s % 3600 // 60
    rest = f"{hours} h {minutes} min" if hours else f"{max(1, minutes)} min"
    return f"{time.strftime('%H:%M', time.gmtime(at_s))} UTC, in {rest}"
