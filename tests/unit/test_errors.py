"""The error tree: shallow, and every class with its three faces."""

import errno

from trivet import errors
from trivet.errors import TrivetError


def test_every_error_carries_its_faces() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, TrivetError)]
    assert len(classes) > 10
    for cls in classes:
        assert 400 <= cls.http_status < 600
        assert cls.errno in errno.errorcode
        assert cls.exit_code in (2, 3)
        assert len(cls.__mro__) <= 6, "the tree stays shallow"
