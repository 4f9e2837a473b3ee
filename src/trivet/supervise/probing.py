"""Asks the processes of a drive whether they are there: servers over links, the keeper over its socket."""

from trivet.errors import ProtocolError, TrivetError
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.link import LinkLost
from trivet.io.reach import Reach
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.bank_messages import ServerStat, Stat
from trivet.wire.journal_messages import Hello, Identity

ANSWER_S = 1.0


async def ask_server(port: int, reach: Reach) -> ServerStat | None:
    """Return the figures of the volume's server on `port`, None if no such server answers there."""
    try:
        link = await reach.server(port, timeout_s=ANSWER_S)
    except LinkLost:
        return None
    try:
        identity, _ = await link.request(Hello("blobs"), timeout_s=ANSWER_S)
        if not isinstance(identity, Identity) or identity.volume != reach.config.volume:
            return None
        stat, _ = await link.request(Stat(), timeout_s=ANSWER_S)
        return stat if isinstance(stat, ServerStat) else None
    except (LinkLost, ProtocolError):
        return None
    finally:
        await link.close()


async def keeper_is_hung(folder: VolumeFolder) -> bool:
    """Tell whether a keeper listens on its control socket but gives no sign of life."""
    try:
        await ask(folder.keeper_socket, "status")
    except NotRunning:
        return False
    except Remote as error:
        return error.kind == "Hung"
    except TrivetError:
        return False
    return False
