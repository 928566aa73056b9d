#!/usr/bin/env python3
"""The rumour model of bruit-sim beside the obvious loop in Python, on one core, in one run and by turns.

    bench/spread.py [--program build/release/bruit-sim] [--quick]

Each node that knows tells two random others a round, until all know. The same averages are asked of both; then a
million and a hundred million nodes of the model alone. Exit code 1 when an average differs by more than chance
allows, or a target is missed: 150 times faster at 1,000 nodes, a million nodes in 1 s, a hundred million in 60 s and
4 GiB. Trials are counted in CPU time on both sides, the program's start included; the two large runs in wall time.
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
    words = [options.program, "spread", "--nodes", str(nodes), "--fanout", str(FANOUT), "--trials", str(trials),
             "--threads", "1", "--seed", str(seed), "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    seconds = time.monotonic() - start
    if status != 0:
        sys.exit("bench/spread.py: %s failed: build it first, or name it with --program." % " ".join(words))
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, json.loads(out)["tables"]["summary"][0]


def compare(options, nodes, python_trials, model_trials):
    """Both by turns; the medians of the turns' milliseconds a trial, and both averages."""
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
    agrees = abs(ours - mean) < 5 * error + 0.01
    ratio = statistics.median(python_ms) / statistics.median(model_ms)
    print("%9d %12.2f +- %.2f %12.2f %14.4f %14.6f %10.0f %s"
          % (nodes, mean, error, ours, statistics.median(python_ms), statistics.median(model_ms), ratio,
             "" if agrees else "AVERAGES DIFFER"))
    return ratio, agrees


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bruit-sim")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    share = 10 if options.quick else 1
    print("rounds until all know, %d peers a round, one core" % FANOUT)
    print("    nodes        Python               model      Python ms       model ms      ratio")
    good = True
    for nodes, python_trials, model_trials in ((10, 5000, 1000000), (100, 1000, 300000), (1000, 200, 100000),
                                               (10000, 20, 10000)):
        ratio, agrees = compare(options, nodes, max(python_trials // share, 5), max(model_trials // share, 1000))
        good = good and agrees and (nodes != 1000 or ratio >= 150)
    for nodes, limit in ((1000000, 1), (100000000, 60)):
        seconds, _, memory, row = model(options, nodes, 1, 1)
        print("%9d nodes: %.3f s, %.1f MiB at most, %.0f rounds" % (nodes, seconds, memory / 2**20, row["rounds"]))
        good = good and seconds < limit and memory < 4 * 2**30
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
