#!/usr/bin/env python3
"""What one packet costs its receiver over sockets: memberlist, bruit, and a bare echo that looks into nothing.

    ping    answered with an ack; plain, sealed, and without compression (memberlist tries to compress each ack)
    known   20 alive messages about members that are known to be newer; plain, compressed, sealed, both
    new     20 alive messages about members never heard of, with gossip on; plain, compressed, sealed

All receivers get the same packets (go/mkcorpus.go writes them) from the same flooder (flood.c), by turns, on one core
of their own; CPU is the receiver's, user and system. Pings come back to back, 32 outstanding. `known` and `new` are
paced alike for all: at the rate at which memberlist just does not overflow its own queue of 1024 messages, in bursts
of 16 packets with a ping behind each; what a ping costs is taken off. Beside it stands each receiver's own limit, flat
out.

    bench/packets.py                    receivers memberlist, bruit, echo; with --agents the whole agents as well
"""
import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time

import agents
import common
from common import figure, progress

KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
PORT = 7946
SOURCE = ("127.79.200.1", 9000)
PER_PACKET = 20
BURST = {"ping": 32, "known": 16, "new": 8}
CASES = {"ping": ["plain", "sealed", "nocomp"], "known": ["plain", "comp", "sealed", "comp+seal"],
         "new": ["plain", "comp", "sealed"]}


class Receiver:
    """One process that is flooded. All of them are called `target`, each on an address of its own."""
    number = 0

    def __init__(self, options, variant, gossips=False):
        self.options, self.variant, self.gossips = options, variant, gossips
        self.sealed = "seal" in variant
        self.ip = "127.79.0.%d" % self.number
        argv, pipes = self.command()
        self.process = common.spawn(argv, common.cores()[0], env=dict(os.environ, GOMAXPROCS="1"), **pipes)
        end = common.now() + 20
        while common.udp_socket(self.ip, PORT) is None:
            if common.now() > end or self.process.poll() is not None:
                sys.exit("%s does not listen on %s" % (self.name, self.ip))
            time.sleep(0.02)
        self.wait_ready()

    def wait_ready(self):
        pass

    def status(self):
        return {}

    def stop(self):
        common.end(self.process)


class Library(Receiver):
    """Programs that answer a line with their counters."""
    PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}

    def wait_ready(self):
        self.process.stdout.readline()

    def ask(self, line=""):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def status(self):
        return self.ask()


class Memberlist(Library):
    name, number = "memberlist", 1

    def command(self):
        argv = [common.tool(self.options, "mlnode"), "-name=target", "-addr=" + self.ip,
                "-compress=%s" % ("false" if self.variant == "nocomp" else "true")]
        argv += [] if self.gossips else ["-gossip=0", "-rmult=0"]
        return argv + (["-key=" + KEY] if self.sealed else []), self.PIPES


class Bruit(Library):
    name, number = "bruit", 2

    def command(self):
        argv = [common.tool(self.options, "node"), "target", self.ip]
        argv += ["gossip=yes"] if self.gossips else []
        argv += ["compress=no"] if self.variant == "nocomp" else []
        return argv + (["key=" + KEY] if self.sealed else []), self.PIPES


class Echo(Receiver):
    name, number = "echo", 3

    def command(self):
        return [common.tool(self.options, "echo"), self.ip, str(PORT)], {"stdout": subprocess.DEVNULL}


class SerfAgent(Receiver):
    """A whole agent: it probes the made-up members, too, and tells others what it makes of them."""
    name, number = "serf agent", 4

    def command(self):
        argv = [self.program(), "agent", "-node=target", "-bind=%s:%d" % (self.ip, PORT), "-log-level=err",
                "-rpc-addr=%s:%d" % (self.ip, agents.RPC_PORT)]
        if self.sealed:
            argv.append("-encrypt=" + base64.b64encode(bytes.fromhex(KEY)).decode())
        return argv, {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def program(self):
        return self.options.serf

    def wait_ready(self):
        time.sleep(0.3)


class BruitAgent(SerfAgent):
    name, number = "bruit agent", 5

    def program(self):
        return self.options.build + "/bruit"


# -------------------------------------------------------------------------------------------------------- the flood


def corpus(options, path, **arguments):
    argv = [common.tool(options, "mkcorpus"), "-o=" + path, "-source=" + SOURCE[0], "-port=%d" % SOURCE[1]]
    argv += ["-%s=%s" % (key, str(value).lower()) for key, value in arguments.items()]
    return json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)


def flood(options, receiver, path, loops, window, rate=0.0, burst=1):
    argv = [common.tool(options, "flood"), path, receiver.ip, str(PORT), SOURCE[0], str(SOURCE[1]), str(loops),
            str(window)] + (["%f" % rate, str(burst)] if rate else [])
    process = common.spawn(argv, common.cores()[1], stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    common.end(process)
    return json.loads(out)


def measured(options, receiver, path, loops, window, rate=0.0, burst=1, rest=0.2):
    """One flood: what was sent, the CPU it took, what got lost and where."""
    before, drops = receiver.status(), common.udp_socket(receiver.ip, PORT)[1]
    cpu, begun = common.cpu_seconds(receiver.process.pid), common.now()
    sent = flood(options, receiver, path, loops, window, rate, burst)
    took = common.now() - begun
    time.sleep(rest)
    cpu = common.cpu_seconds(receiver.process.pid) - cpu
    after = receiver.status()
    grown = {key: after[key] - before[key] for key in after}
    return {"flood": sent, "cpu_s": cpu, "took_s": took,
            "socket_drops": common.udp_socket(receiver.ip, PORT)[1] - drops,
            "queue_full": grown.get("queue_full", 0), "members": after.get("members"),
            "allocations": grown.get("allocations"), "receive_calls": grown.get("receive_calls"),
            "wakeups": grown.get("wakeups")}


def lost(row):
    return row["socket_drops"] + row["queue_full"] > 0


class Case:
    """One case and variant, all receivers."""

    def __init__(self, options, kinds, case, variant, folder):
        self.options, self.kinds, self.case, self.variant = options, kinds, case, variant
        key = {"key": KEY} if "seal" in variant else {}
        shape = dict(key, compress="comp" in variant and variant != "nocomp", inc=5, per=PER_PACKET)
        self.pings, self.preload, self.path = (os.path.join(folder, name) for name in ("pings", "preload", "packets"))
        corpus(options, self.pings, kind="ping", count=2000, **key)
        corpus(options, self.preload, kind="alive", members=options.known, per=10, inc=10, sync=1, **key)
        if case == "ping":
            self.packet = corpus(options, self.path, kind="ping", count=2000, **key)
        elif case == "known":
            self.packet = corpus(options, self.path, kind="alive", members=options.known, sync=16, **shape)
        else:
            self.packet = corpus(options, self.path, kind="alive", members=options.new, sync=2, **shape)
        self.window = 32 if case == "ping" else 2
        self.burst = BURST[case]
        self.rate = 0.0

    def fresh(self, kind):
        """A receiver that is warm, knows what it has to know, and has told what it had to tell."""
        receiver = kind(self.options, self.variant, gossips=self.case == "new")
        if self.case == "known":
            flood(self.options, receiver, self.preload, 1, 1, 2000, 4)
        flood(self.options, receiver, self.pings, 2 if self.case != "new" else 1, 16)
        return receiver

    def flood(self, receiver, loops, paced=True):
        return measured(self.options, receiver, self.path, loops, self.window, self.rate if paced else 0.0, self.burst)

    def loops(self, rate):
        return max(1, int(self.options.seconds * rate / self.packet["packets"]))

    def run(self):
        rows = {kind.name: [] for kind in self.kinds}
        limits = {}
        if self.case == "new":
            self._run_new(rows)
        else:
            self._run_steady(rows, limits)
        return {"case": self.case, "variant": self.variant, "packet_bytes": self.packet["avg"], "rate": self.rate,
                "limits": limits, "rows": rows,
                "allocations": sum(row["allocations"] for row in rows[Bruit.name]),
                "lost": {name: sum(map(lost, of)) for name, of in rows.items()}}

    def _run_steady(self, rows, limits):
        receivers = [self.fresh(kind) for kind in self.kinds]
        for receiver in receivers:
            first = self.flood(receiver, 1, paced=False)
            limits[receiver.name] = self._limit(receiver, first)
        if self.case != "ping":
            self._find_rate(receivers[0], limits)
        for _ in range(self.options.reps):
            for receiver in receivers:
                rate = self.rate if self.rate else limits[receiver.name]["packets_s"]
                rows[receiver.name].append(self.flood(receiver, self.loops(rate)))
        for receiver in receivers:
            receiver.stop()

    def _limit(self, receiver, first):
        """Flat out for half a second: what gets through, and what is lost on the way."""
        loops = max(1, int(0.5 / max(first["flood"]["secs"], 1e-4)))
        row = self.flood(receiver, loops, paced=False)
        messages = row["flood"]["data"] * PER_PACKET
        return {"packets_s": row["flood"]["sent"] / row["flood"]["secs"],
                "busy": row["cpu_s"] / row["took_s"], "socket_drops": row["socket_drops"],
                "messages_dropped": row["queue_full"] / messages if messages else 0}

    def _find_rate(self, receiver, limits):
        """The rate at which the first receiver, the slowest, loses nothing."""
        self.rate = 0.8 * limits[receiver.name]["packets_s"]
        for _ in range(14):
            if not lost(self.flood(receiver, max(1, int(0.6 * self.rate / self.packet["packets"])))):
                return
            self.rate *= 0.8

    def _run_new(self, rows):
        """Members are new only once: each time a fresh receiver."""
        self.rate = self.options.new_rate
        for _ in range(self.options.reps):
            for kind in self.kinds:
                for _ in range(6):
                    receiver = self.fresh(kind)
                    row = self.flood(receiver, 1)
                    receiver.stop()
                    if not lost(row):
                        break
                    self.rate *= 0.8
                rows[kind.name].append(row)


def net_us(case, row, ping_us):
    """CPU per packet, without what the pings in between cost."""
    sent = row["flood"]
    if case == "ping":
        return row["cpu_s"] * 1e6 / sent["sent"]
    return (row["cpu_s"] * 1e6 - sent["asked"] * ping_us) / sent["data"]


def main():
    parser = common.paths(argparse.ArgumentParser(description=__doc__,
                                                  formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.8, help="each repetition takes about so long")
    parser.add_argument("--cases", default="ping,known,new")
    parser.add_argument("--variants", help="of plain, comp, sealed, comp+seal, nocomp; default: all that make sense")
    parser.add_argument("--known", type=int, default=1000, help="members known")
    parser.add_argument("--new", type=int, default=10000, help="members never heard of")
    parser.add_argument("--new-rate", type=float, default=2800, help="packets a second about new members")
    parser.add_argument("--agents", action="store_true", help="whole agents as well, for ping and known, plain")
    parser.add_argument("--serf", default="serf", help="the program serf")
    options = parser.parse_args()
    if options.quick:
        options.reps, options.seconds = 2, 0.15
    results, ping_us = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for case in options.cases.split(","):
            for variant in CASES[case]:
                if options.variants and variant not in options.variants.split(","):
                    continue
                kinds = [Memberlist, Bruit, Echo]
                if options.agents and case != "new" and variant == "plain":
                    kinds += [SerfAgent, BruitAgent]
                result = Case(options, kinds, case, variant, folder).run()
                result["us"] = {}
                for name, rows in result["rows"].items():
                    base = ping_us.get((name, "sealed" if "seal" in variant else "plain"), 0)
                    result["us"][name] = figure([net_us(case, row, base) for row in rows])
                    if case == "ping":
                        ping_us[name, variant] = result["us"][name]["median"]
                results.append(result)
                progress("%-5s %-9s %5.0f B  %s" % (case, variant, result["packet_bytes"], "  ".join(
                    "%s %.2f (%.2f-%.2f)" % (name, us["median"], us["min"], us["max"])
                    for name, us in result["us"].items())))
    command = "bench/packets.py" + (" --agents" if options.agents else "")
    common.save(options.out, "packets", {"cases": results}, command)


if __name__ == "__main__":
    main()
