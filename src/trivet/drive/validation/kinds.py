"""The kinds of files validation knows: their extensions, MIME types and how they begin.

Rule: kinds of one `family` begin alike (a DOCX is a ZIP); only a look inside tells them apart.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file; the first extension and MIME type are the usual ones.

    `heads` are pairs of offset and bytes, of which one must be there; empty = it has no fixed beginning.
    """

    name: str
    extensions: tuple[str, ...]
    mimes: tuple[str, ...]
    family: str
    heads: tuple[tuple[int, bytes], ...] = ()

    def begins(self, head: bytes) -> bool:
        """Say whether `head`, the first bytes of a file, could begin a file of this kind."""
        return any(head[at : at + len(mark)] == mark for at, mark in self.heads)


_OFFICE = "application/vnd.openxmlformats-officedocument."
_PK = ((0, b"PK\3\4"), (0, b"PK\5\6"))
_TEXT = (
    *("txt", "text", "log", "md", "rst", "csv", "tsv", "json", "yaml", "yml", "toml", "ini"),
    *("py", "js", "css", "html", "htm", "c", "h", "sh", "sql"),
)

KINDS = (
    Kind("PNG", ("png",), ("image/png",), "png", ((0, b"\x89PNG\r\n\x1a\n"),)),
    Kind(
        "JPEG",
        ("jpg", "jpeg", "jpe", "jfif"),
        ("image/jpeg", "image/jpg", "image/pjpeg"),
        "jpeg",
        ((0, b"\xff\xd8\xff"),),
    ),
    Kind("GIF", ("gif",), ("image/gif",), "gif", ((0, b"GIF87a"), (0, b"GIF89a"))),
    Kind("WebP", ("webp",), ("image/webp",), "webp", ((8, b"WEBP"),)),
    Kind("BMP", ("bmp", "dib"), ("image/bmp", "image/x-ms-bmp"), "bmp", ((0, b"BM"),)),
    Kind("TIFF", ("tif", "tiff"), ("image/tiff",), "tiff", ((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"))),
    Kind("Photoshop", ("psd", "psb"), ("image/vnd.adobe.photoshop",), "psd", ((0, b"8BPS"),)),
    Kind("PDF", ("pdf",), ("application/pdf",), "pdf", ((0, b"%PDF-"),)),
    Kind("ZIP", ("zip",), ("application/zip", "application/x-zip-compressed"), "zip", _PK),
    Kind("DOCX", ("docx",), (_OFFICE + "wordprocessingml.document",), "zip", _PK),
    Kind("XLSX", ("xlsx",), (_OFFICE + "spreadsheetml.sheet",), "zip", _PK),
    Kind("PPTX", ("pptx",), (_OFFICE + "presentationml.presentation",), "zip", _PK),
    Kind("OpenDocument text", ("odt",), ("application/vnd.oasis.opendocument.text",), "zip", _PK),
    Kind("OpenDocument sheet", ("ods",), ("application/vnd.oasis.opendocument.spreadsheet",), "zip", _PK),
    Kind("EPUB", ("epub",), ("application/epub+zip",), "zip", _PK),
    Kind("JAR", ("jar",), ("application/java-archive",), "zip", _PK),
    Kind("gzip", ("gz", "tgz"), ("application/gzip", "application/x-gzip"), "gzip", ((0, b"\x1f\x8b"),)),
    Kind("XML", ("xml", "xsd", "xsl"), ("application/xml", "text/xml"), "xml"),
    Kind("SVG", ("svg",), ("image/svg+xml",), "xml"),
    Kind("text", _TEXT, ("text/plain", "text/csv", "text/html", "application/json"), "text"),
)

_BY_EXTENSION = {extension: kind for kind in KINDS for extension in kind.extensions}
_BY_MIME = {mime: kind for kind in KINDS for mime in kind.mimes}


def extension_of(name: str) -> str:
    """Return the extension of the file `name` in lower case without its dot, "" without one."""
    stem, dot, extension = name.rpartition(".")
    return extension.lower() if dot and stem else ""


def kind_of_name(name: str) -> Kind | None:
    """Return the kind that the extension of `name` promises, None when it promises nothing known."""
    return _BY_EXTENSION.get(extension_of(name))


def kind_of_mime(mime: str | None) -> Kind | None:
    """Return the kind that the MIME type `mime` (parameters are ignored) promises, None if unknown."""
    return _BY_MIME.get((mime or "").partition(";")[0].strip().lower())
