"""What every interop test stands on: agents as child processes, their RPC, their logs, and waiting with a deadline.

A test gets a Lab. The Lab owns a block of addresses nobody else uses, starts agents of both kinds ("real" is the serf
program, "ours" is bruit) and knows what each of them should be seen as; `lab.agree()` then asks every running agent of
both kinds over RPC until all of them say so. Nothing here sleeps in the hope that something has happened by then: one
waits for a condition until a deadline, or holds a condition for a time.

Each test runs in a process of its own (run.py), whose children die with it (PR_SET_PDEATHSIG).
"""
import base64
import contextlib
import ctypes
import glob
import ipaddress
import os
import random
import re
import selectors
import signal
import socket
import subprocess
import threading
import time

import msgpack

GOSSIP_PORT = 7946
RPC_PORT = 7373
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

# Multiplies every deadline: a slow machine (sanitizers, a busy CI host) sets it above 1.
PATIENCE = float(os.environ.get("INTEROP_PATIENCE", "1"))

# What gossip has lost, only the periodic sync of a real agent repairs: every 30 s with a peer drawn by lot, so that one
# missed join took up to 87 s. Tests about something else than speed wait this long for agreement.
SYNC_SECONDS = 100

now = time.monotonic


class Failure(AssertionError):
    """The thing under test did not hold."""


class Skip(Exception):
    """This machine or this build cannot run the test; the text says why."""


# ------------------------------------------------------------------------------------------------- the test registry

TESTS = []


class Test:
    def __init__(self, function, case, arguments, options):
        self.area = function.__module__[len("test_"):]
        self.name = "%s: %s" % (self.area, function.__name__) + ("[%s]" % case if case else "")
        self.function = function
        self.arguments = arguments
        long = options.get("long", False)
        self.is_long = long if isinstance(long, bool) else case in long
        self.is_alone = options.get("alone", False)
        self.is_ours_only = options.get("ours_only", False)
        self.needs_serf = options.get("needs_serf", True)
        self.talk = options.get("talk", [])
        self.seconds_max = options.get("seconds_max", 300)


def interop(cases=None, **options):
    """Registers a test, once per case. A case's value is the dict of keyword arguments it is called with.

    long: only with --long; or the cases that are. alone: never beside another test.
    ours_only: says nothing when serf plays our part.
    needs_serf=False: runs without the real program. seconds_max: killed after that.
    talk: what real agents log in this test at [WARN] and [ERR] besides USUAL_TALK, as regular expressions.
    """
    def register(function):
        for case, arguments in (cases or {None: {}}).items():
            TESTS.append(Test(function, case, arguments, options))
        return function
    return register


# ------------------------------------------------------------------------------------------------------------ waiting

def until(question, seconds, what):
    """Asks until the answer is true, and returns it. `what` says what was awaited; callable for a late text."""
    deadline = now() + seconds * PATIENCE
    while True:
        answer = question()
        if answer:
            return answer
        if now() > deadline:
            raise Failure("not within %.0f s: %s" % (seconds * PATIENCE, what() if callable(what) else what))
        time.sleep(0.05)


def hold(seconds, check):
    """Lets time pass while `check` (which raises when something is wrong) goes on holding."""
    end = now() + seconds
    while now() < end:
        check()
        time.sleep(0.2)
    check()


def step(text):
    """Marks in the test's output how far the story has come; shown when it fails or with --verbose."""
    print("%7.2f s  %s" % (now() - step.start, text), flush=True)


step.start = now()


# ---------------------------------------------------------------------------------------------------------------- RPC

class RpcError(Exception):
    """The agent answered with an error text."""


class Rpc:
    """One blocking connection to an agent's RPC port (Serf's protocol, version 1)."""

    def __init__(self, address, namespace=None, timeout=15.0):
        with inside(namespace):
            self.socket = socket.create_connection(address, timeout)
        self.buffer = b""
        self.sequence = 0
        self.call("handshake", {"Version": 1})

    def send(self, command, body=None):
        self.sequence += 1
        request = msgpack.pack({"Command": command, "Seq": self.sequence})
        self.socket.sendall(request + (msgpack.pack(body) if body is not None else b""))
        return self.sequence

    def read(self):
        while True:
            try:
                value, used = msgpack.unpack(self.buffer)
                self.buffer = self.buffer[used:]
                return value
            except msgpack.Incomplete:
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionError("the agent closed the RPC connection")
                self.buffer += data

    def call(self, command, body=None, has_answer=False):
        sequence = self.send(command, body)
        header = self.read()
        if header.get("Seq") != sequence:
            raise Failure("%s was answered with sequence %r, not %d" % (command, header, sequence))
        answer = self.read() if has_answer else None
        if header["Error"]:
            raise RpcError(header["Error"])
        return answer

    def close(self):
        self.socket.close()


class Member:
    """One row of an agent's member list."""

    def __init__(self, row):
        self.name = row["Name"]
        self.status = row["Status"]
        self.tags = row["Tags"] or {}
        self.port = row["Port"]
        self.address_bytes = row["Addr"]
        self.address = plain_address(row["Addr"])
        self.memberlist_versions = row["ProtocolMin"], row["ProtocolMax"], row["ProtocolCur"]
        self.serf_versions = row["DelegateMin"], row["DelegateMax"], row["DelegateCur"]


def plain_address(raw):
    """IPv4 travels in 4 bytes or, from agents bound to 0.0.0.0, in the 16-byte mapped form: both are one address."""
    if len(raw) not in (4, 16):
        raise Failure("an address of %d bytes in a member list: %r" % (len(raw), raw))
    address = ipaddress.ip_address(raw)
    return str(getattr(address, "ipv4_mapped", None) or address)


# ----------------------------------------------------------------------------------------------- logs and event streams

LOG_RULES = [(re.compile(rule), kind) for rule, kind in (
    (r"EventMemberJoin: (\S+)", "join"),
    (r"EventMemberFailed: (\S+)", "failed"),
    (r"EventMemberLeave(?: \(forced\))?: (\S+)", "leave"),
    (r"EventMemberUpdate: (\S+)", "update"),
    (r"EventMemberReap(?: \(forced\))?: (\S+)", "reap"),
    (r"Suspect (\S+) has failed", "suspect"),
    (r"Refuting an? (\S+) message", "refute"),
    (r"[Cc]onflicting address for (\S+?)\.? ", "conflict"),
    (r"[Nn]ode name conflicts? with (\S+)", "conflict-own"),
)]


# Left out where the last lines of an agent are shown: they come by the dozen and tell nothing.
IDLE_TALK = r"messageJoinType|agent: Received event|Stream connection from|^\s*$"


# What real agents log at [WARN] and [ERR] of each other when somebody dies, stops, leaves or comes back: with serf in
# our part (BRUIT=/usr/bin/serf) they say the same. Whatever else they say at these levels is a complaint about us.
USUAL_TALK = [
    r"memberlist: Failed fallback ping: .*(i/o timeout|EOF|reset by peer)",      # of a stopped or dying member
    r"memberlist: Refuting a (suspect|dead) message",       # from one who was stopped, cut off, or just restarted
    r"memberlist: Refuting an alive message",               # about itself, from its last life
    r"agent: Serf shutdown detected",                       # of one that was told to leave
    r"memberlist: Push/[Pp]ull with \S+ failed: dial tcp",  # with one who has just died
]
CONFLICT_TALK = [r"memberlist: Conflicting address for", r"serf: Name conflict for", r"serf: Node name conflicts with",
                 r"serf: minority in name conflict resolution", r"serf: Shutdown without a Leave"]
KEY_TALK = [r"memberlist: failed to receive: No installed keys could decrypt", r"memberlist: Decrypt packet failed",
            r"failed to receive: (Encryption is configured but|Remote state is encrypted and)", r"error joining"]
# From one who takes the place of one of ours at its address, until the others hear of it (docs/protocol.md).
REPLACED_TALK = [r"serf: Received message of unknown type: 17[78]$"]
LATE_TALK = [r"serf: reply for non-running query"]      # from one who was stopped when it was asked
# The areas whose tests tell stories of members. In the others real agents are sent nonsense on purpose.
STORIES = {"events", "files", "keys", "membership", "mixed", "network", "rest", "start", "state", "variants"}


class Report:
    """Something an agent said about a member: from its log ("log") or over a stream of events ("stream")."""

    def __init__(self, observer, source, kind, subject, text):
        self.time, self.observer, self.source = now(), observer, source
        self.kind, self.subject, self.text = kind, subject, text

    def __str__(self):
        return "%s (%s): %s" % (self.observer, self.source, self.text)


class Watcher(threading.Thread):
    """Reads all logs and event streams as they come, so that no pipe fills up and every report has its time."""

    def __init__(self):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.lock = threading.Lock()
        self.reports = []
        self.start()

    def add(self, source, handler):
        """Calls handler(data) with what arrives; the source is a pipe or a socket, in non-blocking mode."""
        with self.lock:
            self.selector.register(source, selectors.EVENT_READ, handler)

    def run(self):
        while True:
            with self.lock:
                ready = self.selector.select(0)
            for key, _ in ready:
                self.read(key)
            if not ready:
                time.sleep(0.01)

    def read(self, key):
        try:
            data = os.read(key.fd, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            key.data(data)
            return
        with self.lock:
            self.selector.unregister(key.fileobj)

    def report(self, observer, source, kind, subject, text):
        self.reports.append(Report(observer, source, kind, subject, text))


# ------------------------------------------------------------------------------------------------------------- agents

def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Agent:
    """One agent process: how it is started, what it was told to be, and what it has said."""

    def __init__(self, lab, kind, name, address, port, rpc_address, tags, flags, namespace, bind):
        self.lab, self.kind, self.name = lab, kind, name
        self.address, self.port, self.rpc_address = address, port, rpc_address
        self.tags, self.flags, self.namespace = dict(tags), list(flags), namespace
        self.bind = bind or self.gossip_address
        self.expected = "alive"     # how everybody should see it; None: not in the list at all
        self.never_met = set()
        self.is_paused = False
        self.process = None
        self.lines = []
        self.rpc_connection = None

    def __str__(self):
        return "%s (%s)" % (self.name, self.kind)

    @property
    def gossip_address(self):
        return ("[%s]:%d" if ":" in self.address else "%s:%d") % (self.address, self.port)

    @property
    def rpc_text(self):
        return ("[%s]:%d" if ":" in self.rpc_address[0] else "%s:%d") % self.rpc_address

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def argv(self, join):
        tags = ["-tag=%s=%s" % pair for pair in self.tags.items()]
        return [self.lab.binaries[self.kind], "agent", "-node=" + self.name, "-bind=" + self.bind,
                "-rpc-addr=" + self.rpc_text, "-log-level=debug"] + tags + \
            (["-join=" + join.gossip_address] if join else []) + self.flags

    def start(self, join=None, wait=True):
        """Starts the process, by default until its RPC answers."""
        def prepare():
            die_with_parent()
            if self.namespace is not None:
                enter(self.namespace)
        self.drop_rpc()
        self.process = subprocess.Popen(self.argv(join), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, preexec_fn=prepare)
        self.note("started: " + " ".join(self.process.args))
        os.set_blocking(self.process.stdout.fileno(), False)
        self.expected, self.is_paused = "alive", False
        # memberlist takes nobody into its list who is dead or left when first heard of.
        self.never_met = {other.name for other in self.lab.agents if other.expected != "alive"}
        for other in self.lab.agents:
            other.never_met.discard(self.name)
        self.lab.watcher.add(self.process.stdout, self.take_log(self.process))
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        def answers():
            if not self.is_running:
                raise Failure("%s ended with exit code %s" % (self, self.process.returncode))
            try:
                self.rpc()
                return True
            except OSError:
                return False
        until(answers, 20, "%s answers at %s" % (self, self.rpc_text))

    def take_log(self, process):
        rest = [b""]

        def take(data):
            *lines, rest[0] = (rest[0] + data).split(b"\n")
            for line in lines:
                self.take_line(line.decode("utf-8", "replace"))
        return take

    def take_line(self, line):
        self.lines.append((now(), line))
        for rule, kind in LOG_RULES:
            match = rule.search(line)
            if match:
                self.lab.watcher.report(self.name, "log", kind, match.group(1), line.strip())
                return

    def note(self, text):
        self.lines.append((now(), "--- " + text))

    def log_since(self, since, pattern):
        return [line for when, line in self.lines if when >= since and re.search(pattern, line)]

    def lines_as_real(self):
        """What it said in those of its lives in which it was the real program."""
        is_real = False
        for _, line in list(self.lines):
            if line.startswith("--- started: "):
                is_real = line.split()[2] == self.lab.binaries["real"]
            elif is_real:
                yield line

    # ---- control

    def kill(self):
        """kill -9; everybody is to see it failed."""
        self.process.kill()
        self.process.wait()
        self.note("killed with SIGKILL")
        self.expected = "failed"
        self.drop_rpc()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        until(self.is_stopped, 10, "%s is stopped" % self)
        self.note("stopped with SIGSTOP")
        self.is_paused = True

    def is_stopped(self):
        """On a busy machine other threads work on until the one that got the signal has had its turn."""
        states = []
        for path in glob.glob("/proc/%d/task/*/stat" % self.process.pid):
            with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as file:
                states.append(file.read().rpartition(")")[2].split()[0])
        return set(states) == {"T"}

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.note("continued with SIGCONT")
        self.is_paused = False

    def leave(self, how):
        """Leaves by "signal" (SIGINT) or "rpc"; everybody is to see it left. Returns the exit code."""
        self.note("told to leave by " + how)
        if how == "rpc":
            self.rpc().call("leave")
        else:
            self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(15 * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure("%s still runs 15 s after it was told to leave" % self)
        self.note("ended with exit code %d" % code)
        self.expected = "left"
        self.drop_rpc()
        return code

    # ---- questions

    def rpc(self):
        if self.rpc_connection is None:
            self.rpc_connection = Rpc(self.rpc_address, self.namespace)
        return self.rpc_connection

    def drop_rpc(self):
        if self.rpc_connection is not None:
            self.rpc_connection.close()
            self.rpc_connection = None

    def members(self):
        rows = self.rpc().call("members", has_answer=True)["Members"]
        view = {row["Name"]: Member(row) for row in rows}
        if len(view) != len(rows):
            raise Failure("%s lists a name twice: %s" % (self, sorted(row["Name"] for row in rows)))
        return view

    def stream(self, kinds="*"):
        """Follows the agent's events over RPC; they become reports of source "stream"."""
        connection = Rpc(self.rpc_address, self.namespace)
        sequence = connection.sequence + 1
        connection.call("stream", {"Type": kinds})
        connection.socket.setblocking(False)
        rest = [connection.buffer]

        def take(data):
            rest[0] += data
            while True:
                try:
                    header, used = msgpack.unpack(rest[0])
                    body, used = msgpack.unpack(rest[0], used)
                except msgpack.Incomplete:
                    return
                rest[0] = rest[0][used:]
                self.take_event(header, body, sequence)
        if rest[0]:
            take(b"")
        self.lab.watcher.add(connection.socket, take)
        self.lab.kept.append(connection)

    def take_event(self, header, body, sequence):
        wrong = header.get("Seq") != sequence or header.get("Error")
        kind = "broken-stream" if wrong else body["Event"].replace("member-", "")
        for row in body.get("Members") or [{"Name": body.get("Name", "")}]:
            self.lab.watcher.report(self.name, "stream", kind, row["Name"], "%s of %s" % (body["Event"], row["Name"]))


# ---------------------------------------------------------------------------------------------------------- addresses

class Block:
    """A range of loopback addresses, 127.81.x.1 to .250, held by a listening socket so that no other run takes it."""

    def __init__(self):
        for octet in random.sample(range(1, 255), 254):
            guard = socket.socket()
            try:
                guard.bind(("127.81.%d.254" % octet, GOSSIP_PORT))
                guard.listen(1)
            except OSError:
                guard.close()
                continue
            self.guard, self.prefix = guard, "127.81.%d." % octet
            return
        raise Skip("no free block of addresses in 127.81.0.0/16")

    def address(self, index):
        return self.prefix + str(index + 1)


def free_ports6(count):
    """Ports of ::1 that are free for UDP and TCP, below the range the kernel hands out by itself."""
    for first in random.sample(range(11000, 31000, 50), 200):
        held = []
        try:
            for port in range(first, first + count):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    probe = socket.socket(socket.AF_INET6, kind)
                    held.append(probe)
                    probe.bind(("::1", port))
            return list(range(first, first + count))
        except OSError:
            continue
        finally:
            for probe in held:
                probe.close()
    raise Skip("no free ports at ::1 (is IPv6 switched off?)")


def random_key(size):
    return base64.b64encode(os.urandom(size)).decode()


# ---------------------------------------------------------------------------------------------------------------- lab

class Lab:
    """One test's world: its agents, their addresses, and what everybody should see."""

    def __init__(self, binaries):
        self.binaries = binaries
        self.is_rehearsal = is_serf(binaries["ours"])
        self.watcher = Watcher()
        self.block = Block()
        self.ports6 = None
        self.agents = []
        self.kept = []
        self.talk = []      # what real agents may say besides, as it turned out

    def agent(self, kind, name=None, tags=None, flags=(), address=None, port=GOSSIP_PORT, rpc_address=None,
              namespace=None, bind=None, is_ipv6=False, **start):
        """Starts one agent. Without an address it gets the next one of the test's block."""
        index = len(self.agents)
        if is_ipv6:
            self.ports6 = self.ports6 or free_ports6(40)
            address, port, rpc_address = "::1", self.ports6[index], ("::1", self.ports6[index + 20])
        name = name or "%s-%d" % (kind, 1 + sum(agent.kind == kind for agent in self.agents))
        address = address or self.block.address(index)
        tags = {"kind": kind, "name": name} if tags is None else tags
        agent = Agent(self, kind, name, address, port, rpc_address or (address, RPC_PORT), tags, flags, namespace, bind)
        self.agents.append(agent)
        return agent.start(**start)

    def cluster(self, real=3, ours=3, seed="real", real_flags=(), our_flags=(), **options):
        """Starts a cluster whose first agent is of kind `seed`; the kinds take turns. Returns when all agree."""
        kinds = [seed]
        left = {"real": real, "ours": ours}
        left[seed] -= 1
        while left["real"] or left["ours"]:
            kind = max(left, key=lambda each: (left[each], each != kinds[-1]))
            left[kind] -= 1
            kinds.append(kind)
        first = None
        for kind in kinds:
            flags = our_flags if kind == "ours" else real_flags
            agent = self.agent(kind, flags=flags, join=first, **options)
            first = first or agent
        self.agree(what="all joined")
        return self.of("real"), self.of("ours")

    def of(self, kind):
        return [agent for agent in self.agents if agent.kind == kind]

    def speaking(self):
        """Those who can be asked: they run, and nobody holds them."""
        return [agent for agent in self.agents if agent.is_running and not agent.is_paused]

    # ---- agreement

    def agree(self, seconds=SYNC_SECONDS, what="agreement", among=None):
        """Waits until every running agent sees every agent as it should be: status, tags, address, and nobody else."""
        started = now()
        differences = []

        def all_agree():
            differences[:] = [text for agent in among or self.speaking() for text in self.differences(agent)]
            return not differences
        until(all_agree, seconds, lambda: what + ":\n    " + "\n    ".join(differences))
        took = now() - started
        step("%s: agreed after %.1f s" % (what, took))
        return took

    def differences(self, agent):
        """What is wrong in one agent's member list, as sentences."""
        expected = {other.name: other for other in self.agents if other.expected and other.name not in agent.never_met}
        seen = agent.members()
        wrong = ["%s does not list %s" % (agent, name) for name in expected if name not in seen]
        wrong += ["%s lists %s as %s" % (agent, name, seen[name].status) for name in seen if name not in expected]
        for name in expected.keys() & seen.keys():
            wrong += self.row_differences(agent, expected[name], seen[name])
        return wrong

    @staticmethod
    def row_differences(agent, other, row):
        wanted = {"status": other.expected, "tags": other.tags, "address": other.address, "port": other.port}
        return ["%s sees %s of %s as %r, not %r" % (agent, field, other, getattr(row, field), value)
                for field, value in wanted.items() if getattr(row, field) != value]

    # ---- reports

    def reports(self, kinds, since=0.0, about=None, by=None, source=None):
        kinds = (kinds,) if isinstance(kinds, str) else kinds
        return [report for report in list(self.watcher.reports)
                if report.kind in kinds and report.time >= since and (about is None or report.subject in about)
                and (by is None or report.observer == by) and (source is None or report.source == source)]

    def nobody_reported(self, kinds, since=0.0, except_about=()):
        """Raises when anybody said one of `kinds` about anybody but the named ones."""
        wrong = [report for report in self.reports(kinds, since) if report.subject not in except_about]
        if wrong:
            raise Failure("nobody should have said:\n    " + "\n    ".join(map(str, wrong[:12])))

    def everybody_reports(self, kind, subject, since, seconds=30):
        """Waits until each running agent's log names `subject` with `kind`."""
        def missing():
            said = {report.observer for report in self.reports(kind, since, {subject.name}, source="log")}
            return [agent.name for agent in self.speaking() if agent is not subject and agent.name not in said]
        until(lambda: not missing(), seconds,
              lambda: "%s of %s in the log of %s" % (kind, subject, ", ".join(missing())))

    def nobody_complained(self, talk):
        """Raises when a real agent has logged something at [WARN] or [ERR] that is neither usual nor of this test."""
        usual = re.compile("|".join(USUAL_TALK + list(talk) + self.talk) or "$^")
        wrong = ["%s: %s" % (agent, line.strip()) for agent in self.agents for line in agent.lines_as_real()
                 if re.search(r"\[(WARN|ERR)\]", line) and not usual.search(line)]
        if wrong:
            raise Failure("real agents should not have had to say:\n    " + "\n    ".join(wrong[:12]))

    # ---- commands

    def command(self, kind, *words, namespace=None, timeout=30):
        """Runs the command line of one kind; returns exit code, what it wrote to stdout, and to stderr."""
        done = subprocess.run([self.binaries[kind], *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout * PATIENCE,
                              preexec_fn=None if namespace is None else lambda: enter(namespace))
        return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")

    # ---- the end

    def close(self):
        for agent in self.agents:
            if agent.is_running:
                agent.process.send_signal(signal.SIGCONT)
                agent.process.kill()
                agent.process.wait()

    def last_words(self, count):
        """The newest log lines of each agent, for the reader of a failure."""
        for agent in self.agents:
            state = "runs" if agent.is_running else "ended with %s" % agent.process.returncode
            print("\n  -- %s at %s, %s, should be seen %s; its last lines:" %
                  (agent, agent.gossip_address, state, agent.expected))
            lines = [pair for pair in agent.lines if not re.search(IDLE_TALK, pair[1])]
            for when, line in lines[-count:]:
                print("  %7.2f s  %s" % (when - step.start, line))


def is_serf(program):
    """Does serf play our part? Then what is asked of ours alone is not asked."""
    return os.path.basename(os.path.realpath(program)) == "serf"


# ----------------------------------------------------------------------------------------------------------- namespaces

def enter(namespace):
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns: " + os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def inside(namespace):
    """This thread looks at the network from inside the namespace; sockets made there stay there."""
    if namespace is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    enter(namespace)
    try:
        yield
    finally:
        enter(home)
        os.close(home)


def become_root_of_own_namespace():
    """Somebody who is not root may still own a network, if the kernel lets him have a user namespace of his own."""
    uid, gid = os.geteuid(), os.getegid()
    if LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        raise Skip("no network namespaces: not root, and no user namespaces (%s)" % os.strerror(ctypes.get_errno()))
    for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % uid), ("gid_map", "0 %d 1" % gid)):
        with open("/proc/self/" + name, "w", encoding="ascii") as file:
            file.write(text)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Network:
    """Two networks, 10.81.1.0/24 and 10.81.2.0/24, and a router between them that can stop forwarding.

    The namespaces have no names: they vanish with the processes and descriptors that hold them, whatever happens.
    A cut is silent, as a broken trunk line is: packets vanish, nobody gets an error.
    """

    def __init__(self):
        if os.geteuid() != 0:
            become_root_of_own_namespace()
        self.sides = [self.new_namespace(), self.new_namespace()]
        self.router = self.new_namespace()
        for number, side in enumerate(self.sides, 1):
            self.connect(number, side)
        self.heal()

    @staticmethod
    def new_namespace():
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        if LIBC.unshare(CLONE_NEWNET) != 0:
            raise Skip("no network namespaces: " + os.strerror(ctypes.get_errno()))
        made = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        enter(home)
        os.close(home)
        return made

    def connect(self, number, side):
        try:
            self.ip(side, "link set lo up")
            self.ip(side, "link add net type veth peer name side%d" % number)
            self.ip(side, "link set side%d netns /proc/%d/fd/%d" % (number, os.getpid(), self.router))
            self.ip(side, "link set net up")
            self.ip(self.router, "link set side%d up" % number)
            self.ip(self.router, "addr add 10.81.%d.254/24 dev side%d" % (number, number))
        except (OSError, subprocess.CalledProcessError) as error:
            raise Skip("no veth pair in a network namespace: %s" % (getattr(error, "stderr", "") or error))

    def add_address(self, number, host):
        """Gives side `number` (1 or 2) another address and returns it."""
        address = "10.81.%d.%d" % (number, host)
        self.ip(self.sides[number - 1], "addr replace %s/24 dev net" % address)
        self.ip(self.sides[number - 1], "route replace default via 10.81.%d.254" % number)
        return address

    @staticmethod
    def ip(namespace, words):
        subprocess.run(["ip"] + words.split(), check=True, capture_output=True, text=True,
                       preexec_fn=lambda: enter(namespace))

    def forward(self, switch):
        try:
            with inside(self.router), open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
                file.write(switch)
        except OSError as error:
            raise Skip("the router of the test may not be set up: %s" % error)

    def cut(self):
        self.forward("0")

    def heal(self):
        self.forward("1")
