"""Files of a volume in this process, made and read whole."""

from trivet.keeper.local_volume import LocalVolume
from trivet.volume.interface import Caller

ME = Caller(0, 0)


async def put(volume: LocalVolume, parent: int, name: bytes, data: bytes) -> int:
    """Make a file; return its number."""
    made, handle = await volume.create(parent, name, 0o644, ME)
    await volume.write(handle, 0, data)
    await volume.flush(handle)
    await volume.release(handle)
    return made.ino


async def content(volume: LocalVolume, ino: int) -> bytes:
    """Return a file's bytes."""
    handle = await volume.open(ino, writing=False, truncate=False, sync=False)
    data = await volume.read(handle, 0, 1 << 24)
    await volume.release(handle)
    return data
