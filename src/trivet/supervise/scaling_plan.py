"""How many workers the door begins with and may have, when they come and go, and what is called besides."""

import shlex
import shutil
from dataclasses import dataclass, field

from trivet.errors import ConfigError
from trivet.insight.scaling import Thresholds

_OPTIONS = {
    "min_workers": "workers",
    "max_workers": "max-workers",
    "add_above_cpu": "scale-up-cpu",
    "remove_below_cpu": "scale-down-cpu",
    "for_s": "scale-for",
    "remove_for_s": "scale-down-for",
    "memory_limit": "scale-memory",
    "cooldown_s": "scale-cooldown",
}


@dataclass(frozen=True, slots=True)
class ScalingPlan:
    """The thresholds, and the `command` (words of a shell, run without one) for instances elsewhere."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    command: str | None = None

    @property
    def is_on(self) -> bool:
        """Whether there is anything to decide."""
        return self.thresholds.max_workers > 1 or self.command is not None

    def check(self) -> None:
        """Raise ConfigError when it contradicts itself or the command can't be found."""
        self.thresholds.check()
        if self.command is not None:
            words = self.words()
            if not words or shutil.which(words[0]) is None:
                raise ConfigError(
                    f"--scale-command {self.command!r}: no such program; name one that is on the PATH, "
                    "or its path"
                )

    def words(self) -> list[str]:
        """Return the command's words; ConfigError when a quote is left open."""
        try:
            return shlex.split(self.command or "")
        except ValueError as error:
            raise ConfigError(f"--scale-command {self.command!r}: {error}") from error

    def switches(self) -> list[str]:
        """Return the options of `trivet up` that say all this."""
        numbers = [
            word
            for field, option in _OPTIONS.items()
            for word in (f"--{option}", f"{getattr(self.thresholds, field):g}")
        ]
        return [*numbers, *([] if self.command is None else ["--scale-command", self.command])]
