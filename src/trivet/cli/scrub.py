"""`trivet scrub`: the slow reading of every byte of every copy, started, paused, resumed, limited."""

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, ask_keeper, print_json, volume_folder
from trivet.errors import InputError
from trivet.supervise.live_view import size_text
from trivet.wire.control_messages import ScrubAction, ScrubState

_MEGABYTE = 1_000_000


def scrub(
    action: ScrubAction,
    megabytes_s: float | None = None,
    /,
    *,
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """Steer the scrub: `now`, `pause`, `resume`, or `limit N` (megabytes per second and bank)."""
    if (action == "limit") != (megabytes_s is not None):
        raise InputError("`trivet scrub limit 10` sets 10 MB/s; the other words take no number")
    if megabytes_s is not None and megabytes_s <= 0:
        raise InputError("the limit is more than 0 MB/s; `trivet scrub pause` stops the scrub")
    limit = None if megabytes_s is None else int(megabytes_s * _MEGABYTE)
    told = ask_keeper(volume_folder(state), "scrub", ScrubState, {"action": action, "limit_bytes_s": limit})
    if json:
        print_json(told)
        return 0
    share = f", {told.done_bytes / told.total_bytes:.0%} of {size_text(told.total_bytes)}"
    where = share if told.total_bytes and told.state != "idle" else ""
    print(f"The scrub is {told.state}{where}, limit {size_text(told.limit_bytes_s)}/s a bank.")
    return 0
