"""The exact answers of a made-up log, counted from the generator's arrays and never from its text."""

import time
from collections import Counter
from typing import Any

import numpy as np

from mklog_nasty import NASTIES
from mklog_traffic import DEVICE_PERIOD_S, DEVICE_URL, Names, Traffic

START_S = 1717372800  # Monday 2024-06-03 00:00:00 UTC


def escaped(raw: bytes) -> str:
    """Text of `raw`, reversible: backslash doubled, bytes that are not UTF-8 as \\xNN."""
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def section_of(url: str) -> str:
    """Section of a `url` of the plain traffic."""
    return "/" + url.split("?", 1)[0][1:].split("/", 1)[0] if url.startswith("/") else "-"


def truth_of(traffic: Traffic, names: Names, file_bytes: int) -> dict[str, Any]:
    """Return everything that a right parser must say of the log."""
    plain, record = traffic.kind == 0, traffic.kind != 2
    nasty = np.flatnonzero(traffic.kind == 1)
    picked = [NASTIES[k % len(NASTIES)] for k in traffic.pick[nasty].tolist()]
    status = Counter(traffic.status[plain].tolist())
    status.update(line.status for line in picked)
    ip_hits = np.bincount(traffic.ip[record], minlength=len(names.ips))
    order = np.argsort(-ip_hits, kind="stable")
    pairs, distinct_pairs = _pairs(traffic, names, nasty, picked)
    busiest = int(order[0])
    hours = Counter((traffic.time_s[record & (traffic.ip == busiest)] // 3600).tolist())
    return {
        "file_bytes": file_bytes,
        "lines": len(traffic.kind),
        "records": int(record.sum()),
        "malformed": int((~record).sum()),
        "malformed_lines": (np.flatnonzero(~record) + 1).tolist(),
        "bad_requests": sum(line.is_bad_request for line in picked),
        "bytes_sum": int(traffic.size_bytes[plain].sum()) + sum(line.size_bytes for line in picked),
        "distinct_ips": int((ip_hits > 0).sum()),
        "distinct_pairs": distinct_pairs,
        "status": {str(code): status[code] for code in sorted(status)},
        "status_class": {
            f"{c}xx": sum(count for code, count in status.items() if code // 100 == c) for c in (2, 3, 4, 5)
        },
        "sections": _sections(traffic, names, picked),
        "top_ips": [[names.ips[k], int(ip_hits[k])] for k in order[:20].tolist()],
        "top_pairs": [[*p, c] for p, c in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:20]],
        "top_ip_hours": {
            time.strftime("%Y-%m-%dT%H", time.gmtime(START_S + hour * 3600)): hours[hour]
            for hour in sorted(hours)
        },
        "lockstep": {"devices": names.devices, "url": DEVICE_URL, "period_s": DEVICE_PERIOD_S},
    }


def _pairs(
    traffic: Traffic, names: Names, nasty: Any, picked: list[Any]
) -> tuple[Counter[tuple[str, str]], int]:
    """Return counts of the heaviest (address, URL) pairs, and how many distinct ones there are."""
    plain, width = traffic.kind == 0, len(names.urls) + 1
    keys, counts = np.unique(traffic.ip[plain] * width + traffic.url[plain], return_counts=True)
    odd = Counter(
        (names.ips[ip], escaped(line.url))
        for ip, line in zip(traffic.ip[nasty].tolist(), picked, strict=True)
    )
    distinct = len(keys) + len(odd)
    for j in np.argsort(-counts, kind="stable")[:400].tolist():
        odd[names.ips[keys[j] // width], names.urls[keys[j] % width]] += int(counts[j])
    return odd, distinct


def _sections(traffic: Traffic, names: Names, picked: list[Any]) -> dict[str, dict[str, int]]:
    plain = traffic.kind == 0
    ids: dict[str, int] = {}
    section = np.array([ids.setdefault(section_of(url), len(ids)) for url in names.urls])[traffic.url[plain]]
    hits: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for name, place in ids.items():
        chosen = section == place
        hits[name] = int(chosen.sum())
        sizes[name] = int(traffic.size_bytes[plain][chosen].sum())
    for line in picked:
        hits[escaped(line.section)] += 1
        sizes[escaped(line.section)] += line.size_bytes
    return {
        name: {"hits": hits[name], "bytes": sizes[name]} for name in sorted(hits, key=lambda k: (-hits[k], k))
    }
