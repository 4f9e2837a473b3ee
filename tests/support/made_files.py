"""One whole file of each kind that is validated, made by the library people make such files with."""

import functools
import gzip
import io
import random
import zipfile

import docx
import openpyxl
from PIL import Image
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, NameObject

#: A plain ZIP comes last: a DOCX offered as a ZIP is one.
KINDS = ("png", "jpg", "gif", "webp", "pdf", "docx", "xlsx", "gz", "xml", "zip")
#: Kinds whose own checksums show any flipped bit in what is looked at; the others need one of the sender.
PROVES_ITSELF = ("png", "docx", "xlsx", "gz", "zip")
MIMES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "gz": "application/gzip",
    "xml": "application/xml",
    "zip": "application/zip",
}


@functools.cache
def whole(extension: str) -> bytes:
    """Return a whole file with `extension`, one of KINDS, the same in every call."""
    made, noise = io.BytesIO(), random.Random(extension).randbytes(60_000)
    if extension in ("png", "jpg", "gif", "webp"):
        image = Image.frombytes("RGB", (160, 120), noise[: 160 * 120 * 3])
        image.save(made, {"jpg": "jpeg"}.get(extension, extension))
    elif extension == "pdf":
        _pdf(made)
    elif extension == "docx":
        document = docx.Document()
        document.add_paragraph(noise[:4000].hex())
        document.save(made)
    elif extension == "xlsx":
        book = openpyxl.Workbook()
        for number in range(200):
            book.active.append([number, noise[number * 8 : number * 8 + 8].hex()])
        book.save(made)
    elif extension == "gz":
        made.write(gzip.compress(noise))
    elif extension == "zip":
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("noise.bin", noise)
            archive.writestr("text.txt", noise.hex())
    else:
        rows = "".join(f"<row n='{byte}'>{byte * 7}</row>" for byte in noise[:3000])
        made.write(f"<?xml version='1.0' encoding='utf-8'?>\n<rows>{rows}</rows>\n".encode())
    return made.getvalue()


def _pdf(made: io.BytesIO) -> None:
    writer = PdfWriter()
    for number in range(5):
        page = writer.add_blank_page(200, 200)
        drawing = DecodedStreamObject()
        drawing.set_data(b"".join(b"%d %d m %d 100 l S\n" % (x, number, x * 7 % 200) for x in range(500)))
        page[NameObject("/Contents")] = writer._add_object(drawing.flate_encode())
    writer.write(made)


def flipped(content: bytes, at: int) -> bytes:
    """Return `content` with one bit of the byte `at` turned round."""
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]
