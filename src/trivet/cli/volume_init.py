"""`trivet volume init`: makes a volume's description and key, so that processes can be started by hand."""

from typing import Annotated

from cyclopts import App, Parameter

from trivet.cli.asking import DEFAULT_STATE, State, volume_folder
from trivet.cli.ports_option import Ports, bases_of
from trivet.supervise.volume_setup import DEFAULT_BASES, DEFAULT_SERVERS, Durability, make_volume

app = App(name="volume", help="Make the description and the key of a drive.")


@app.command
def init(
    *,
    servers: Annotated[int, Parameter(help="Servers a bank.")] = DEFAULT_SERVERS,
    ports: Ports = None,
    durability: Durability = "default",
    state: State = DEFAULT_STATE,
) -> int:
    """Make a new volume in the state folder; `trivet up` does this by itself."""
    folder = volume_folder(state)
    config = make_volume(folder, bases_of(ports) or DEFAULT_BASES, servers, durability)
    print(f"made volume {config.volume} in {folder.path}; its key is {folder.key_path} (keep a copy)")
    return 0
