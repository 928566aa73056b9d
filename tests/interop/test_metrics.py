"""Metrics of both kinds, side by side: what SIGUSR1 shows, and what statsd is sent, of the same events."""
import json
import os
import re
import signal
import socket
import tempfile

from support import Failure, hold, interop, until

# What happens to an agent with two others, an event and a query in its first seconds, as either kind names it.
COUNTED = {"serf.member.join": 2, "serf.events": 1, "serf.events.dep_loy": 1, "serf.queries": 1, "serf.queries.up": 1}


class Statsd:
    """Somebody who collects metrics at a port of this machine."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.lines = []

    @property
    def address(self):
        return "127.0.0.1:%d" % self.socket.getsockname()[1]

    def read(self):
        while True:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return self.lines
            if len(data) > 1432 or not data.endswith(b"\n"):
                raise Failure("a datagram of %d bytes that ends in %r" % (len(data), data[-20:]))
            self.lines += data.decode().splitlines()

    def sum_of(self, name):
        values = [re.match(re.escape("serf-agent." + name) + r":([0-9.]+)\|c$", line) for line in self.read()]
        return sum(float(match.group(1)) for match in values if match)


def tell_and_ask(agent):
    agent.rpc().call("event", {"Name": "dep loy", "Payload": b"x", "Coalesce": False})
    agent.rpc().call("query", {"Name": "up", "Payload": b"", "RequestAck": False})
    agent.drop_rpc()    # the answers to the query are of no interest


# Who: one of each kind, both send their metrics to a collector, and both are asked for the last minute. The same
# happened to both, so both count the same, in the same words.
@interop(seconds_max=90)
def test_both_kinds_count_the_same(lab):
    collectors = {}
    with tempfile.TemporaryDirectory() as folder:
        first = None
        for kind in ("real", "ours"):
            collectors[kind] = Statsd()
            path = os.path.join(folder, kind + ".json")
            with open(path, "w", encoding="ascii") as file:
                json.dump({"statsd_addr": collectors[kind].address}, file)
            first = first or lab.agent(kind, flags=["-config-file=" + path])
            if kind == "ours":
                lab.agent(kind, flags=["-config-file=" + path], join=first)
        lab.agree(what="together")
        tell_and_ask(first)
        for name, count in COUNTED.items():
            for kind, collector in collectors.items():
                until(lambda: collector.sum_of(name) >= count, 10, "%s of %s" % (name, kind))
        hold(11, lambda: None)
        for agent in lab.agents:
            agent.process.send_signal(signal.SIGUSR1)
    for agent in lab.agents:
        for name, count in COUNTED.items():
            expect_told(agent, name, count)
            if collectors[agent.kind].sum_of(name) != count:
                raise Failure("%s sent %s as %s" % (agent, name, collectors[agent.kind].sum_of(name)))


def expect_told(agent, name, count):
    pattern = r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d0 \S+ \S+\]\[C\] 'serf-agent\.%s': Count: (\d+) .*Sum: (\d+)\.000 " \
              r"LastUpdated: \d" % re.escape(name)

    def total():
        found = [re.match(pattern, line) for _, line in list(agent.lines)]
        return sum(int(match.group(2)) for match in found if match)
    until(lambda: total() == count, 5, lambda: "%s told %s as %d" % (agent, name, total()))
