"""The HTTP door's app: both faces over one drive, behind log, waypoints, teardown and people."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from trivet.errors import TrivetError
from trivet.gateway.access_log import AccessLog, AccessLogMiddleware
from trivet.gateway.board_feed import BoardFeed
from trivet.gateway.drive_v3 import about, batches, changes, files, permissions, revisions, uploads
from trivet.gateway.drive_v3.method_override import MethodOverrideMiddleware
from trivet.gateway.faces import on_error, on_http_error
from trivet.gateway.files.drive import Drive
from trivet.gateway.login_routes import login_routes
from trivet.gateway.metrics_routes import ROUTES as METRICS_ROUTES
from trivet.gateway.native import api
from trivet.gateway.page.routes import ROUTES as PAGE_ROUTES
from trivet.gateway.page.routes import PolicyMiddleware
from trivet.gateway.request_metrics import RequestMetrics
from trivet.gateway.sessions import PeopleMiddleware
from trivet.gateway.teardown import App, TeardownMiddleware
from trivet.gateway.usage_limit import UsageLimitMiddleware
from trivet.gateway.waypoints import Waypoints, WaypointsMiddleware


def build_app(
    drive: Drive,
    log: AccessLog,
    waypoints: Waypoints,
    board: BoardFeed,
    counted: RequestMetrics | None = None,
    is_leaving: Callable[[], bool] = lambda: False,
) -> App:
    """Return the app that serves `drive`; `log` is told of every request, `waypoints` of transfers.

    `board` is what the live boards of this worker share; `counted` is what /metrics tells of requests;
    `is_leaving` says whether this worker is about to end.
    """
    rooms = (files, uploads, changes, revisions, permissions, about, batches)
    routes: list[BaseRoute] = [route for room in rooms for route in room.ROUTES]
    routes += [*api.ROUTES, *login_routes(drive.people), *METRICS_ROUTES, *PAGE_ROUTES]
    inner = Starlette(routes=routes, exception_handlers={TrivetError: on_error, HTTPException: on_http_error})
    inner.router.redirect_slashes = False
    inner.state.drive = drive
    inner.state.counted = counted
    inner.state.is_leaving = is_leaving
    if counted is not None:
        drive.hot.on_asked = counted.cache_asked
    inner.state.inner = inner
    inner.state.board = board
    limited = UsageLimitMiddleware(inner, drive.usage, drive.limits)
    guarded = PolicyMiddleware(MethodOverrideMiddleware(PeopleMiddleware(limited, drive.people)))
    inside = WaypointsMiddleware(TeardownMiddleware(guarded), waypoints)
    return AccessLogMiddleware(inside, log, counted.answered if counted is not None else None)
