"""What `trivet serve upstream` runs as a process, forked from one that has loaded everything: soon there."""

import multiprocessing
from multiprocessing.process import BaseProcess
from pathlib import Path

import uvloop

from trivet.io.queues.servers import Servers
from trivet.io.volume_folder import VolumeFolder
from trivet.upstream.service import serve_upstreams


def serve(path: Path, servers: Servers) -> None:
    """Serve the upstreams of the drive whose state is at `path`."""
    uvloop.run(serve_upstreams(VolumeFolder(path), servers))


def start_upstream(folder: VolumeFolder, servers: Servers | None = None) -> BaseProcess:
    """Start the process; `kill`, or `terminate` it, and `join`."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["trivet.upstream.service", "aio_pika", "google.auth"])
    process = forks.Process(target=serve, args=(folder.path, servers or Servers()))
    process.start()
    return process
