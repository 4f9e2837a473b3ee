"""What passes by itself, and what a person is told of a transfer's end, unless an answer has told it already.

Rule: trouble that passes, of the vendor or of the drive's own banks, parks a transfer; all other ends it.
"""

from trivet.errors import NoMajority, OutcomeUnknown, TrivetError, VendorQuotaSpent
from trivet.upstream.standing import Upstream
from trivet.upstream.transfers import Transfer
from trivet.upstream.vendor import Unreachable

#: Who asked is told in the answer if it takes no longer.
SOON_S = 30.0


def passes(error: TrivetError | None) -> bool:
    """Tell whether a transfer that met `error` is to be tried again by itself."""
    return isinstance(error, Unreachable | VendorQuotaSpent | NoMajority | OutcomeUnknown)


async def tell_of(up: Upstream, transfer: Transfer, error: TrivetError | None = None) -> None:
    """Tell the person that `transfer` has come to its end, or why not (`error`)."""
    name, late = transfer.name, up.now_s() - transfer.since_s > SOON_S
    if error is None:
        if late or transfer.state == "parked":
            await up.tell(f"{name} is here now", transfer.user)
    elif not passes(error):
        await up.tell(f"{name} could not be fetched, nothing of it was kept: {error}", transfer.user)
    elif transfer.state != "parked":
        by = (
            "the vendor lets us"
            if isinstance(error, Unreachable | VendorQuotaSpent)
            else "the banks are back"
        )
        await up.tell(f"{name} is parked and comes by itself when {by}: {error}", transfer.user)
