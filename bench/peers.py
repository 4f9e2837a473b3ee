"""`make bench-peers`: the workload on trivet beside GlusterFS and MooseFS, three copies each, in one run.

Rule: it needs root; peers are set up anew and taken away again.
Rule: Ceph takes minutes to set up and is not run: its figures of another day are scaled, one by one, by what
bindfs reads now and read then; they are marked as such.
Rule: a goal is a ratio to the best replicated peer of the same figure; only ratios of one run mean anything.
"""

import argparse
import functools
import json
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil

from fs_compare import measure
from fs_contestants import bindfs_mount, trivet_mount
from fs_steps import STEPS, Figures, Sizes
from library_tar import library_tar
from peer_contestants import gluster_mount, moosefs_mount, peer_network

#: figure: (Ceph's reading, bindfs's on that day, what trivet aims for as a ratio to the best peer)
GOALS: dict[str, tuple[float, float, float]] = {
    "seq_write_fsync_MBps": (252, 65, 1.1),
    "seq_read_cold_MBps": (392, 371, 1.0),
    "rand_read_4k_cold_ps": (1844, 7871, 1.1),
    "rand_write_4k_fsync_ps": (4091, 7497, 1.2),
    "small_create_ps": (771, 1986, 2.0),
    "small_stat_cold_ps": (950, 12032, 1.5),
    "small_stat_warm_ps": (2097, 347841, 20.0),
    "small_readdir_ps": (24641, 170648, 1.0),
    "small_read_cold_ps": (551, 3462, 1.5),
    "small_read_warm_ps": (1588, 6301, 2.0),
    "small_rename_ps": (482, 4995, 1.3),
    "small_unlink_ps": (665, 3320, 1.3),
    "append_fsync_ps": (176, 2974, 1.3),
    "tree_untar_s": (7.4, 2.8, 1 / 0.7),
    "tree_git_s": (39.9, 4.4, 1 / 0.7),
    "tree_remove_s": (8.9, 1.0, 1.0),
    "par4_create_ps": (724, 3350, 2.0),
    "fio_read_iops": (4927, 8115, 1.1),
    "fio_write_iops": (2112, 3472, 1.1),
}
CONTESTANTS = {
    "bindfs": bindfs_mount,
    "trivet": functools.partial(trivet_mount, gateway=False),
    "gluster": gluster_mount,
    "moosefs": moosefs_mount,
}
PEERS = ("gluster", "moosefs", "ceph*")
_PROCESSES = {"trivet": "-m trivet up", "gluster": "gluster", "moosefs": "mfs"}


def idle_memory_mib(word: str, place: str = "") -> float:
    """Return the proportional memory of all processes whose command holds both, and their children."""
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if word in command and place in command:
            found |= {process, *process.children(recursive=True)}
    return sum(process.memory_full_info().pss for process in found) / 2**20


def with_ceph(medians: dict[str, Figures]) -> None:
    """Add to each figure Ceph's reading of that day times what bindfs reads now over what it read then."""
    for figure, row in medians.items():
        if figure in GOALS and "bindfs" in row:
            ceph, bindfs_then, _ = GOALS[figure]
            row["ceph*"] = ceph * row["bindfs"] / bindfs_then


def show(medians: dict[str, Figures]) -> None:
    """Print a line of a Markdown table for each figure, with the ratio to the best peer and the goal."""
    names = ["bindfs", "trivet", *PEERS]
    print("| figure | " + " | ".join(names) + " | trivet / best peer | goal |")
    print("|---" * (len(names) + 3) + "|")
    for figure, row in medians.items():
        lower = figure.endswith(("_s", "_ms", "_MiB"))
        peers = [row[name] for name in PEERS if name in row]
        goal = GOALS.get(figure)
        told = [f"{row[name]:,.1f}" if name in row else "-" for name in names]
        ratio = "-"
        if peers and "trivet" in row:
            best = min(peers) if lower else max(peers)
            better = best / row["trivet"] if lower else row["trivet"] / best
            met = "" if goal is None else (" yes" if better >= goal[2] else " no")
            ratio = f"{better:.2f}{met}"
        print(f"| {figure} | " + " | ".join(told) + f" | {ratio} | {goal[2] if goal else '-':.3} |")


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", default=",".join(STEPS), help="of " + ",".join(STEPS))
    parser.add_argument("--on", default=",".join(CONTESTANTS), help="of " + ",".join(CONTESTANTS))
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seq-mib", type=int, default=256)
    parser.add_argument("--json", type=Path, help="also write the medians here")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="trivet-peers-"))
    chosen = options.on.split(",")
    try:
        sizes = Sizes(options.seq_mib, options.files, library_tar(work))
        with peer_network(), ExitStack() as stack:
            folders = {name: stack.enter_context(CONTESTANTS[name](work)) for name in chosen}
            memory = {
                name: idle_memory_mib(word, str(work) if name == "trivet" else "")
                for name, word in _PROCESSES.items()
                if name in chosen
            }
            medians = measure(folders, options.steps.split(","), sizes, options.rounds)
        with_ceph(medians)
        medians["idle_memory_MiB"] = memory
        show(medians)
        if options.json:
            options.json.write_text(json.dumps(medians, indent=1) + "\n")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
