"""Times as logs write them, turned into Unix time.

Rule: a text that is no time gives None; the caller decides what that means for its line.
"""

import re
from datetime import UTC, datetime

_FRACTION = re.compile(r"(\.\d{6})\d+")


def rfc3339_s(text: str) -> float | None:
    """Return Unix time of an RFC 3339 `text` (nanoseconds are cut to microseconds; no zone means UTC)."""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
