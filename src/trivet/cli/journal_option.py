"""`--journal postgresql://user@host/db --blobs URL`: a whole volume on a database and an object store."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from trivet.errors import InputError
from trivet.supervise.database_setup import DatabaseOptions

Journal = Annotated[
    str | None,
    Parameter(
        help="Keep the journal in PostgreSQL, and with --blobs URL all that files hold in an object store: "
        "postgresql://USER@HOST:PORT/DATABASE (see the guide on engines)."
    ),
]


def database_options(journal: str | None, blobs: Sequence[str] | None) -> DatabaseOptions:
    """Return what `--journal` and the `--blobs` that goes with it ask for; InputError for wrong use."""
    if blobs and len(blobs) > 1:
        raise InputError("--blobs: a volume with its journal in a database has one store: give one URL")
    url = blobs[0] if blobs else None
    if url is not None and url.partition("=")[0].isdecimal():
        raise InputError("--blobs: with --journal write the URL alone, without a bank's port")
    return DatabaseOptions(journal, url)
