"""A client for tests of programs that live behind the door: requests without a socket, sessions in hand.

Rule: a client may be used in one `with` block after another, never in two at once.
"""

import contextlib
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self

import httpx2
from starlette.testclient import TestClient as _StarletteClient

from trivet.gateway.people import People
from trivet.gateway.session_store import Session
from trivet.gateway.sessions import COOKIE, set_cookie
from trivet.gateway.teardown import App


class TestClient(_StarletteClient):
    """Asks `app` as a browser would; `cookies=False` keeps no cookies.

    Sessions are those of the PeopleMiddleware that `app` is, or that `app.app`... leads to.
    """

    __test__ = False

    def __init__(self, app: App, *, cookies: bool = True, **options: Any) -> None:
        super().__init__(app, **options)
        self._keeps_cookies = cookies
        self._inside = False
        if not cookies:
            self.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def __enter__(self) -> Self:
        if self._inside:
            raise RuntimeError("Cannot nest client invocations")
        super().__enter__()
        self._inside = True
        return self

    def __exit__(self, *error: Any) -> None:
        self._inside = False
        super().__exit__(*error)

    @contextlib.contextmanager
    def session_transaction(self) -> Iterator[Session]:
        """Yield this client's session; what the block changes is kept on the server when it ends well.

        Raises TypeError when the client keeps no cookies, RuntimeError when `app` keeps no sessions.
        """
        if not self._keeps_cookies:
            raise TypeError("Cookies are disabled. Make the client with cookies=True.")
        people = _people_of(self.app)
        if people is None:
            raise RuntimeError("No session backend: the app is not inside a PeopleMiddleware.")
        session = people.sessions.open(self.cookies.get(COOKIE))
        yield session
        cookie = people.sessions.save_now(session)
        if cookie is not None:
            asked = httpx2.Request("GET", self.base_url)
            line = set_cookie(cookie, self.base_url.scheme).decode("latin-1")
            self.cookies.extract_cookies(httpx2.Response(200, headers={"set-cookie": line}, request=asked))


def _people_of(app: Any) -> People | None:
    while app is not None:
        people = getattr(app, "people", None)
        if isinstance(people, People):
            return people
        app = getattr(app, "app", None)
    return None
