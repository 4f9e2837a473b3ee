"""`trivet down`: unmounts and stops everything; nothing is lost, nothing left behind."""

import os
import select

from trivet.cli.asking import DEFAULT_STATE, State, ask_supervisor, volume_folder
from trivet.errors import TrivetError
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.control_messages import Nothing

LAST_BREATH_S = 10.0


def down(*, state: State = DEFAULT_STATE) -> int:
    """Stop the drive: write what is open, unmount the folder, end every process."""
    folder = volume_folder(state)
    supervisor = _supervisor(folder)
    ask_supervisor(folder, "down", Nothing)
    if supervisor is not None:
        _wait_ended(supervisor, folder)
    print("The drive is down; nothing is left running.")
    return 0


def _supervisor(folder: VolumeFolder) -> int | None:
    """Return a descriptor of the process of `trivet up`, None if it is gone."""
    try:
        return os.pidfd_open(int((folder.path / "up.pid").read_text()))
    except (OSError, ValueError):
        return None


def _wait_ended(process: int, folder: VolumeFolder) -> None:
    """Wait until the supervisor's process, which has answered already, has ended."""
    ended, _, _ = select.select([process], [], [], LAST_BREATH_S)
    os.close(process)
    if not ended:
        raise TrivetError(f"the process of `trivet up` does not end; its log is {folder.path / 'up.log'}")
