"""Agents as processes: how to start one, ask it over RPC, and read what it logs.

Serf's agent and bruit's take the same flags, speak the same RPC and log the same words (`EventMemberJoin: NAME`,
`EventMemberFailed: NAME`, `Suspect NAME has failed`, `Refuting a suspect message`), so a kind of agent is a program and
a 127.x network of its own. Times are stamped right after poll() returned, so they include this process's own
scheduling delay: below a millisecond on a quiet machine.
"""
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

import common
from common import now

sys.path.insert(0, os.path.join(common.HERE, "..", "tests", "interop"))
import msgpack  # noqa: E402  the one that the interop tests speak RPC with

GOSSIP_PORT = 7946
RPC_PORT = 7373

LOG = [(re.compile(r"EventMemberJoin: (\S+)"), "join"),
       (re.compile(r"EventMemberFailed: (\S+)"), "failed"),
       (re.compile(r"EventMemberLeave: (\S+)"), "leave"),
       (re.compile(r"Suspect (\S+) has failed"), "suspect"),
       (re.compile(r"Refuting a (suspect|dead) message"), "refute")]


class Rpc:
    """A blocking client of Serf's RPC."""

    def __init__(self, address, timeout=30):
        self.socket = socket.create_connection(address, timeout)
        self.unread = b""
        self.sequence = 0
        self.call("handshake", {"Version": 1}, has_body=False)

    def read(self):
        while True:
            try:
                value, used = msgpack.unpack(self.unread)
                self.unread = self.unread[used:]
                return value
            except msgpack.Incomplete:
                more = self.socket.recv(65536)
                if not more:
                    raise ConnectionError("the agent closed the connection")
                self.unread += more

    def send(self, command, request=None):
        self.sequence += 1
        out = msgpack.pack({"Command": command, "Seq": self.sequence})
        self.socket.sendall(out + (msgpack.pack(request) if request is not None else b""))

    def call(self, command, request=None, has_body=True):
        self.send(command, request)
        head = self.read()
        if head.get("Error"):
            raise RuntimeError("%s: %s" % (command, head["Error"]))
        return self.read() if has_body else None

    def close(self):
        self.socket.close()


class Agent:
    def __init__(self, program, network, number):
        self.program = program
        self.name = "n%03d" % number
        self.ip = "127.%d.%d.%d" % (network, number // 250, number % 250 + 1)
        self.address = "%s:%d" % (self.ip, GOSSIP_PORT)
        self.rpc_address = (self.ip, RPC_PORT)
        self.process = None
        self.is_paused = False

    def start(self, join=None):
        argv = [self.program, "agent", "-node=" + self.name, "-bind=" + self.address,
                "-rpc-addr=%s:%d" % self.rpc_address, "-log-level=info"]
        if join is not None:
            argv.append("-join=" + join.address)
        self.process = common.spawn(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)

    def wait_ready(self, timeout=30):
        end = now() + timeout
        while now() < end:
            try:
                Rpc(self.rpc_address, 5).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise RuntimeError("%s ended with %s" % (self.name, self.process.returncode))
                time.sleep(0.02)
        raise TimeoutError("%s does not listen" % self.name)

    def alive_count(self):
        rpc = Rpc(self.rpc_address)
        members = rpc.call("members")["Members"]
        rpc.close()
        return sum(1 for m in members if m["Status"] == "alive")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.is_paused = True

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.is_paused = False

    def kill(self):
        """SIGKILL; returns when."""
        self.process.kill()
        at = now()
        self.process.wait()
        return at


class Kind:
    """serf, bruit, or both by turns in one cluster; node 0 is then Serf's."""
    NETWORKS = {"serf": 77, "bruit": 78, "mixed": 76}

    def __init__(self, name, programs):
        self.name = name
        self.network = self.NETWORKS[name]
        self.programs = [programs["serf"], programs["bruit"]] if name == "mixed" else [programs[name]]

    def agents(self, count):
        return [Agent(self.programs[i % len(self.programs)], self.network, i) for i in range(count)]


class Logs(threading.Thread):
    """Reads every agent's log. Each line that reports something becomes (time, who says it, what, about whom)."""

    def __init__(self):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.changed = threading.Condition()
        self.seen = []
        self.new = []
        wake_read, self.wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        self.selector.register(wake_read, selectors.EVENT_READ, None)
        self.is_over = False
        self.start()

    def add(self, agent):
        self.new.append(agent)
        os.write(self.wake_write, b"x")

    def stop(self):
        self.is_over = True
        os.write(self.wake_write, b"x")
        self.join(5)
        self.selector.close()
        os.close(self.wake_write)

    def run(self):
        unread = {}
        while not self.is_over:
            ready = self.selector.select(1.0)
            at = now()
            found = []
            for key, _ in ready:
                if key.data is None:
                    os.read(key.fd, 4096)
                else:
                    self._read(key, at, unread, found)
            while self.new:
                agent = self.new.pop(0)
                unread[agent.process.stdout.fileno()] = b""
                self.selector.register(agent.process.stdout, selectors.EVENT_READ, agent)
            if found:
                with self.changed:
                    self.seen.extend(found)
                    self.changed.notify_all()

    def _read(self, key, at, unread, found):
        try:
            bytes_ = os.read(key.fd, 65536)
        except BlockingIOError:
            return
        except OSError:
            bytes_ = b""
        if not bytes_:
            self.selector.unregister(key.fileobj)
            return
        *lines, unread[key.fd] = (unread[key.fd] + bytes_).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            for pattern, what in LOG:
                match = pattern.search(text)
                if match:
                    found.append((at, key.data.name, what, match.group(1)))
                    break

    def mark(self):
        with self.changed:
            return len(self.seen)

    def since(self, mark):
        with self.changed:
            return self.seen[mark:]

    def wait(self, mark, is_done, timeout):
        """Shows `is_done` each report after `mark` until it says yes, which is returned."""
        end = now() + timeout
        with self.changed:
            while True:
                while mark < len(self.seen):
                    mark += 1
                    if is_done(self.seen[mark - 1]):
                        return True
                left = end - now()
                if left <= 0:
                    return False
                self.changed.wait(min(left, 1.0))
