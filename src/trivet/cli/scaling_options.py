"""The options of `trivet up` about how many workers the HTTP door has."""

import os
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from trivet.insight.scaling import Thresholds
from trivet.supervise.scaling_plan import ScalingPlan

_GROUP = Group("Workers of the HTTP door", sort_key=1)
_DEFAULT = Thresholds()
USUAL_MOST = 4


@dataclass(frozen=True)
class ScalingOptions:
    """How many workers, and when they come and go."""

    workers: Annotated[int | None, Parameter(help="Workers to begin with, and at least (1).")] = None
    max_workers: Annotated[
        int | None,
        Parameter(
            help="Workers at most (half of the processors, up to 4); as many as --workers: no scaling."
        ),
    ] = None
    scale_up_cpu: Annotated[
        float, Parameter(help="Add one when machine or workers are so busy, in percent.")
    ] = _DEFAULT.add_above_cpu
    scale_for: Annotated[float, Parameter(help="... for so many seconds.")] = _DEFAULT.for_s
    scale_down_cpu: Annotated[
        float, Parameter(help="Take one away when the workers use no more, in percent of a core each.")
    ] = _DEFAULT.remove_below_cpu
    scale_down_for: Annotated[float, Parameter(help="... for so many seconds.")] = _DEFAULT.remove_for_s
    scale_memory: Annotated[float, Parameter(help="Add none here when memory is so full, in percent.")] = (
        _DEFAULT.memory_limit
    )
    scale_cooldown: Annotated[float, Parameter(help="Rest so many seconds after a step.")] = (
        _DEFAULT.cooldown_s
    )
    scale_command: Annotated[
        str | None, Parameter(help="Call this with `up N` or `down N` when this machine is spent.")
    ] = None


Scaling = Annotated[ScalingOptions, Parameter(name="*", group=_GROUP)]


def _usual_most() -> int:
    """Return how many workers there may be unless somebody says: keeper and banks want the other half."""
    return min(len(os.sched_getaffinity(0)) // 2, USUAL_MOST)


def scaling_plan(options: ScalingOptions) -> ScalingPlan:
    """Return the checked plan; ConfigError when the options contradict each other."""
    at_least = 1 if options.workers is None else options.workers
    thresholds = Thresholds(
        min_workers=at_least,
        max_workers=max(at_least, _usual_most()) if options.max_workers is None else options.max_workers,
        add_above_cpu=options.scale_up_cpu,
        remove_below_cpu=options.scale_down_cpu,
        for_s=options.scale_for,
        remove_for_s=options.scale_down_for,
        memory_limit=options.scale_memory,
        cooldown_s=options.scale_cooldown,
    )
    plan = ScalingPlan(thresholds, options.scale_command)
    plan.check()
    return plan
