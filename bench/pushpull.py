#!/usr/bin/env python3
"""A full exchange of 10,000 members over TCP: memberlist and bruit, CPU of both sides.

Each library's target is told of the members over UDP. Then a fresh node of the same library joins it (it learns all of
them), and joins once more (both know everything already: what a periodic sync is). Repetitions of the libraries
alternate. Initiator and target have a core each; CPU is what the scheduler accounts to each process from the request
until both have been at rest for a while, so that work done after the join returned is counted.

    bench/pushpull.py
"""
import argparse
import os
import tempfile
import time

import common
import packets
from common import figure, progress

TARGET_PATIENCE = 0.25  # the target may go on merging when the initiator is done


class MemberlistJoiner(packets.Memberlist):
    def __init__(self, options, variant, number):
        self.number = number
        super().__init__(options, variant)

    def command(self):
        argv, pipes = super().command()
        return [a.replace("=target", "=joiner%d" % self.number) for a in argv], pipes


class BruitJoiner(packets.Bruit):
    def __init__(self, options, variant, number):
        self.number = number
        super().__init__(options, variant)

    def command(self):
        argv, pipes = super().command()
        return [a if a != "target" else "joiner%d" % self.number for a in argv], pipes


def loaded(options, kind, variant, folder):
    """A target that knows the members and has told the flooder all its news."""
    key = {"key": packets.KEY} if variant == "sealed" else {}
    preload, pings = os.path.join(folder, "preload"), os.path.join(folder, "pings")
    packets.corpus(options, preload, kind="alive", members=options.members, per=10, inc=10, sync=1, **key)
    packets.corpus(options, pings, kind="ping", count=4000, **key)
    target = kind(options, variant)
    target.empty = common.memory(target.process.pid)
    packets.flood(options, target, preload, 1, 1, 1500, 4)
    packets.flood(options, target, pings, 1, 8)
    time.sleep(0.3)
    target.loaded = common.memory(target.process.pid)
    target.first_status = target.status()
    return target


def exchange(initiator, target):
    pids = (initiator.process.pid, target.process.pid)
    cpu = [common.cpu_seconds(pid) for pid in pids]
    said = initiator.ask("join " + target.ip)
    time.sleep(TARGET_PATIENCE)
    cpu = [common.cpu_seconds(pid) - before for pid, before in zip(pids, cpu)]
    return {"initiator_s": cpu[0], "target_s": cpu[1], "both_s": sum(cpu), "wall_s": said["wall_s"],
            "bytes_in": said["bytes_in"], "bytes_out": said["bytes_out"], "members": said["members"]}


def run(options, variant, folder):
    sides = [(loaded(options, packets.Memberlist, variant, folder), MemberlistJoiner),
             (loaded(options, packets.Bruit, variant, folder), BruitJoiner)]
    rows = {target.name: {"join": [], "sync": []} for target, _ in sides}
    for rep in range(options.reps):
        for target, joiner in sides:
            initiator = joiner(options, variant, 10 + rep)
            os.sched_setaffinity(initiator.process.pid, {common.cores()[1]})
            for what in ("join", "sync"):
                rows[target.name][what].append(exchange(initiator, target))
            initiator.stop()
    out = {"variant": variant, "members": options.members, "libraries": {}}
    for target, _ in sides:
        of = {what: dict({key: figure([row[key] for row in rows[target.name][what]])
                          for key in ("initiator_s", "target_s", "both_s", "wall_s")},
                         members=rows[target.name][what][-1]["members"],
                         bytes_in=rows[target.name]["join"][-1]["bytes_in"])
              for what in ("join", "sync")}
        known = target.first_status["members"]
        of["bytes_a_member"] = 1024 * (target.loaded["private"] - target.empty["private"]) / known
        of["known"] = known
        out["libraries"][target.name] = of
        target.stop()
        progress("%-6s %-10s join %5.2f ms, sync %5.2f ms of both sides (%.2f-%.2f); %d known, %.0f bytes a member" % (
            variant, target.name, 1e3 * of["join"]["both_s"]["median"], 1e3 * of["sync"]["both_s"]["median"],
            1e3 * of["sync"]["both_s"]["min"], 1e3 * of["sync"]["both_s"]["max"], known, of["bytes_a_member"]))
    return out


def main():
    parser = common.paths(argparse.ArgumentParser(description=__doc__,
                                                  formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--members", type=int, default=10000)
    parser.add_argument("--variants", default="nocomp,plain,sealed", help="plain: with compression, as is the default")
    parser.add_argument("--reps", type=int, default=9)
    options = parser.parse_args()
    if options.quick:
        options.reps = 2
    with tempfile.TemporaryDirectory() as folder:
        cases = [run(options, variant, folder) for variant in options.variants.split(",")]
    common.save(options.out, "pushpull", {"cases": cases}, "bench/pushpull.py --members %d" % options.members)


if __name__ == "__main__":
    main()
