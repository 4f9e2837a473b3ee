"""The HTTP door as `trivet up` runs it: where it listens, who may come in, whether it answers.

Rule: a port that nobody asked for and that is taken is no reason not to bring the drive up.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from trivet.drive.usage_limits import DoorLimits
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.scaling_plan import ScalingPlan
from trivet.supervise.supervised_child import SupervisedChild

DEFAULT_PORT = 8080
LOOPBACK = "127.0.0.1"
_ANSWER_S = 2.0


@dataclass(frozen=True, slots=True)
class DoorPlan:
    """Where the door listens; `no_auth` when there are no logins; `scaling` says how many workers."""

    port: int = DEFAULT_PORT
    host: str = LOOPBACK
    no_auth: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    limits: DoorLimits = field(default_factory=DoorLimits)
    scaling: ScalingPlan = field(default_factory=ScalingPlan)

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"

    def switches(self) -> list[str]:
        """Return the options of `trivet up` that say all this."""
        return [*self._switches(), *self.scaling.switches()]

    def _switches(self) -> list[str]:
        tls = (
            [*("--tls-cert", str(self.tls_cert)), *("--tls-key", str(self.tls_key))] if self.tls_cert else []
        )
        no_auth = ["--no-auth"] if self.no_auth else []
        most, handler = self.limits.requests_per_day, self.limits.error_handler
        limits = [
            *([] if most is None else ["--requests-per-user-day", str(most)]),
            *([] if handler is None else ["--error-handler", handler]),
        ]
        return ["--port", str(self.port), "--host", self.host, *no_auth, *tls, *limits]

    def child(self, folder: VolumeFolder, listening: socket.socket, number: int) -> SupervisedChild:
        """Return the worker `number` that is to run and accept from `listening`."""
        words = ["serve", "gateway", "--state", str(folder.path), *self._switches()]
        handed = listening.fileno()
        return SupervisedChild(
            [*words, "--worker", str(number), "--fd", str(handed)],
            folder.worker_log(number),
            self.port,
            role="gateway",
            address=self.address,
            number=number,
            pass_fds=[handed],
        )

    async def answers(self) -> bool:
        """Tell whether it answers requests."""
        context = None
        if self.tls_cert:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_connection(self._near_host, self.port, ssl=context)
                try:
                    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    return b" 200 " in await reader.readline()
                finally:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
        except (OSError, TimeoutError):
            return False

    @property
    def _near_host(self) -> str:
        return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)
