"""Replicated state: among real agents, who must not notice, and on a disk, where nothing acknowledged may be lost."""
import json
import os
import random
import re
import select
import signal
import subprocess
import tempfile
import threading
import time

import msgpack
from story import kill_and_see_failed, restart_and_see_alive
from support import (PATIENCE, Failure, Rpc, RpcError, die_with_parent, hold, interop, now, step, until)


class Folders:
    """A data directory for each name, all of them gone with the test's process."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="bruit-state-")
        # A test process ends with os._exit(): a child that outlives it cleans up.
        self.keeper = subprocess.Popen(["sh", "-c", 'cat >/dev/null; rm -rf "$0"', self.path], stdin=subprocess.PIPE,
                                       start_new_session=True)

    def of(self, name):
        return os.path.join(self.path, name)

    def file_system(self):
        return subprocess.run(["stat", "-f", "-c", "%T", self.path], capture_output=True, text=True).stdout.strip()


def put(line, key, value, **how):
    body = dict({"Key": key, "Value": value}, **how)
    answer = line.call("kv-put", body, has_answer=True)
    if answer["Error"]:
        raise Failure("put %s: %s" % (key, answer["Error"]))
    return answer


def get(line, key):
    return line.call("kv-get", {"Key": key, "All": True}, has_answer=True)["Entries"]


def everything(line):
    """All keys with their winners."""
    found, after = {}, b""
    while True:
        page = line.call("kv-list", {"After": after, "Values": True}, has_answer=True)
        for entry in page["Entries"]:
            found[entry["Key"]] = entry["Value"]
            after = entry["Key"]
        if page["Last"]:
            return found


def equal_roots(agents):
    return len({agent.rpc().call("kv-stat", has_answer=True)["root"] for agent in agents}) == 1


class Writer(threading.Thread):
    """Writes as fast as one agent answers: keys of its own and, one time in ten, one that all writers share."""

    def __init__(self, agent):
        super().__init__(daemon=True)
        self.agent, self.line = agent, Rpc(agent.rpc_address)
        self.is_over, self.count, self.wrong, self.last = threading.Event(), 0, None, {}
        self.start()

    def run(self):
        try:
            while not self.is_over.wait(0.002):
                self.count += 1
                is_shared = self.count % 10 == 0
                key = b"shared" if is_shared else b"%s/%d" % (self.agent.name.encode(), self.count % 50)
                value = os.urandom(random.choice((10, 100, 3000)))
                put(self.line, key, value, Ack=2 if self.count % 20 == 0 else 1)
                if not is_shared:
                    self.last[key] = value
        except (Failure, RpcError, OSError) as error:
            self.wrong = error


# What real agents say at [DEBUG] and [INFO] in a cluster where nothing happens.
QUIET_TALK = (r"Stream connection from|Initiating push/pull sync|messageJoinType|Accepted client|EventMemberJoin|"
              r"agent: Received event: member-join|Log data will now stream|^\s*$|^--- ")


# Who: three of ours with a disk each, and two real agents. State is written hot at all three; keys that one writes
# end with his value everywhere, and the one that all write has the same siblings at all. The real agents log not one
# line that they do not log at rest, and nobody calls anybody suspect, failed or left.
@interop(ours_only=True, seconds_max=120)
def test_real_agents_do_not_notice_state(lab):
    folders = Folders()
    first = None
    for kind in ("ours", "real", "ours", "real", "ours"):
        name = "%s-%d" % (kind, len(lab.agents))
        flags = ["-data-dir=" + folders.of(name)] if kind == "ours" else []
        agent = lab.agent(kind, name=name, flags=flags, join=first)
        first = first or agent
    lab.agree(what="all joined")
    ours, since = lab.of("ours"), now()
    writers = [Writer(agent) for agent in ours]
    unwanted = ("failed", "leave", "suspect", "refute", "conflict", "update", "reap")
    hold(10, lambda: lab.nobody_reported(unwanted, since))
    for writer in writers:
        writer.is_over.set()
        writer.join(10)
        if writer.wrong:
            raise Failure("%s: %s" % (writer.agent, writer.wrong))
    step("%s writes" % " + ".join(str(writer.count) for writer in writers))
    until(lambda: equal_roots(ours), 30, "all three have the same state")
    wanted = {key: value for writer in writers for key, value in writer.last.items()}
    for agent in ours:
        found = everything(agent.rpc())
        found.pop(b"shared", None)
        if found != wanted:
            raise Failure("%s has other values of %s" % (agent, sorted(
                key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))[:10]))
    shared = [sorted(entry["Value"] for entry in get(agent.rpc(), b"shared")) for agent in ours]
    step("the shared key ended with %d siblings" % len(shared[0]))
    if shared[0] != shared[1] or shared[0] != shared[2]:
        raise Failure("the key that all wrote has other siblings at another member")
    lab.nobody_reported(unwanted, since)
    for agent in lab.of("real"):
        loud = [line for line in agent.log_since(since, "") if not re.search(QUIET_TALK, line)]
        if loud:
            raise Failure("%s said while state was written:\n    %s" % (agent, "\n    ".join(loud[:10])))
    lab.agree(5, "all as before")


# Who: a write that three members have confirmed; two of them die, and one for good. The third still has it, the one
# that comes back has it from its disk, and what was written while it was away it gets from the others.
@interop(ours_only=True, needs_serf=False, seconds_max=120)
def test_what_three_have_confirmed_survives_two(lab):
    folders = Folders()
    agents = []
    for name in ("a", "b", "c"):
        agents.append(lab.agent("ours", name=name, flags=["-data-dir=" + folders.of(name)],
                                join=agents[0] if agents else None))
    lab.agree(what="joined")
    if put(agents[0].rpc(), b"held", b"by three", Ack=3)["Held"] != 3:
        raise Failure("three of three did not confirm")
    kill_and_see_failed(lab, agents[0], agents[1])
    put(agents[2].rpc(), b"meanwhile", b"by one")
    restart_and_see_alive(lab, agents[2], agents[1])
    until(lambda: equal_roots(agents[1:]), 30, "the one that came back is equal again")
    for agent in agents[1:]:
        if everything(agent.rpc()) != {b"held": b"by three", b"meanwhile": b"by one"}:
            raise Failure("%s has %s" % (agent, everything(agent.rpc())))


# Who: somebody at the command line. Each command does what its usage says, in text and in JSON; each mistake is exit
# code 1 and one sentence; and an agent of Serf's has no such commands, which is told in words.
@interop(ours_only=True, seconds_max=60,
         talk=["agent.ipc: Failed to evaluate request: command 'kv-get' not recognized"])
def test_the_command_line_reads_and_writes(lab):
    folders, agent, real = Folders(), lab.agent("ours"), lab.agent("real")

    def kv(*words, code=0, at=agent, says=None):
        got, out, err = lab.command("ours", "kv", words[0], "-rpc-addr=" + at.rpc_text, *words[1:])
        if got != code or (says is not None and not re.search(says, out + err)):
            raise Failure("kv %s: exit code %d and %r, %r" % (" ".join(words), got, out, err))
        return out

    def described(*words, **expected):
        found = json.loads(kv(words[0], "-format=json", *words[1:]))
        wrong = {key: found.get(key) for key, value in expected.items() if found.get(key) != value}
        if wrong:
            raise Failure("kv %s in JSON: %s" % (" ".join(words), wrong))
        return found

    kv("put", "color", "red", says=r"^color has version [0-9a-f]{16}\n$")
    version = described("get", "color", key="color", value="red", values=1, lifetime="permanent")["version"]
    if kv("get", "color") != "red":
        raise Failure("get changes the value")
    kv("cas", "-version=" + version, "color", "blue")
    kv("cas", "-version=" + version, "color", "black", code=1, says=r"^Error writing key: the key has version .* by")
    kv("cas", "-version", "0", "new", "x")          # a blank before the value, too: it is this command's flag
    kv("cas", "color", "x", code=1, says=r"^A -version must be specified")
    kv("cas", "-version=12", "color", "x", code=1, says=r"^Invalid version")
    with open(folders.of("file"), "wb") as file:
        file.write(b"a\0b\xff\n")
    kv("put", "bytes", "@" + folders.of("file"))
    described("get", "bytes", value_base64="YQBi/wo=", size=5)
    kv("put", "bytes", "@" + folders.of("none"), code=1, says=r"^Error reading value: .*No such file")
    kv("put", "empty", "-")                         # from standard input, which is empty
    described("get", "empty", value="", size=0)
    with open(folders.of("large"), "wb") as file:
        file.write(bytes(65537))
    kv("put", "large", "@" + folders.of("large"), code=1, says=r"too large: the limit is 65536 bytes")
    kv("put", "-ttl=1h", "lease", "x")
    if not 3590 < described("get", "lease", lifetime="expires")["ttl_seconds"] <= 3600:
        raise Failure("a value with a lifetime of an hour has another one")
    kv("put", "-ttl=1h", "-owner=" + agent.name, "lease", "x", code=1, says=r"^Only one of -ttl and -owner")
    kv("put", "-owner=nobody", "lock", "x", code=1, says=r"the owner is no member")
    kv("put", "-owner=" + agent.name, "lock", "x")
    described("get", "lock", lifetime="owned", owner=agent.name)
    described("put", "-timeout=200ms", "held", "x", held=1, wanted=1)
    kv("put", "-ack=2", "-timeout=200ms", "held", "y", code=1, says=r"only 1 of 2 members confirmed it in time")
    kv("put", "-ack=-1", "held", "y", code=1, says=r"^Invalid number of members")
    if kv("list").split() != ["bytes", "color", "empty", "held", "lease", "lock", "new"]:
        raise Failure("the list is: " + kv("list"))
    kv("list", "-values", "b", says=r'^bytes  "a\\x00b\\xff\\n"\n$')
    for value in ("one", "two"):
        put(agent.rpc(), b"color", value.encode(), Mode="seen")
    kv("get", "color", says=r"^two.*one of 3 values")
    if kv("get", "-all", "color").count("\n") != 4:
        raise Failure("get -all shows: " + kv("get", "-all", "color"))
    kv("delete", "color", says=r"^color is deleted\n$")
    kv("delete", "color", code=1, says=r"^Error deleting key: there is no such key")
    kv("get", "-format=json", "color", code=1, says=r'^{"error":"Error reading key: there is no such key"}')
    kv("watch", "-cursor=x", code=1, says=r"^Invalid cursor")
    kv("get", code=1, says=r"^One key must be specified")
    described("stat", keys=6, values=6, store="memory", sync="alone")
    kv("get", "color", code=1, at=real, says=r"^Error reading key: this agent is Serf's, or a bruit older")
    code, _, err = lab.command("ours", "kv", "frobnicate")
    if code != 127 or "there is no command 'kv frobnicate'" not in err:
        raise Failure("an unknown command of the group: %d, %s" % (code, err))


# Who: somebody who watches a prefix at one agent while another one writes; who is interrupted, and goes on behind
# what he saw last; and who comes back when the agent has been restarted, and is told of the gap.
@interop(ours_only=True, needs_serf=False, seconds_max=60)
def test_a_watch_goes_on_where_it_was(lab):
    folders = Folders()
    first = lab.agent("ours", name="a", flags=["-data-dir=" + folders.of("a")])
    second = lab.agent("ours", name="b", join=first)
    lab.agree(what="joined")
    watch = Watch(lab, second, "-format=json", "w/")
    begin = watch.line()
    if not begin.get("gap"):
        raise Failure("a watch should begin with where it begins: %s" % begin)
    put(first.rpc(), b"w/1", b"one")
    put(first.rpc(), b"other", b"not asked for")
    seen = watch.line()
    if (seen["key"], seen["value"]) != ("w/1", "one"):
        raise Failure("the watch shows %s" % seen)
    if watch.end() != 0:
        raise Failure("an interrupted watch should end with 0")
    put(first.rpc(), b"w/2", b"two")
    first.rpc().call("kv-delete", {"Key": b"w/1"}, has_answer=True)
    until(lambda: equal_roots([first, second]), 20, "both are equal")
    watch = Watch(lab, second, "-format=json", "-cursor=" + seen["cursor"], "w/")
    rest = [watch.line(), watch.line()]
    if [(change["key"], change.get("deleted")) for change in rest] != [("w/2", None), ("w/1", True)]:
        raise Failure("the watch went on with %s" % rest)
    watch.end()
    first.kill()
    first.start(join=second)
    watch = Watch(lab, first, "-cursor=" + rest[-1]["cursor"], "w/")
    text = watch.text()
    if "gap: changes before this one are not known any more" not in text:
        raise Failure("after a restart the watch shows: " + text)
    first.kill()
    if "Remote side ended the watch" not in watch.text() or watch.process.wait(10) != 1:
        raise Failure("a watch whose agent dies should say so and end with 1")


class Watch:
    """bruit kv watch, line by line."""

    def __init__(self, lab, agent, *words):
        argv = [lab.binaries["ours"], "kv", "watch", "-rpc-addr=" + agent.rpc_text, *words]
        # Unbuffered: of two lines that come at once the second would wait where select() does not look.
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0,
                                        preexec_fn=die_with_parent)

    def text(self):
        if not select.select([self.process.stdout], [], [], 15 * PATIENCE)[0]:
            raise Failure("the watch shows nothing")
        return self.process.stdout.readline().decode()

    def line(self):
        return json.loads(self.text())

    def end(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)


# ------------------------------------------------------------------------------------------------------------ kill -9

KEYS = 40           # few, so that each is written again and again, and deleted, across lives
IN_FLIGHT = 32      # writes of one client that are under way; they share commits
LIFE_SECONDS = 0.03  # at most, while writing; the moment is drawn
START_SECONDS = 0.02  # the same for those that are killed while they start, one in ten


class Model:
    """Of each key, what it may be: what was acknowledged last, or anything that was asked for since."""

    def __init__(self):
        self.may_be = {b"k%d" % i: [None] for i in range(KEYS)}
        self.acknowledged = self.sent = 0

    def ask(self, key, value):
        self.may_be[key].append(value)
        self.sent += 1
        return len(self.may_be[key]) - 1

    def acknowledge(self, key, value):
        states = self.may_be[key]
        del states[:states.index(value)]
        self.acknowledged += 1

    def check(self, found):
        for key, states in self.may_be.items():
            if found.get(key) not in states:
                raise Failure("%r is %r after the restart, not one of %r" % (key, found.get(key), states[:5]))
            self.may_be[key] = [found.get(key)]
        if found.keys() - self.may_be.keys():
            raise Failure("there are keys that nobody wrote: %s" % sorted(found.keys() - self.may_be.keys())[:5])


class Life:
    """One agent from its start to SIGKILL."""

    def __init__(self, lab, folder):
        self.address = lab.block.address(0), 7373
        argv = [lab.binaries["ours"], "agent", "-node=a", "-bind=%s" % lab.block.address(0), "-rpc-addr=%s:7373" %
                self.address[0], "-data-dir=" + folder, "-log-level=err"]
        self.started = now()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        self.line = None

    def live(self):
        self.line = self.connect()
        self.took = now() - self.started
        return self

    def end(self):
        """kill -9"""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def connect(self):
        deadline = now() + 20 * PATIENCE
        while now() < deadline:
            try:
                return Rpc(self.address)
            except OSError:
                if self.process.poll() is not None:
                    raise Failure("the agent ended: %s" % self.process.stdout.read().decode("utf-8", "replace"))
                time.sleep(0.001)
        raise Failure("the agent does not answer in 20 s")

    def write_until_killed(self, model, numbers):
        """Writes and deletes, many at once, until its time has come; then hears what was still on the way.

        Half of the time that is the moment when an acknowledgement arrives: what was told too early is lost then.
        """
        asked, before = {}, model.acknowledged
        end = now() + numbers.uniform(0, LIFE_SECONDS)
        last = numbers.choice((1000000, numbers.randrange(1, 100)))
        while now() < end and model.acknowledged - before < last:
            while len(asked) < IN_FLIGHT:
                # One at a time of each key, so that what it may be stays a list.
                key = numbers.choice(sorted(model.may_be.keys() - {key for key, _ in asked.values()}))
                value = b"%d %s" % (model.sent, b"x" * numbers.choice((0, 50, 2000)))
                value = None if numbers.random() < 0.2 else value
                command = "kv-delete" if value is None else "kv-put"
                body = {"Key": key} if value is None else {"Key": key, "Value": value}
                asked[self.line.send(command, body)] = key, value
                model.ask(key, value)
            self.hear(asked, model, 0.001)
        self.end()
        try:
            while True:
                self.hear(asked, model, 1)
        except (OSError, ConnectionError):
            self.line.close()

    def hear(self, asked, model, seconds):
        if not self.line.buffer and not select.select([self.line.socket], [], [], seconds)[0]:
            return
        header = self.line.read()
        key, value = asked[header["Seq"]]
        if not header["Error"]:
            answer = self.line.read()
            if answer["Error"]:
                raise Failure("a write failed: %s" % answer["Error"])
            model.acknowledge(key, value)
        elif value is not None or "no such key" not in header["Error"]:
            raise Failure("a write was refused: %s" % header["Error"])
        elif model.may_be[key][0] is None or None in model.may_be[key][:-1]:
            model.may_be[key].pop()     # it was gone already
        else:
            raise Failure("%r could not be deleted, and should be one of %r" % (key, model.may_be[key][:5]))
        del asked[header["Seq"]]


# Who: an agent with a disk, and a client that has up to 32 writes and deletes under way. At a random moment the agent
# is killed with SIGKILL and started again on the same directory, again and again; one time in ten already while it
# starts. What was acknowledged is there; what was not may be there or not; nothing else is. How many were
# acknowledged is the last step that it tells.
@interop({"some": {"kills": 40}, "thousand": {"kills": 1000}}, long=("thousand",), ours_only=True, needs_serf=False,
         seconds_max=600)
def test_kill_9_loses_nothing_acknowledged(lab, kills):
    folders, model = Folders(), Model()
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    step("seed %d, data directory on %s" % (seed, folders.file_system()))
    numbers = random.Random(seed)
    starts = []
    for kill in range(kills):
        if kill % 10 == 9:
            life = Life(lab, folders.of("a"))
            time.sleep(numbers.uniform(0, START_SECONDS))
            life.end()
            continue
        life = Life(lab, folders.of("a")).live()
        starts.append(life.took)
        model.check(everything(life.line))
        life.write_until_killed(model, numbers)
        if kill % 100 == 99:
            step("%d kills, %d writes asked for, %d acknowledged" % (kill + 1, model.sent, model.acknowledged))
    life = Life(lab, folders.of("a")).live()
    model.check(everything(life.line))
    life.end()
    starts.sort()
    step("%d kills lost nothing: %d writes asked for, %d acknowledged" % (kills, model.sent, model.acknowledged))
    step("a start took %.0f ms (median), %.0f ms (longest)" % (1000 * starts[len(starts) // 2], 1000 * starts[-1]))
    if model.acknowledged < kills:
        raise Failure("too few writes were acknowledged to prove anything: %d" % model.acknowledged)
