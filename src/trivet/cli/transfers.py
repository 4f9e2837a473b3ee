"""`trivet transfers`: what goes to and comes from vendors, who waits; go on with one, or give it up."""

import getpass
import time
from typing import Annotated

from cyclopts import App, Parameter

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, print_json, volume_folder
from trivet.cli.upstream import ask_upstream
from trivet.supervise.live_view import size_text
from trivet.upstream.telling import TransfersTold, TransferTold

app = App(name="transfers", help="What goes to and comes from vendors, and who waits.")

Key = Annotated[str, Parameter(help="The transfer's key, as `trivet transfers` tells it.")]
_WORDS = {"waiting": "begins soon", "rolled back": "undone"}


@app.default
def show(*, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """List what goes to and comes from vendors: who waits at which place, what is parked and why."""
    told = ask_upstream(volume_folder(state), "transfers", TransfersTold)
    if json:
        print_json(told)
        return 0
    for one in told.transfers:
        print("\n".join(_lines(one)))
    if not told.transfers:
        print("Nothing goes to or comes from a vendor.")
    elif any(one.transfer.state == "parked" for one in told.transfers):
        print(
            "Parked ones go on by themselves; `trivet transfers resume KEY` tries now, `cancel KEY` gives up."
        )
    return 0


@app.command
def resume(key: Key, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Go on with a parked transfer now; the bytes that came already are not fetched again."""
    return _steer(key, "resume", state, json)


@app.command
def cancel(key: Key, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Give a download up, or keep an upload back until it is resumed or the file changes again."""
    return _steer(key, "cancel", state, json)


def _steer(key: str, wanted: str, state: State, json: bool) -> int:
    arguments = {"key": key, "wanted": wanted, "user": getpass.getuser()}
    told = ask_upstream(volume_folder(state), "transfer", TransferTold, arguments)
    if json:
        print_json(told)
    else:
        print(": ".join([told.transfer.name, *_state(told)]))
    return 0


def _lines(one: TransferTold) -> list[str]:
    """Return a transfer as people read it."""
    row = one.transfer
    way = "from" if row.direction == "download" else "to"
    moved = size_text(row.size) if row.state == "done" else f"{size_text(row.moved)} of {size_text(row.size)}"
    since = time.strftime("%d %b %H:%M", time.localtime(row.since_s))
    head = f"{row.key}  {row.name} {way} {one.upstream} for {row.user}, {moved}, asked for {since}"
    return [head, f"    {': '.join(_state(one))}"]


def _state(one: TransferTold) -> list[str]:
    """Return how a transfer stands, and why."""
    row = one.transfer
    word = _WORDS.get(row.state, row.state)
    if one.position:
        word = f"waiting, place {one.position}"
        if one.resets_at_s is not None:
            word += (
                f"; a new day's bytes come at {time.strftime('%d %b %H:%M', time.localtime(one.resets_at_s))}"
            )
    return [word, *([row.error] if row.error and row.state not in ("running", "waiting", "done") else [])]
