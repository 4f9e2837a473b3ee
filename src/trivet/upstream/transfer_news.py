"""What a person is told of a transfer's end, unless the answer to a request has told it already."""

from trivet.errors import TrivetError, VendorQuotaSpent
from trivet.upstream.standing import Upstream
from trivet.upstream.transfers import Transfer
from trivet.upstream.vendor import Unreachable

#: Who asked is told in the answer if it takes no longer.
SOON_S = 30.0


async def tell_of(up: Upstream, transfer: Transfer, error: TrivetError | None = None) -> None:
    """Tell the person that `transfer` has come to its end, or why not (`error`)."""
    name, late = transfer.name, up.now_s() - transfer.since_s > SOON_S
    if error is None:
        if late or transfer.state == "parked":
            await up.tell(f"{name} is here now", transfer.user)
    elif not isinstance(error, Unreachable | VendorQuotaSpent):
        await up.tell(f"{name} could not be fetched, nothing of it was kept: {error}", transfer.user)
    elif transfer.state != "parked":
        text = f"{name} is parked and comes by itself when the vendor lets us: {error}"
        await up.tell(text, transfer.user)
