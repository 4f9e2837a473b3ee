"""`python memory_mount.py FOLDER`: mounts a volume over banks in memory on FOLDER until stdin is closed.

What the mount and the volume do is all there, what banks and the network cost is not.
"""

import asyncio
import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from memory_ports import MemoryBanks
from trivet.mount.session import mounted


async def serve(folder: Path) -> None:
    """Serve until nobody wants it any more."""
    volume = MemoryBanks().fresh()
    await volume.start()
    async with mounted(volume, folder, "trivet:memory"):
        print("mounted", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await volume.close()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
