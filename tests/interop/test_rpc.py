"""The RPC server of running agents: recorded conversations, clients that do not read, nonsense, load, and the end.

None of these needs the real program; with BRUIT=serf it plays our part, which tests the replays themselves.
"""
import json
import os
import random
import re
import selectors
import socket
import subprocess
import tempfile
import time
import zlib

import msgpack
from support import LIBC, PR_SET_PDEATHSIG, Failure, Rpc, hold, interop, now, step, until

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors", "serf")

# What is as the machine is, or as fast as the cluster was: compared by name only.
MACHINE = {"version", "max_procs", "goroutines", "cpu_count"}
COUNTERS = {"member_time", "event_time", "query_time", "intent_queue", "event_queue", "query_queue"}


# ------------------------------------------------------------------------------------------------------ conversations

class Transcript:
    """A recorded conversation: the chunks of either side in the order they went."""

    def __init__(self, name):
        with open(os.path.join(VECTORS, name + ".json"), encoding="utf-8") as file:
            vector = json.load(file)
        records = vector.get("records") or [{"direction": "client->server", "hex": vector["hex"]}]
        self.chunks = [(row["direction"] == "client->server", bytes.fromhex(row["hex"])) for row in records]

    def objects(self, index):
        return decode_all(self.chunks[index][1])


def decode_all(data):
    found, at = [], 0
    while at < len(data):
        value, at = msgpack.unpack(data, at)
        found.append(value)
    return found


class Talk:
    """A connection on which bytes are said as they are, and objects awaited one by one."""

    def __init__(self, lab, agent, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.connect(agent.rpc_address)
        self.buffer = b""
        lab.kept.append(self.socket)

    def say(self, *pieces):
        self.socket.sendall(b"".join(piece if isinstance(piece, bytes) else msgpack.pack(piece) for piece in pieces))

    def hear(self, count):
        """The next `count` objects; fewer when the connection ends before."""
        found = []
        while len(found) < count:
            try:
                value, used = msgpack.unpack(self.buffer)
            except msgpack.Incomplete:
                try:
                    data = self.socket.recv(65536)
                except socket.timeout:
                    raise Failure("only %d of %d objects came: %r" % (len(found), count, found))
                if not data:
                    break
                self.buffer += data
                continue
            self.buffer = self.buffer[used:]
            found.append(value)
        return found

    def expect_silence(self, seconds):
        self.socket.settimeout(seconds)
        try:
            data = self.buffer + self.socket.recv(65536)
            raise Failure("something came, or the connection ended: %r" % data)
        except socket.timeout:
            self.socket.settimeout(20)

    def expect_end(self):
        try:
            data = self.buffer + self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        except socket.timeout:
            raise Failure("the connection goes on")
        if data:
            raise Failure("not the end, but %r" % data)


def is_header(value):
    return isinstance(value, dict) and set(value) == {"Error", "Seq"}


def normal(objects, addresses, apart):
    """Objects in the form that is compared: addresses by name, rows and maps in order, what stands apart left out."""
    units = []
    for value in objects:
        if is_header(value) or not units or len(units[-1]) == 2:
            units.append((value,))
        else:
            units[-1] += (row(value, addresses, apart),)
    # Who answers first is a matter of luck; the end of a query is not.
    result, run = [], []
    for unit in units:
        if len(unit) == 2 and isinstance(unit[1], dict) and unit[1].get("Type") in ("ack", "response"):
            run.append(unit)
            continue
        result += sorted(run, key=repr) + [unit]
        run = []
    return result + sorted(run, key=repr)


def row(value, addresses, apart):
    value = dict(value)
    for member in value.get("Members", ()):
        member["Addr"] = addresses.get(member["Name"], member["Addr"])
    if "Members" in value:
        value["Members"] = sorted(value["Members"], key=lambda member: member["Name"])
    if "Log" in value:
        value["Log"] = re.sub(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", "at a time ", value["Log"])
    if "LTime" in value:
        value["LTime"] = "a time"
    if "Coord" in value and "coordinates" in apart:
        value["Coord"] = {key: len(item) if isinstance(item, list) else type(item)
                          for key, item in value["Coord"].items()}
    for name, keys in (("runtime", MACHINE), ("serf", COUNTERS & apart)):
        if name in value:
            value[name] = {key: "apart" if key in keys and item else item for key, item in value[name].items()}
    return value


def compare(what, expected, got, agents, apart=()):
    addresses = {agent.name: socket.inet_aton(agent.address) for agent in agents}
    wanted, seen = normal(expected, addresses, set(apart)), normal(got, {}, set(apart))
    if wanted != seen:
        raise Failure("%s:\n    recorded %r\n    got      %r" % (what, wanted, seen))


def replay(lab, agent, name, agents=(), apart=(), leave_out=(), change=lambda value: value, ends=False, talk=None):
    """Says what the recorded client said and expects what the recorded agent answered, chunk by chunk.

    `leave_out`: numbers of answers that ours does not give. `change` is applied to every object of either side.
    """
    transcript, talk = Transcript(name), talk or Talk(lab, agent)
    heard = 0
    for index, (is_client, data) in enumerate(transcript.chunks):
        if is_client:
            try:
                objects = [change(value) for value in decode_all(data)]
            except (ValueError, msgpack.Incomplete):
                objects = None
            is_changed = objects is not None and objects != decode_all(data)
            talk.say(*objects) if is_changed else talk.say(data)
            continue
        expected = [change(value) for number, value in enumerate(transcript.objects(index), heard)
                    if number not in leave_out or lab.is_rehearsal]
        heard += len(transcript.objects(index))
        compare("%s, chunk %d" % (name, index), expected, talk.hear(len(expected)), agents or [agent], apart)
    if ends:
        talk.expect_end()
    else:
        talk.expect_silence(0.2)
    return talk


# Serf takes the body of a command that came before the token for another header, and answers twice; the specification
# wants it skipped (docs/wire/serf-rpc.md 2.3): the second of the two answers is left out.
RECORDED = {
    "handshake-bad-version": {}, "handshake-twice": {}, "members-filtered": {}, "auth-when-not-needed": {},
    "header-missing-seq-reuses-previous": {}, "stream-exists": {}, "stream-invalid": {}, "event-str-payload": {},
    "get-coordinate": {}, "respond-unknown": {}, "install-key-badb64": {}, "query-same-prefix": {},
    "no-handshake": {"ends": True}, "unsupported-command": {"ends": True}, "garbage": {"ends": True},
    "pipelined": {"tags": {"t": "1"}, "apart": COUNTERS},
    "auth-required": {"name": "rb", "tags": {}, "secret": "sekrit"},
    "auth-required-body-not-consumed": {"name": "rb", "tags": {}, "secret": "sekrit", "leave_out": {2}},
}


# Who: an agent as it was when the conversation was recorded, and a client that says the same bytes. The answers are the
# recorded ones, field by field.
# conformance: rpc 1, 3, 4, 5, 7, 13
@interop({name: {"name": name, "setting": setting} for name, setting in RECORDED.items()}, needs_serf=False)
def test_recorded_conversation_is_answered_as_it_was(lab, name, setting):
    options = dict(setting)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
        json.dump({"rpc_auth": options.pop("secret", "")}, config)
        config.flush()
        agent = lab.agent("ours", name=options.pop("name", "ra"), tags=options.pop("tags", {"role": "x"}),
                          flags=["-config-file=" + config.name], wait=False)
        until(lambda: can_connect(agent), 20, "the agent listens")
    replay(lab, agent, "rpc-raw-" + name, **options)


def can_connect(agent):
    try:
        socket.create_connection(agent.rpc_address, 5).close()
        return True
    except OSError:
        return False


# Who: one connection streams queries and answers one, twice, too long, and too late; another asks it and sends events.
# Both were recorded together. The end of the query comes at its deadline, 1.5 s after it began, and nothing follows it.
# conformance: rpc 1, 9, 12
@interop(needs_serf=False)
def test_recorded_query_is_asked_and_answered_as_it_was(lab):
    agent = lab.agent("ours", name="ra", tags={"role": "x"})
    streams, asks = Transcript("rpc-raw-stream-query-respond"), Transcript("rpc-raw-query-conn-for-stream")
    listener, asker = Talk(lab, agent), Talk(lab, agent)

    def say(talk, transcript, index):
        talk.say(transcript.chunks[index][1])

    def expect(talk, transcript, index, first=0, last=None):
        expected = transcript.objects(index)[first:last]
        compare("chunk %d" % index, expected, talk.hear(len(expected)), [agent])

    for talk, transcript in ((listener, streams), (asker, asks)):
        say(talk, transcript, 0)
        expect(talk, transcript, 1)
    say(listener, streams, 2)
    expect(listener, streams, 3, 0, 1)
    started = now()
    say(asker, asks, 2)
    expect(listener, streams, 3, 1)
    for index in (4, 6, 8):
        say(listener, streams, index)
        expect(listener, streams, index + 1)
    expect(asker, asks, 3)
    took = now() - started
    if not 1.45 < took < 2.5:
        raise Failure("a query of 1.5 s ended after %.2f s" % took)
    asker.expect_silence(1)
    say(listener, streams, 10)
    expect(listener, streams, 11, 0, 1)
    say(asker, asks, 4)
    expect(asker, asks, 5)
    expect(listener, streams, 11, 1)


# Who: an answer that is too long, then a shorter one; a number of another connection; and an answer after the deadline.
# conformance: rpc 9, 12
@interop(needs_serf=False)
def test_answer_that_is_too_long_may_be_followed_by_a_shorter_one(lab):
    agent = lab.agent("ours")
    listener, other, asker = Rpc(agent.rpc_address), Rpc(agent.rpc_address), Rpc(agent.rpc_address)
    listener.call("stream", {"Type": "query"})
    started = now()
    asker.call("query", {"Name": "q", "Timeout": 1000000000, "RequestAck": True})
    listener.read()
    question = listener.read()

    def respond(rpc, payload):
        rpc.send("respond", {"ID": question["ID"], "Payload": payload})
        return rpc.read()["Error"]
    answers = [respond(listener, b"x" * 2000), respond(other, b"x"), respond(listener, b"short")]
    if answers != ["failed to respond to key query: response exceeds limit of 1024 bytes",
                   "No pending queries matching ID", ""]:
        raise Failure("responses were answered with %s" % answers)
    records = []
    while not records or records[-1]["Type"] != "done":
        asker.read()
        records.append(asker.read())
    if sorted((record["Type"], record["From"], record["Payload"]) for record in records[:-1]) != \
            [("ack", agent.name, None), ("response", agent.name, b"short")]:
        raise Failure("the records were %s" % records)
    if not 0.95 < now() - started < 2:
        raise Failure("a query of 1 s ended after %.2f s" % (now() - started))
    until(lambda: respond(listener, b"late") == "No pending queries matching ID", 2, "the query is forgotten")


# ------------------------------------------------------------------------------------------- recorded command lines

def recorded_members(name):
    return Transcript(name).objects(3)[1]["Members"]


# Who: the five agents whose conversations with serf's command line were recorded: one of protocol 2, one of 4, one with
# nineteen tags, one that takes part and does not answer queries. Each recorded request gets its recorded answer.
# conformance: rpc 1, 3, 8
@interop(needs_serf=False, seconds_max=200)
def test_recorded_command_lines_are_answered_as_they_were(lab):
    flags = {"va": ["-event-handler=user:deploy=echo hi", "-event-handler=member-join,member-leave=echo members"],
             "vc": ["-protocol=2"], "vd": ["-protocol=4"]}
    agents = []
    for member in sorted(recorded_members("rpc-cli-members"), key=lambda row: (row["Name"] == "rec", row["Name"])):
        tags = {} if member["Name"] == "vc" else member["Tags"]
        more = ["-role=old"] if member["Name"] == "vc" else []
        agents.append(lab.agent("ours", name=member["Name"], tags=tags, join=agents[0] if agents else None,
                                flags=flags.get(member["Name"], []) + more))
        agents[-1].tags = dict(member["Tags"])
    lab.agree(what="all joined")
    first, silent = agents[0], agents[-1]
    replay(lab, first, "rpc-cli-members", agents)
    until(lambda: all(value == "0" for key, value in first.rpc().call("stats", has_answer=True)["serf"].items()
                      if key.endswith("_queue")), 20, "nothing waits to be told")
    replay(lab, first, "rpc-cli-info", agents, apart={"member_time"})
    until(lambda: all(first.rpc().call("get-coordinate", {"Node": name}, True)["Ok"] for name in ("vb", "vd")), 30,
          "the coordinates are known")
    replay(lab, first, "rpc-cli-rtt", agents, apart={"coordinates"})
    replay(lab, first, "rpc-cli-query-forbidden-name", agents)
    silent.pause()
    replay(lab, first, "rpc-cli-query-relay", agents)
    silent.resume()
    lab.agree(what="the silent one is back")
    silent.pause()
    replay(lab, first, "rpc-cli-keys-list-no-encryption", agents)
    silent.resume()
    lab.agree(what="the silent one is back")
    replay(lab, first, "rpc-cli-tags", agents)
    first.tags = {"a": "b"}
    lab.agree(what="the tags are known")
    silent.pause()
    replay(lab, first, "rpc-cli-reachability", agents)
    silent.resume()
    replay(lab, first, "rpc-cli-event", agents)
    replay(lab, first, "rpc-cli-event-no-payload", agents)
    replay(lab, first, "rpc-cli-event-too-big", agents)


# Who: alpha, beta and gamma. They are joined, filtered, asked; gamma is killed and forced out, alpha leaves.
# conformance: rpc 1, 3
@interop(needs_serf=False, seconds_max=200)
def test_recorded_life_of_a_cluster_is_answered_as_it_was(lab):
    tags = {member["Name"]: member["Tags"] for member in recorded_members("rpc-cli-members-filter")}
    handlers = {"alpha": ["-event-handler=query:uptime=echo up 5"],
                "beta": ["-event-handler=query:uptime=echo beta-up"]}
    agents = [lab.agent("ours", name=name, tags=tags.get(name, {"role": "none"}), flags=handlers.get(name, []))
              for name in ("alpha", "beta", "gamma")]
    alpha, beta, gamma = agents
    alpha.never_met = beta.never_met = gamma.never_met = set()
    places = {"127.0.1.2": beta.address, "127.0.1.3:7946": gamma.gossip_address,
              "127.0.1.77": lab.block.address(77)}

    def change(value):
        if isinstance(value, dict) and "Existing" in value:
            return dict(value, Existing=[places[place] for place in value["Existing"]])
        if isinstance(value, dict) and value.get("Error"):
            return dict(value, Error=value["Error"].replace("127.0.1.77", lab.block.address(77)))
        return value
    replay(lab, alpha, "rpc-cli-join-fail", agents, change=change)
    replay(lab, alpha, "rpc-cli-join", agents, change=change)
    lab.agree(what="all joined")
    replay(lab, alpha, "rpc-cli-members-filter", agents)
    replay(lab, alpha, "rpc-cli-query-responses", agents)
    gamma.kill()
    lab.agree(what="gamma is seen failed")
    replay(lab, alpha, "rpc-cli-force-leave-prune", agents)
    gamma.expected = None
    lab.agree(what="gamma is forgotten")
    replay(lab, alpha, "rpc-cli-leave", agents, ends=True)
    if alpha.process.wait(10) != 0:
        raise Failure("alpha left and ended with %s" % alpha.process.returncode)


# Who: three agents with a key. A second key is installed, the keys are listed, one that nobody has is to be used.
# conformance: rpc 1, 3
@interop(needs_serf=False)
def test_recorded_key_commands_are_answered_as_they_were(lab):
    keys = sorted(Transcript("rpc-cli-keys-list").objects(3)[1]["Keys"])
    new = Transcript("rpc-cli-keys-install").objects(2)[1]["Key"]
    old = [key for key in keys if key != new][0]
    agents = []
    for name in ("ka", "kb", "kc"):
        agents.append(lab.agent("ours", name=name, flags=["-encrypt=" + old], join=agents[0] if agents else None))
    lab.agree(what="all joined")
    for name in ("keys-install", "keys-list", "keys-use-missing"):
        replay(lab, agents[0], "rpc-cli-" + name, agents)


# Who: somebody follows the log from warnings on and all events; the log has one such line so far, that there are no
# keys to list, and then an event comes.
# conformance: rpc 1, 10, 14
@interop(needs_serf=False)
def test_recorded_monitor_is_answered_as_it_was(lab):
    agent = lab.agent("ours")
    until(lambda: agent.log_since(0, "Received event: member-join"), 10, "its own join has been told")
    agent.rpc().send("list-keys")
    agent.rpc().read()
    agent.rpc().read()
    transcript, talk = Transcript("rpc-cli-monitor"), Talk(lab, agent)
    for index, (is_client, data) in enumerate(transcript.chunks):
        if is_client:
            talk.say(data)
            continue
        expected = transcript.objects(index)
        if len(expected) > 1:       # the answer and the old line, then what happens
            compare("chunk %d" % index, expected[:3], talk.hear(3), [agent])
            agent.rpc().call("event", {"Name": "deploy", "Payload": b"x", "Coalesce": False})
            expected = expected[3:]
        compare("chunk %d" % index, expected, talk.hear(len(expected)), [agent])
    agent.rpc().call("event", {"Name": "deploy", "Payload": b"x", "Coalesce": False})
    talk.expect_silence(0.5)


# ------------------------------------------------------------------------------------------------------------ the end

# Who: the command line monitors an agent, and the agent is killed, or told to end. It says so and ends with 1.
# conformance: rpc 15
@interop({"killed": {"how": "kill"}, "terminated": {"how": "terminate"}}, needs_serf=False)
def test_monitor_ends_with_the_agent(lab, how):
    agent = lab.agent("ours")
    process = subprocess.Popen([lab.binaries["ours"], "monitor", "-rpc-addr=" + agent.rpc_text], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, 9))
    until(lambda: agent.log_since(0, "Accepted client"), 10, "the monitor is there")
    hold(0.5, lambda: None)
    getattr(agent.process, how)()
    output = process.communicate(timeout=20)[0].decode()
    end = "Remote side ended the monitor! This usually means that the\nremote side has exited or crashed."
    if process.returncode != 1 or not output.rstrip().endswith(end):
        raise Failure("the monitor ended with %d: %r" % (process.returncode, output[-400:]))


# ----------------------------------------------------------------------------------------------------------- nonsense

COMMANDS = ("handshake auth event force-leave join members members-filtered stream monitor stop tags query respond "
            "install-key use-key remove-key list-keys stats get-coordinate").split()


def nonsense(draw):
    """A conversation that is damaged somewhere, or none at all."""
    pieces = [msgpack.pack({"Command": "handshake", "Seq": 0}), msgpack.pack({"Version": 1})]
    if draw.random() < 0.2:
        pieces = []
    for _ in range(draw.randrange(1, 4)):
        pieces.append(msgpack.pack({"Command": draw.choice(COMMANDS), "Seq": draw.getrandbits(draw.choice((7, 64)))}))
        pieces.append(msgpack.pack(draw.choice((
            None, 7, "x", [], [1, {}], {"Name": draw.randbytes(draw.choice((5, 2000, 200000))).decode("latin1")},
            {"Type": ",".join(["user:x"] * draw.randrange(1, 3000))}, {"Tags": {"role": "(.*.*){9}"}, "Name": "(a*)*b"},
            {"Existing": ["127.0.0.1:1", "", "::", "[", "a" * 300]}, {"Stop": -1}, {"Tags": [1, 2]},
            {"Node": "x" * 5000}, {"LogLevel": "x" * 3000}, {"Key": "!" * 999}, {"Tags": {"k" * 300: "v" * 300}},
        ))))
    data = bytearray(b"".join(pieces))
    kind = draw.randrange(4)
    if kind == 0:
        data = bytearray(draw.randbytes(draw.randrange(1, 400)))
    elif kind == 1:
        for _ in range(3):
            data[draw.randrange(len(data))] = draw.getrandbits(8)
    elif kind == 2:
        del data[draw.randrange(1, len(data)):]
    return bytes(data)


# Who: three agents; at one of them, twenty connections at a time say what is damaged, truncated, of the wrong shape or
# random, for some seconds. A client that streams events from it misses none, nobody is accused, and its memory stays.
# conformance: rpc 6
@interop({"3 s": {"seconds": 3}, "60 s": {"seconds": 60}}, long={"60 s"}, needs_serf=False, alone=True)
def test_nonsense_harms_nobody(lab, seconds):
    seed = int(os.environ.get("INTEROP_SEED", "20261122"))
    draw = random.Random(seed)
    target = lab.agent("ours", flags=["-log-level=warn"])
    for _ in range(2):
        lab.agent("ours", join=target)
    lab.agree(what="all joined")
    since, sent, talked = now(), 0, 0
    good, sender = Rpc(target.rpc_address), Rpc(target.rpc_address)
    good.call("stream", {"Type": "user:good"})
    before, most = memory_of(target), 0
    while now() - since < seconds:
        crowd = [Talk(lab, target) for _ in range(20)]
        for talk in crowd:
            try:
                talk.say(nonsense(draw))
            except OSError:
                pass
        sender.call("event", {"Name": "good", "Payload": b"%d" % sent, "Coalesce": False})
        sent += 1
        for talk in crowd:
            talk.socket.close()
        del lab.kept[-20:]
        talked += len(crowd)
        most = max(most, memory_of(target))
    for number in range(sent):
        good.read()
        if good.read()["Payload"] != b"%d" % number:
            raise Failure("event %d did not come" % number)
    losses = target.rpc().call("stats", has_answer=True).get("rpc", {})
    step("seed %d: %d conversations; %s; memory %.1f MB before, %.1f MB at most, %.1f MB after" %
         (seed, talked, losses, before, most, memory_of(target)))
    # Among what was damaged there are changes of tags that are none the worse for it.
    until(lambda: all(member.status == "alive" for agent in lab.agents for member in agent.members().values()), 10,
          "all are alive")
    lab.nobody_reported(("failed", "suspect"), since)
    if most > before + 16:
        raise Failure("the memory grew by %.1f MB" % (most - before))


# ------------------------------------------------------------------------------------------------------------- queues

# Who: an agent that is given more events than gossip may carry to its one peer. Every 30 s it warns of what waits, if
# that is 128 or more, and says how many; `info` says it, too. Before the flood it has nothing to warn of.
# conformance: serf 62
@interop(needs_serf=False, long=True)
def test_deep_queue_is_warned_of(lab):
    agent = lab.agent("ours", flags=["-log-level=info"])
    lab.agent("ours", flags=["-log-level=info"], join=agent)
    lab.agree(what="both joined")
    hold(32, lambda: None)
    if agent.log_since(0, "queue depth"):
        raise Failure("nothing waits, and it warns: %s" % agent.log_since(0, "queue depth"))
    source, warning = Source(agent, 1000, 400), r"\[WARN\] serf: Event queue depth: (\d+)$"
    until(lambda: source.send_due(10 ** 6) or agent.log_since(0, warning), 35, "the warning")
    depths = [int(re.search(warning, line).group(1)) for line in agent.log_since(0, warning)]
    depth = int(agent.rpc().call("stats", has_answer=True)["serf"]["event_queue"])
    if min(depths) < 128 or depth == 0:
        raise Failure("it warns of %s, and says that %d wait" % (depths, depth))


# --------------------------------------------------------------------------------------------------------------- load

def memory_of(agent):
    """The resident memory of its process, in MB."""
    with open("/proc/%d/statm" % agent.process.pid, encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_time_of(agent):
    with open("/proc/%d/stat" % agent.process.pid, encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Reader:
    """A client that reads: as all have one sequence number and one filter, all get the same bytes."""

    def __init__(self, lab, agent):
        talk = Talk(lab, agent)
        talk.say({"Command": "handshake", "Seq": 1}, {"Version": 1})
        talk.say({"Command": "stream", "Seq": 2}, {"Type": "user:load"})
        talk.hear(2)
        self.socket, self.size, self.sum, self.is_open = talk.socket, 0, 0, True
        self.socket.setblocking(False)

    def read(self):
        while self.is_open:
            try:
                data = self.socket.recv(1 << 18)
            except BlockingIOError:
                return
            self.is_open = bool(data)
            self.take(data)

    def take(self, data):
        self.size += len(data)
        self.sum = zlib.crc32(data, self.sum)


class Witness(Reader):
    """One that keeps all it gets, to be looked at."""

    def __init__(self, lab, agent):
        self.data = bytearray()
        super().__init__(lab, agent)

    def take(self, data):
        super().take(data)
        self.data += data

    def payloads(self):
        objects = decode_all(bytes(self.data))
        return [body["Payload"] for body in objects[1::2]]


class Source:
    """Sends events at a steady pace over one connection; the answers are read and must be plain."""

    def __init__(self, agent, per_second, payload_size):
        self.payload_size = payload_size
        self.rpc, self.per_second, self.sent, self.started = Rpc(agent.rpc_address), per_second, 0, now()

    def payload(self, number):
        return b"%08d" % number + b"." * (self.payload_size - 8)

    def send_due(self, limit):
        due = min(limit, int((now() - self.started) * self.per_second))
        first, self.sent = self.sent, max(due, self.sent)
        for number in range(first, self.sent):
            self.rpc.send("event", {"Name": "load", "Payload": self.payload(number), "Coalesce": False})
        for _ in range(first, self.sent):
            header = self.rpc.read()
            if header["Error"]:
                raise Failure("an event was refused: %s" % header)


def run_load(source, readers, agents, seconds):
    """Events for so long, read every 50 ms; returns the memory of each agent once a second."""
    samples, total = [], int(seconds * source.per_second)
    source.started = now()
    while source.sent < total:
        source.send_due(total)
        for reader in readers:
            reader.read()
        if now() - source.started >= len(samples):
            samples.append([memory_of(agent) for agent in agents])
        time.sleep(0.05)
    return samples


# Who: 200 clients follow one agent's events, of which 200 a second are sent; one of the clients, with eight streams,
# never reads. It loses events, which is counted and logged, and is cut off after half a minute; the others get every
# event, in order and once, and the agent's memory is the same in the last second as it was when the slow one's queue
# was full.
# conformance: rpc 11
@interop({"6 s": {"seconds": 6}, "60 s": {"seconds": 60}}, long={"60 s"}, needs_serf=False, alone=True, ours_only=True)
def test_slow_client_among_200_costs_nobody_an_event(lab, seconds):
    agent = lab.agent("ours", flags=["-log-level=info"])
    witness = Witness(lab, agent)
    readers = [witness] + [Reader(lab, agent) for _ in range(198)]
    slow = Talk(lab, agent, receive_buffer=4096)
    slow.say({"Command": "handshake", "Seq": 1}, {"Version": 1})
    for sequence in range(2, 10):
        slow.say({"Command": "stream", "Seq": sequence}, {"Type": "user:load"})
    slow.hear(9)
    source, busy = Source(agent, 200, 300), processor_time_of(agent)
    samples = [row[0] for row in run_load(source, readers, [agent], seconds)]
    busy = processor_time_of(agent) - busy
    expected = [source.payload(number) for number in range(source.sent)]

    def all_came():
        for reader in readers:
            reader.read()
        return len(witness.data) == witness.size and witness.size >= len(expected) * source.payload_size and \
            all(reader.size == witness.size for reader in readers)
    until(all_came, 10, lambda: "everybody has read: %s" % sorted({reader.size for reader in readers}))
    if witness.payloads() != expected:
        raise Failure("%d events were sent, %d came" % (len(expected), len(witness.payloads())))
    if len({(reader.size, reader.sum) for reader in readers}) != 1:
        raise Failure("not everybody got the same: %s" % {(reader.size, reader.sum) for reader in readers})
    losses = agent.rpc().call("stats", has_answer=True).get("rpc", {})
    settled = samples[len(samples) // 2]
    dropped = losses.get("records_dropped")
    step("%d events in %d s to 199 readers, %.0f MB in all; processor %.1f %% of a core; memory %.2f MB at the start, "
         "%.2f MB half way, %.2f MB at the end, %.2f MB at most; for the slow one %s records of %d were dropped" %
         (source.sent, seconds, witness.size * len(readers) / 1e6, 100 * busy / seconds, samples[0], settled,
          samples[-1], max(samples), dropped, 8 * source.sent))
    if int(dropped or 0) == 0 or not agent.log_since(0, r"\[WARN\] agent.ipc: Dropping records for"):
        raise Failure("the slow client lost nothing, or nobody was told: %s" % losses)
    farewell = r"\[ERR\] agent.ipc: Closed client .*: it lost records, and reads nothing"
    if seconds > 40 and (losses.get("cut_slow") != "1" or not agent.log_since(0, farewell)):
        raise Failure("the slow client, which read nothing for 30 s, is still there: %s" % losses)
    if samples[-1] > settled + 1 or max(samples) > samples[0] + 8:
        raise Failure("the memory is not flat: %s" % samples)


# Who: three agents, each with a client that follows; events come to one of them, 200 a second, and reach the other two
# by gossip.
@interop({"6 s": {"seconds": 6}, "60 s": {"seconds": 60}}, long={"60 s"}, needs_serf=False, alone=True, ours_only=True)
def test_flood_reaches_three_agents(lab, seconds):
    agents = [lab.agent("ours", flags=["-log-level=info"])]
    for _ in range(2):
        agents.append(lab.agent("ours", flags=["-log-level=info"], join=agents[0]))
    lab.agree(what="all joined")
    witnesses = [Witness(lab, agent) for agent in agents]
    source = Source(agents[0], 200, 16)
    samples = run_load(source, witnesses, agents, seconds)
    expected = {source.payload(number) for number in range(source.sent)}
    for wait in (0, 0.5, 1, 2, 5):
        time.sleep(max(0, source.started + seconds + wait - now()))
        for witness in witnesses:
            witness.read()
        missing = [len(expected - set(witness.payloads())) for witness in witnesses]
        step("%.1f s after the last of %d events: missing %s" % (wait, source.sent, missing))
        if not any(missing):
            break
    for witness in witnesses:
        payloads = witness.payloads()
        if len(payloads) != len(set(payloads)):
            raise Failure("%d events were told twice" % (len(payloads) - len(set(payloads))))
        lost = sorted(int(payload[:8]) for payload in expected - set(payloads))
        if lost:
            step("lost: %s" % lost[:200])
    queues = [agent.rpc().call("stats", has_answer=True)["serf"]["event_queue"] for agent in agents]
    step("memory in MB, at the start and the end: %s %s; queues %s" % (samples[0], samples[-1], queues))
    if any(missing):
        raise Failure("events are missing: %s of %d" % (missing, source.sent))
