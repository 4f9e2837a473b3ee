"""Opening a server's place as its volume asks for: on this disk, or behind the fence of a database."""

from concurrent.futures import Executor

from trivet.bank.place import Place, store_of
from trivet.io.volume_folder import VolumeConfig, VolumeFolder


def open_place(
    folder: VolumeFolder,
    config: VolumeConfig,
    port: int,
    volume_key: bytes,
    pool: Executor,
    blobs: str | None,
) -> Place:
    """Return the stores of the server on `port`, opened; `blobs` is a URL in place of the volume's.

    Blocks, as long as a database is away. Raises ConfigError.
    """
    base = config.bases[config.bank_of(port)]
    own, url = folder.server_path(base, port), blobs or config.blobs.get(str(base))
    if not config.journal:
        store = store_of(own, url, base)
        return Place(own, config.volume, port, volume_key, pool, first=port == base, store=store)
    from trivet.bank.fence import Fence
    from trivet.bank.place_in_database import PlaceInDatabase
    from trivet.io.journal_database import read_claim
    from trivet.io.postgres import Database, database_plan

    fence = Fence(Database(database_plan(config.journal)), read_claim(folder), volume_key)
    return PlaceInDatabase(own, config.volume, port, volume_key, pool, fence=fence, blobs=url or "")
