"""A path as the routing key of a message: words between dots, so that others can subscribe to a folder.

Rule: a key says where something is to subscribers; the path itself stands in the message.
Source: AMQP 0-9-1, topic exchanges: words between dots, `*` and `#` are wildcards, at most 255 bytes.
"""

import re

KEY_BYTES = 255
_OTHER = re.compile(r"[^\w-]")


def routing_key(path: str) -> str:
    """Return the key of an absolute `path`: `/a b/c.txt` is `a_b.c_txt`.

    What is neither a letter, a digit, `-` nor `_` is `_`; what does not fit is left away, whole words first.
    """
    words = [_OTHER.sub("_", name) for name in path.split("/") if name]
    key = ""
    for word in words:
        longer = f"{key}.{word}" if key else word
        if len(longer.encode()) > KEY_BYTES:
            return key or longer.encode()[:KEY_BYTES].decode(errors="ignore")
        key = longer
    return key
