"""Which user agents are robots: by what they call themselves.

Rule: a name that does not own up to being a robot is not guessed at.
"""

import re

_ROBOT = re.compile(
    rb"bot\b|bot/|crawl|spider|slurp|archiver|scrapy|curl/|wget/|python-|go-http-client|okhttp|java/|libwww"
    rb"|httpclient|headless|monitor|uptime|pingdom|nikto|sqlmap|masscan|zgrab|feedfetcher|facebookexternalhit"
    rb"|bingpreview|mediapartners|internal dummy connection|https?://[^ )]*bot",
    re.IGNORECASE,
)


def is_robot(agent: bytes) -> bool:
    """Return whether a user `agent` says that it is a robot, a script or a checker."""
    return _ROBOT.search(agent) is not None
