"""`--blobs 9000=s3://bucket/prefix`: banks with their blobs in object stores, checked before they start."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from trivet.errors import InputError

Blobs = Annotated[
    list[str] | None,
    Parameter(
        negative="",
        help="Keep a bank's blobs in an object store: 9000=s3://BUCKET/PREFIX, gs://, az:// or file:///PATH; "
        "kept for the next start (see the guide on engines).",
    ),
]


def checked_blobs(blobs: Sequence[str] | None) -> dict[int, str]:
    """Return the URL for each base port that `blobs` names; ConfigError for a store that does not answer."""
    urls: dict[int, str] = {}
    for word in blobs or []:
        base, equals, url = word.partition("=")
        if not equals or not base.isdecimal():
            raise InputError("--blobs: write the bank's base port first, like 9000=s3://BUCKET/PREFIX")
        urls[int(base)] = url
    if urls:
        from trivet.io.object_store import ObjectStore, plan_of

        for base_port, url in urls.items():
            store = ObjectStore(plan_of(url), base_port)
            store.names_now(store.below("is-anything-here"))
    return urls
