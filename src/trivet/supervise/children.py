"""The processes of a drive: started, started again when they die, stopped on purpose, ended in order.

Rule: a child that dies is started again after a pause that grows with each quick death (a server that has
served for a moment did not die quickly); one that was stopped on purpose, or any with `supervise` off, is
left alone until `start`.
Rule: a port on which a server of this volume answers that we did not start counts as running (by hand).
Rule: the workers of the HTTP door, a mount without a keeper and the upstreams end before the keeper, the
keeper before the banks, so that what they hold is written.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from trivet.errors import ConfigError, Conflict, InputError, TrivetError
from trivet.io import runner
from trivet.io.mount_guard import place_guard, remove_guard
from trivet.io.mount_table import unmount
from trivet.io.reach import Reach
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.supervise.door_workers import DoorWorkers
from trivet.supervise.keeper_pair import KeeperPair
from trivet.supervise.probing import ask_server, keeper_is_hung
from trivet.supervise.supervised_child import PARTING_S, SupervisedChild
from trivet.wire import control_messages

BY_HAND_EVERY_S = 1.0
LOOK_S = 0.5
KEEPER_WATCH_S = 2.0

log = logging.getLogger(__name__)


class ChildKeeper:
    """Keeps the servers of one volume that run on `host`, and its keeper, running; `run` is its life."""

    def __init__(
        self,
        folder: VolumeFolder,
        config: VolumeConfig,
        keeper_arguments: Sequence[str] | None,
        mount_point: Path | None,
        *,
        supervise: bool,
        host: str | None = None,
        standby_arguments: Sequence[str] | None = None,
        standby_mount: Path | None = None,
        mount_arguments: Sequence[str] | None = None,
        workers: DoorWorkers | None = None,
        publishes: bool = False,
    ) -> None:
        self._reach = Reach(folder)
        self._folder = folder
        self._config = config
        self._supervise = supervise
        self.mount_point = mount_point
        self._mounts = [point for point in (mount_point, standby_mount) if point is not None]
        self._host = host
        self.servers: list[SupervisedChild] = []
        self._begin: Callable[[SupervisedChild], None] = lambda server: None
        self.take_in(config)
        self.keepers = KeeperPair(folder, keeper_arguments, standby_arguments, config.keeper_on(host))
        log_path = folder.mount_path / "mount.log"
        self.mount = mount_arguments and SupervisedChild(mount_arguments, log_path, None, role="mount")
        self.workers = workers
        words = ["serve", "upstream", "--state", str(folder.path)]
        self.upstream = SupervisedChild(words, folder.upstream_path / "upstream.log", None, role="upstream")
        self.upstream.stopped = not (publishes or any(folder.upstream_path.glob("*.json")))

    def take_in(self, config: VolumeConfig) -> None:
        """Look after the servers that `config` has for this host and that we do not know yet."""
        self._config = config
        known = {server.port for server in self.servers}
        xmlrpc = ["--xmlrpc"] if self._host is None else []
        for base, row in zip(config.bases, config.ports(), strict=True):
            for port in row:
                if port not in known and config.host_of(port) == self._host:
                    words = ["serve", "bank", "--port", str(port), "--state", str(self._folder.path), *xmlrpc]
                    log_path = self._folder.server_path(base, port) / "server.log"
                    self.servers.append(SupervisedChild(words, log_path, port))
                    self._begin(self.servers[-1])

    def told(self) -> control_messages.Children:
        """Return everything as the control socket tells it."""
        children = [child.told() for child in self.all if child is not self.upstream or child.wanted]
        mount = None if self.mount_point is None else str(self.mount_point)
        return control_messages.Children(children, mount)

    @property
    def all(self) -> list[SupervisedChild]:
        """Every process that ought to run."""
        return [
            *self.servers,
            *self.keepers.children,
            *([self.mount] if self.mount else []),
            *(self.workers.children if self.workers else []),
            self.upstream,
        ]

    async def run(self) -> None:
        """Start everything and keep it running until cancelled; then end all, the doors first."""
        for point in self._mounts:
            await asyncio.to_thread(place_guard, point)
        async with asyncio.TaskGroup() as tasks:
            servers: dict[SupervisedChild, asyncio.Task[None]] = {}

            def begin(server: SupervisedChild) -> None:
                servers[server] = tasks.create_task(self._keep(server))

            self._begin = begin
            for server in self.servers:
                begin(server)
            keepers = {child: tasks.create_task(self._keep_keeper(child)) for child in self.keepers.children}
            watch = tasks.create_task(self._watch_keepers())
            doors = [tasks.create_task(self._keep(one)) for one in (self.upstream, self.mount) if one]
            if self.workers is not None:
                doors.append(tasks.create_task(self.workers.run(self._keep)))
            try:
                await asyncio.Event().wait()
            finally:
                self._begin = _refuse
                watch.cancel()
                for door in doors:
                    door.cancel()
                await asyncio.wait(doors)
                last = self.keepers.last_to_end()
                for child in sorted(keepers, key=lambda one: one is last):
                    keepers[child].cancel()
                    await asyncio.wait([keepers[child]])
                for point in self._mounts:
                    await unmount(point, lazy=True)
                    remove_guard(point)
                for server, task in servers.items():
                    server.ask_by_hand_to_end()
                    task.cancel()

    async def stop(self, ports: Sequence[int]) -> None:
        """Stop the servers on `ports`, and leave them stopped; returns when they have ended."""
        for server in self._at(ports):
            server.set_stopped(True)
            server.ask_by_hand_to_end()
        async with asyncio.timeout(2 * PARTING_S + runner.SWEEP_S):
            for server in self._at(ports):
                await server.idle.wait()

    async def restart_upstream(self) -> None:
        """Let the process of the upstreams begin (anew): there is one more."""
        self.upstream.set_stopped(True)
        async with asyncio.timeout(2 * PARTING_S + runner.SWEEP_S):
            await self.upstream.idle.wait()
        self.upstream.set_stopped(False)

    def start(self, ports: Sequence[int]) -> None:
        """Let the servers on `ports` run (again)."""
        for server in self._at(ports):
            server.set_stopped(False)

    def base_of(self, port: int) -> int:
        """Return the base port of the bank that the server on `port` belongs to."""
        return self._config.bases[self._config.bank_of(port)]

    def _at(self, ports: Sequence[int]) -> list[SupervisedChild]:
        banks = {self._config.bank_of(port) for port in ports}
        here = [server for server in self.servers if server.port in ports]
        if banks and not here:
            raise InputError(f"port {ports[0]} is on {self._config.host_of(ports[0])}: type this there")
        return here

    async def _keep(self, child: SupervisedChild) -> None:
        """Run one child again and again as long as it is wanted; return when it has left."""
        pause_s = child.pause_s
        while not child.leaving:
            await self._look_for_one_by_hand(child)
            if not child.wanted or child.by_hand is not None:
                await child.wait_changed(BY_HAND_EVERY_S)
                pause_s = child.pause_s
                continue
            began_s = time.monotonic()
            child.answered_s = float("inf")
            try:
                await self._run_once(child)
            except TrivetError as error:
                log.error("%s: %s", child.name, error)
            if child.stopped or child.leaving:
                continue
            child.left_alone = not self._supervise
            if child.left_alone:
                log.warning("%s has ended and is not started again (--no-supervise)", child.name)
                continue
            log.warning("%s has ended; starting it again (why: %s)", child.name, child.log_path)
            now_s = time.monotonic()
            pause_s = child.pause_after(pause_s, now_s - began_s, now_s - max(child.answered_s, began_s))
            await child.wait_changed(pause_s)
            child.restarts += 1

    async def _look_for_one_by_hand(self, child: SupervisedChild) -> None:
        """Note whether somebody else has started the server on this port."""
        if child.role == "bank" and child.port is not None:
            child.by_hand = await ask_server(child.port, self._reach)

    async def _note_service(self, child: SupervisedChild) -> None:
        """Note when a server that was just started answers for the first time."""
        if child.role != "bank" or child.port is None:
            return
        while True:
            await asyncio.sleep(LOOK_S)
            if await ask_server(child.port, self._reach) is not None:
                child.answered_s = time.monotonic()
                return

    async def _run_once(self, child: SupervisedChild) -> None:
        """Start a child, and wait until it has ended or is not wanted any more."""
        words = [sys.executable, "-P", "-m", "trivet", *child.arguments]
        with _opened(child.log_path) as output:
            out = output.fileno()
            async with runner.start(
                words, stdout=out, stderr=out, parting_s=PARTING_S, pass_fds=child.pass_fds
            ) as running:
                log.info("%s runs as process %s", child.name, running.pid)
                child.running = running
                child.idle.clear()
                noting = asyncio.create_task(self._note_service(child))
                try:
                    await _ended_or_unwanted(child, running)
                finally:
                    noting.cancel()
                    await asyncio.wait([noting])
                    await running.stop(PARTING_S)
                    child.running = None
                    child.arguments = child.again or child.arguments
                    child.idle.set()

    async def _keep_keeper(self, child: SupervisedChild) -> None:
        if child is self.keepers.second:
            await self.keepers.first_is_there()
        await self._keep(child)

    async def _watch_keepers(self) -> None:
        """Kill a keeper that does not answer any more: its mount must not hang, its lease has run out."""
        while True:
            await asyncio.sleep(KEEPER_WATCH_S)
            if self._supervise:
                await asyncio.gather(*(self._kill_if_hung(child) for child in self.keepers.children))

    async def _kill_if_hung(self, child: SupervisedChild) -> None:
        running = child.running
        if running is None:
            return
        if await keeper_is_hung(self.keepers.folder_of(child)) and running is child.running:
            log.error("%s (process %s) does not answer; killing it", child.name, running.pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGKILL)


def _refuse(server: SupervisedChild) -> None:
    raise Conflict(f"{server.name} is not started: the drive is being stopped")


def _opened(log_path: Path) -> BinaryIO:
    """Open a child's log; raises ConfigError: a bank's disk that died must not take the other banks along."""
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        return log_path.open("ab")
    except OSError as error:
        raise ConfigError(f"{log_path} can't be written: {error.strerror}") from error


async def _ended_or_unwanted(child: SupervisedChild, running: runner.Child) -> None:
    ended = asyncio.create_task(running.wait())
    try:
        while child.wanted and not ended.done():
            changed = asyncio.create_task(child.wait_changed())
            await asyncio.wait({ended, changed}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
    finally:
        ended.cancel()
