#!/usr/bin/env python3
"""How fast the simulator is, and how much memory its worlds take: sim.c, which hosts the library's engines.

    bench/simulate.py

Each run is a process of its own, so that its largest resident set is its own, too. What is asked of one core is pinned
to one; the large world has as many shards as there are cores, and then one.
"""
import argparse
import os
import re
import subprocess

import common
from common import progress

LINE = re.compile(r"(?P<case>\w+) +(?P<nodes>\d+) nodes (?P<shards>\d+) shards? +(?P<virtual_s>\d+) s: +"
                  r"(?P<wall_s>[\d.]+) s, CPU (?P<cpu_s>[\d.]+) s \(\d+ times real time\), make (?P<make_s>[\d.]+) s, "
                  r"free (?P<free_s>[\d.]+) s, (?P<events_m>[\d.]+) M events, (?P<rate_m>[\d.]+) M events/s of CPU, "
                  r"(?P<gib>[\d.]+) GiB, hash (?P<hash>\w+)$")


def run(options, case, shards):
    """The lines of one run, each as numbers."""
    process = common.spawn([common.tool(options, "sim"), case, str(shards)],
                           common.cores()[0] if shards == 1 else None, stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    common.end(process)
    rows = []
    for line in out.splitlines():
        progress(line)
        row = LINE.match(line).groupdict()
        rows.append({k: v if k in ("case", "hash") else float(v) for k, v in row.items()})
    if not rows:
        raise SystemExit("bench/simulate.py: %s found nothing to say: exit code %d." % (case, process.returncode))
    return rows


def gather(runs):
    """Several runs of the same case: one row for each of its lines, with medians."""
    rows = []
    for same in zip(*runs):
        first = same[0]
        if any(row["hash"] != first["hash"] for row in same):
            raise SystemExit("bench/simulate.py: %s is not the same twice: it should be." % first["case"])
        row = {key: first[key] for key in ("case", "nodes", "shards", "virtual_s", "events_m", "hash")}
        for key in ("wall_s", "cpu_s", "make_s", "rate_m", "gib"):
            row[key] = common.figure([each[key] for each in same])
        row["speed"] = common.figure([each["virtual_s"] / each["wall_s"] for each in same])
        rows.append(row)
    return rows


def main():
    parser = common.paths(argparse.ArgumentParser(description=__doc__,
                                                  formatter_class=argparse.RawDescriptionHelpFormatter))
    options = parser.parse_args()
    shards = len(os.sched_getaffinity(0))
    # A run of the small cases takes a fraction of a second; one of the large world some ten.
    plan = [("events", 1, 10), ("thousand", 1, 10), ("large", shards, 3), ("large", 1, 3)]
    if options.quick:
        plan = [("events", 1, 3), ("thousand", 1, 3), ("large", shards, 1)]
    elif shards == 1:
        plan.pop()
    rows = []
    for case, count, times in plan:
        rows += gather([run(options, case, count) for _ in range(times)])
    if len({row["hash"] for row in rows if row["case"] == "large"}) > 1:
        raise SystemExit("bench/simulate.py: the large world is another one with other shards: it should not be.")
    common.save(options.out, "sim", {"rows": rows}, "bench/run sim")


if __name__ == "__main__":
    main()
