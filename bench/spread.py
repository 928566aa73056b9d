#!/usr/bin/env python3
"""The rumour model of bruit-sim beside the obvious loop in Python, on one core, in one run and by turns.

    bench/spread.py [--build build/release] [--quick]

Each node that knows tells two random others a round, until all know. The same averages are asked of both; then a
million and a hundred million nodes of the model alone. Exit code 1 when an average differs by more than chance
allows, or a target is missed: 150 times faster at 1,000 and 10,000 nodes, a million nodes in 1 s, a hundred million in
60 s and 4 GiB. Trials are counted in CPU time on both sides, the program's start included; the two large runs in wall
time. Their memory is the kernel's figure for the process, which is never below that of the harness it was forked from.
"""
import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time

import common
from common import progress

FANOUT = 2
TURNS = 3


def python_trial(nodes):
    """Rounds until all know: the loop that anybody would write."""
    others = range(nodes - 1)
    infected, rounds = {0}, 0
    while len(infected) < nodes:
        new = set()
        for node in infected:
            for peer in random.sample(others, FANOUT):
                new.add(peer + (peer >= node))
        infected |= new
        rounds += 1
    return rounds


def model(options, nodes, trials, seed):
    """Wall and CPU seconds of the whole program, its peak memory in bytes, and its row of the summary."""
    start = time.monotonic()
    program = os.path.join(options.build, "bruit-sim")
    words = [program, "spread", "--nodes", str(nodes), "--fanout", str(FANOUT), "--trials", str(trials),
             "--threads", "1", "--seed", str(seed), "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    seconds = time.monotonic() - start
    if status != 0:
        sys.exit("bench/spread.py: %s failed: build it first, or name its folder with --build." % " ".join(words))
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, json.loads(out)["tables"]["summary"][0]


def compare(options, nodes, python_trials, model_trials):
    """Both by turns: their milliseconds a trial in each turn, and both averages."""
    python_ms, model_ms, rounds, means = [], [], [], []
    for turn in range(TURNS):
        random.seed(turn)
        start = time.process_time()
        rounds += [python_trial(nodes) for _ in range(python_trials)]
        python_ms.append((time.process_time() - start) * 1000 / python_trials)
        _, cpu, _, row = model(options, nodes, model_trials, turn)
        model_ms.append(cpu * 1000 / model_trials)
        means.append(row["rounds"])
    mean, error = statistics.mean(rounds), statistics.stdev(rounds) / math.sqrt(len(rounds))
    ours = statistics.mean(means)
    result = {"nodes": nodes, "python_rounds": mean, "error": error, "model_rounds": ours,
              "python_trials": len(rounds), "model_trials": TURNS * model_trials,
              "python_ms": common.figure(python_ms), "model_ms": common.figure(model_ms),
              "agrees": abs(ours - mean) < 5 * error + 0.01,
              "ratio": statistics.median(python_ms) / statistics.median(model_ms)}
    progress("%d nodes: %.2f +- %.2f and %.2f rounds%s, %.4f and %.6f ms a trial, ratio %.0f"
             % (nodes, mean, error, ours, "" if result["agrees"] else ": AVERAGES DIFFER",
                statistics.median(python_ms), statistics.median(model_ms), result["ratio"]))
    return result


def large(options, nodes):
    """One rumour among very many, a few times."""
    runs = [model(options, nodes, 1, 1) for _ in range(TURNS)]
    result = {"nodes": nodes, "wall_s": common.figure([run[0] for run in runs]),
              "mib": max(run[2] for run in runs) / 2**20, "rounds": runs[0][3]["rounds"]}
    progress("%d nodes: %.3f s, %.1f MiB at most, %.0f rounds"
             % (nodes, result["wall_s"]["median"], result["mib"], result["rounds"]))
    return result


def main():
    parser = common.paths(argparse.ArgumentParser(description=__doc__,
                                                  formatter_class=argparse.RawDescriptionHelpFormatter))
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    share = 10 if options.quick else 1
    progress("rounds until all know, %d peers a round, one core; Python and the model" % FANOUT)
    cases = [compare(options, nodes, max(python_trials // share, 5), max(model_trials // share, 1000))
             for nodes, python_trials, model_trials in ((10, 5000, 1000000), (100, 1000, 300000), (1000, 200, 100000),
                                                        (10000, 20, 10000))]
    crowds = [large(options, nodes) for nodes in (1000000, 100000000)]
    common.save(options.out, "spread", {"cases": cases, "crowds": crowds, "fanout": FANOUT}, "bench/run spread")
    good = all(case["agrees"] and (case["nodes"] < 1000 or case["ratio"] >= 150) for case in cases)
    good = good and all(crowd["wall_s"]["median"] < limit and crowd["mib"] < 4096
                        for crowd, limit in zip(crowds, (1, 60)))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
