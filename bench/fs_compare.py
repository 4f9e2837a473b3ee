"""`make bench`: the file-system workload on a plain folder, a bindfs mount and a trivet mount, in one run.

Rule: contestants take turns step by step, memory is touched before each, medians are reported, and only
ratios of one run mean anything.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from fs_contestants import CONTESTANTS, trivet_mount
from fs_kill import Killer
from fs_steps import STEPS, Figures, Sizes

TOUCHED_BYTES = 2 << 30


def touch_memory() -> None:
    """Touch memory first: a machine that takes idle memory back would charge the next step for it."""
    block = bytearray(TOUCHED_BYTES)
    block[::4096] = b"x" * len(block[::4096])


def measure(
    folders: dict[str, Path], steps: list[str], sizes: Sizes, rounds: int
) -> dict[str, dict[str, float]]:
    """Return {figure: {contestant: median}} of `rounds` rounds."""
    seen: dict[str, dict[str, list[float]]] = {}
    for turn in range(rounds):
        for step in steps:
            for name, folder in folders.items():
                work = folder / "work"
                work.mkdir(exist_ok=True)
                if step in ("seq", "rand"):
                    touch_memory()
                figures: Figures = STEPS[step](work, sizes)
                for figure, value in figures.items():
                    seen.setdefault(figure, {}).setdefault(name, []).append(value)
            print(f"round {turn + 1}: {step} done", flush=True)
    return {
        figure: {name: statistics.median(values) for name, values in by_name.items()}
        for figure, by_name in seen.items()
    }


def show(medians: dict[str, dict[str, float]]) -> None:
    """Print a row a figure, with trivet's ratio to the others; above 1 is better for trivet."""
    names = list(next(iter(medians.values())))
    print(f"\n{'':24}" + "".join(f"{name:>12}" for name in names) + f"{'/ bindfs':>12}{'/ plain':>12}")
    for figure, row in medians.items():
        line = f"{figure:24}" + "".join(f"{row[name]:12.1f}" for name in names)
        lower_is_better = figure.endswith(("_s", "_ms"))
        for other in ("bindfs", "plain"):
            if "trivet" in row and other in row:
                ratio = row["trivet"] / row[other]
                line += f"{1 / ratio if lower_is_better else ratio:12.2f}"
        print(line)


def kill_after_each(work: Path, steps: list[str], sizes: Sizes) -> None:
    """Do each step once on a trivet mount, killing keeper and a bank at once when it has acknowledged all."""
    with trivet_mount(work, gateway=False) as mount:
        killer = Killer(work / "state", mount)
        folder = mount / "work"
        folder.mkdir()
        for step in steps:
            print(step, flush=True)
            STEPS[step](folder, replace(sizes, acknowledged=killer))
    print(f"{killer.kills} kills, {killer.checked:,} paths verified, none lost")


def main() -> None:
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", default=",".join(STEPS), help="of " + ",".join(STEPS))
    parser.add_argument("--on", default=",".join(CONTESTANTS), help="of " + ",".join(CONTESTANTS))
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seq-mib", type=int, default=256)
    parser.add_argument("--tar", type=Path, help="what the tree step unpacks")
    parser.add_argument("--json", type=Path, help="also write the medians here")
    parser.add_argument("--kill", action="store_true", help="trivet alone: kill -9 after each step")
    options = parser.parse_args()
    sizes = Sizes(options.seq_mib, options.files, options.tar and options.tar.resolve())
    work = Path(tempfile.mkdtemp(prefix="trivet-bench-"))
    try:
        if options.kill:
            return kill_after_each(work, options.steps.split(","), sizes)
        with ExitStack() as stack:
            chosen = options.on.split(",")
            folders = {name: stack.enter_context(CONTESTANTS[name](work)) for name in chosen}
            medians = measure(folders, options.steps.split(","), sizes, options.rounds)
        show(medians)
        if options.json:
            options.json.write_text(json.dumps(medians, indent=1) + "\n")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
