"""Sizes as people type them."""

import re

from trivet.errors import InputError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def parse_size(text: str | None) -> int | None:
    """Return the bytes that "200MB", "1.5 GB" or "4096" mean (powers of ten), None for None."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)b?", text.strip().lower(), re.ASCII)
    if found is None or float(found[1]) == 0:
        raise InputError(f"{text!r} is no size such as 200MB or 1.5GB")
    return round(float(found[1]) * _UNITS[found[2]])
