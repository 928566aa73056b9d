#!/usr/bin/env python3
"""A user event among agents: how long until everybody has it, how many miss it, and what it costs in packets.

Every agent streams user events over RPC to this one process; an event is sent through the RPC of an agent drawn by lot,
at a random phase of everybody's gossip interval. Its time runs from before the request until the last agent's record
has been read, so it includes this process's own scheduling. Packets are counted in a second pass, less what the same
cluster sends at rest, since the tap costs CPU.

    bench/events.py --n 50 --events 200 --serf-events 22
"""
import argparse
import random
import selectors
import statistics
import struct
import sys
import time

import agents
import cluster
import common
from common import figure, now, progress

LATE = 0.250  # s: at worst, without loss, is what is asked for at 50 agents
GIVE_UP = 45.0  # s: Serf's periodic exchange comes every 30 s


class Listeners:
    """A stream of user events from each agent."""

    def __init__(self, members):
        self.selector = selectors.DefaultSelector()
        self.rpcs = []
        for agent in members:
            rpc = agents.Rpc(agent.rpc_address, 60)
            rpc.call("stream", {"Type": "user"}, has_body=False)
            rpc.socket.setblocking(False)
            self.selector.register(rpc.socket, selectors.EVENT_READ, (agent.name, rpc))
            self.rpcs.append(rpc)
        self.heard = {}  # event's name -> {agent's name: (when, Lamport time)}
        self.twice = 0

    def close(self):
        for rpc in self.rpcs:
            rpc.close()
        self.selector.close()

    def _take(self, name, rpc, at):
        try:
            rpc.unread += rpc.socket.recv(65536)
        except BlockingIOError:
            return
        while True:
            try:
                head, used = agents.msgpack.unpack(rpc.unread)
                body, more = agents.msgpack.unpack(rpc.unread[used:])
            except agents.msgpack.Incomplete:
                return
            rpc.unread = rpc.unread[used + more:]
            by = self.heard.setdefault(_text(body["Name"]), {})
            self.twice += name in by
            by.setdefault(name, (at, body["LTime"]))

    def wait(self, event, count, timeout):
        """Reads until `count` agents have `event`, or the time is up: [(when, Lamport time)] of those that have."""
        end = now() + timeout
        while len(self.heard.get(event, ())) < count and now() < end:
            for key, _ in self.selector.select(max(0.0, min(1.0, end - now()))):
                self._take(*key.data, now())
        return list(self.heard.get(event, {}).values())


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def send(rng, senders, event):
    rpc = rng.choice(senders)
    begun = now()
    rpc.call("event", {"Name": event, "Payload": b"x" * 20, "Coalesce": False}, has_body=False)
    return begun


def timed(rng, senders, listeners, count):
    """`count` events one after the other: a row for each."""
    rows = []
    for i in range(count):
        event = "t%d" % i
        begun = send(rng, senders, event)
        heard = listeners.wait(event, len(senders), GIVE_UP)
        rows.append({"all_s": max(at for at, _ in heard) - begun if len(heard) == len(senders) else None,
                     "half_s": sorted(at for at, _ in heard)[len(heard) // 2] - begun if heard else None,
                     "heard": len(heard), "times": len({t for _, t in heard})})
        time.sleep(rng.uniform(0.3, 0.5))
    return rows


def packets(rng, network, senders, listeners, count, rest_seconds):
    """Packets and bytes that one event costs beyond rest, or {} without root."""
    try:
        tap = common.Tap(network, agents.RPC_PORT)
    except PermissionError:
        return {}
    rest = tap.run(rest_seconds)
    first, begun = struct.unpack_from("3Q", tap.counts, 0), now()
    for i in range(count):
        send(rng, senders, "p%d" % i)
        listeners.wait("p%d" % i, len(senders), 2.0)
        time.sleep(2.0)
    last, passed = struct.unpack_from("3Q", tap.counts, 0), now() - begun
    tap.close()
    names = ("udp", "udp_bytes", "tcp_bytes")
    return {key: (b - a - rest[key] * passed) / count for key, a, b in zip(names, first, last)}


def measure(kind, options, count, rng):
    group = cluster.Cluster(kind, options.n)
    group.cold()
    time.sleep(options.settle)
    listeners = Listeners(group.agents)
    senders = [agents.Rpc(agent.rpc_address, 60) for agent in group.agents]
    busy, begun = common.machine_busy(), now()
    rows = timed(rng, senders, listeners, count)
    busy = (common.machine_busy() - busy) / (now() - begun)
    cost = packets(rng, kind.network, senders, listeners, options.packet_events, options.rest_seconds)
    for rpc in senders:
        rpc.close()
    listeners.close()
    group.stop()
    times = [r["all_s"] for r in rows if r["all_s"] is not None]
    return {"all_s": figure(times), "half_s": figure([r["half_s"] for r in rows]), "events": len(rows),
            "never": sum(1 for r in rows if r["all_s"] is None), "late": sum(1 for t in times if t > LATE),
            "p99_s": sorted(times)[max(0, -(-99 * len(times) // 100) - 1)] if times else None,
            "twice": listeners.twice, "times_differ": sum(1 for r in rows if r["times"] > 1),
            "busy_cores": busy, "packets": cost, "mean_s": statistics.mean(times) if times else None}


def main():
    parser = common.paths(argparse.ArgumentParser(description=__doc__,
                                                  formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("--kinds", default="serf,bruit,mixed")
    parser.add_argument("--serf", default="serf", help="the program serf")
    parser.add_argument("--n", type=int, default=50, help="agents")
    parser.add_argument("--events", type=int, default=200, help="of bruit's and the mixed cluster")
    parser.add_argument("--serf-events", type=int, default=22, help="of Serf's, which now and then take half a minute")
    parser.add_argument("--packet-events", type=int, default=10, help="whose packets are counted")
    parser.add_argument("--rest-seconds", type=float, default=10, help="counted at rest before")
    parser.add_argument("--settle", type=float, default=10)
    options = parser.parse_args()
    if options.quick:
        options.events, options.serf_events, options.packet_events = 20, 5, 3
        options.rest_seconds, options.settle = 3, 3
    common.allow_files(4096)
    programs = {"serf": options.serf, "bruit": options.build + "/bruit"}
    out = {}
    for name in options.kinds.split(","):
        count = options.serf_events if name == "serf" else options.events
        out[name] = measure(agents.Kind(name, programs), options, count, random.Random(options.n))
        row = out[name]
        progress("events %d %-5s: %.0f ms median, %.0f ms at worst of %d, %d never; %s packets an event" % (
            options.n, name, 1e3 * row["all_s"].get("median", 0), 1e3 * row["all_s"].get("max", 0), row["events"],
            row["never"], "%.0f" % row["packets"]["udp"] if row["packets"] else "uncounted"))
    common.save(options.out, "events-%d" % options.n, {"n": options.n, "kinds": out},
                "bench/events.py --n %d" % options.n)


if __name__ == "__main__":
    sys.exit(main())
