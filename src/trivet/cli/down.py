"""`trivet down`: unmounts and stops everything; nothing is lost, nothing left behind."""

import fcntl
import time

from trivet.cli.asking import DEFAULT_STATE, State, ask_supervisor, volume_folder
from trivet.errors import TrivetError
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.control_messages import Nothing

LAST_BREATH_S = 10.0


def down(*, state: State = DEFAULT_STATE) -> int:
    """Stop the drive: write what is open, unmount the folder, end every process."""
    folder = volume_folder(state)
    ask_supervisor(folder, "down", Nothing)
    _wait_released(folder)
    print("The drive is down; nothing is left running.")
    return 0


def _wait_released(folder: VolumeFolder) -> None:
    """Wait until the supervisor's process, which has answered already, is gone."""
    until = time.monotonic() + LAST_BREATH_S
    with (folder.path / "up.pid").open("rb") as file:
        while time.monotonic() < until:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01)
            else:
                return
    raise TrivetError(f"the process of `trivet up` does not end; its log is {folder.path / 'up.log'}")
