"""The decoding child: takes one path after another over a socket, says what is wrong with each.

Rule: memory is limited, so a bomb ends here with a MemoryError and not on the machine.
Rule: it opens files for reading only and writes none.
"""

import json
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from trivet.gateway.decoding.archives import decode_zip
from trivet.gateway.decoding.documents import decode_pdf
from trivet.gateway.decoding.images import decode_image

#: Address space of the child, and the CPU seconds of its whole life.
MAX_MEMORY_BYTES = 2 << 30

DECODERS: dict[str, Callable[[Path, str], str | None]] = {
    "image": lambda path, _: decode_image(path),
    "pdf": lambda path, _: decode_pdf(path),
    "zip": decode_zip,
}


def answer(line: str) -> str | None:
    """Return what is wrong with the file that the request `line` (JSON: path, decoder, kind) names."""
    asked = json.loads(line)
    try:
        return DECODERS[asked["decoder"]](Path(asked["path"]), asked["kind"])
    except MemoryError:
        return "it takes too much memory to decode: a decompression bomb?"


def main() -> None:
    """Serve requests, one a line, over the socket whose descriptor is the first argument, to its end."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=int(sys.argv[1])) as link, link.makefile("rw", encoding="utf-8") as lines:
        for line in lines:
            lines.write(json.dumps({"fault": answer(line)}) + "\n")
            lines.flush()


if __name__ == "__main__":
    main()
