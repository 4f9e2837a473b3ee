"""Reads XML only to see whether it is well-formed and harmless."""

from xml.sax import SAXException
from xml.sax.handler import ContentHandler


class Silent(ContentHandler):
    """Takes what a parser finds and does nothing with it."""

    #: What reading XML may raise besides the refusals of defusedxml.
    FAULTS = (SAXException, UnicodeError)


def fault_of(error: Exception) -> str:
    """Return what `error` says, on one line and without the name of a file."""
    said = getattr(error, "getMessage", None)
    return str(said() if said else error).splitlines()[0] if str(error) else type(error).__name__
