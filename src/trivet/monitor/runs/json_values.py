"""JSON from files of others: whatever is wrong with it is one kind of error."""

from typing import Any

import msgspec


def decode_json(data: bytes) -> Any:
    """The value that `data` holds; raises ValueError when it is no JSON, not UTF-8 or nested too deep."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("nested too deep") from None
