"""Events, queries and coordinates in a cluster of both kinds, and the commands about them against both."""
import concurrent.futures
import re
import threading
import time

from support import CONFLICT_TALK, LATE_TALK, SYNC_SECONDS, Failure, Rpc, hold, interop, step, until

KINDS = {"real": {"kind": "real"}, "ours": {"kind": "ours"}}


class Ear:
    """Hears an agent's user events and queries over RPC, and may answer the queries."""

    def __init__(self, lab, agent, answer=None):
        self.agent, self.answer = agent, answer
        self.events, self.queries, self.refusals = [], [], []
        self.rpc = Rpc(agent.rpc_address, agent.namespace, timeout=None)
        self.sequence = self.rpc.sequence + 1
        self.rpc.call("stream", {"Type": "user,query"})
        lab.kept.append(self.rpc)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        try:
            while True:
                self.take(self.rpc.read())
        except (OSError, ConnectionError):
            return

    def take(self, header):
        if header["Seq"] != self.sequence:
            self.refusals += [header["Error"]] if header["Error"] else []
            return
        body = self.rpc.read()
        row = body["LTime"], body["Name"], bytes(body["Payload"] or b"")
        if body["Event"] == "user":
            self.events.append(row)
            return
        self.queries.append(row)
        if self.answer is not None:
            self.rpc.send("respond", {"ID": body["ID"], "Payload": self.answer})


def ask(agent, seconds_max=20, **body):
    """Runs a query through an agent; returns who acked and (who, what) for each response, sorted."""
    rpc = Rpc(agent.rpc_address, agent.namespace, timeout=seconds_max)
    rpc.call("query", dict({"RequestAck": True, "FilterNodes": [], "FilterTags": {}, "Payload": b"",
                            "RelayFactor": 0, "Timeout": 0}, **body))
    acks, responses = [], []
    while True:
        rpc.read()
        record = rpc.read()
        if record["Type"] == "done":
            rpc.close()
            return sorted(acks), sorted(responses)
        if record["From"] == "":
            continue        # a race of the real program, docs/wire/serf-rpc.md section 4.9
        if record["Type"] == "ack":
            acks.append(record["From"])
        else:
            responses.append((record["From"], bytes(record["Payload"])))


# Who: six agents, three of each kind; each sends an event, one after the other, and then all send five at once. Every
# agent must deliver each of them once, and with one Lamport time everywhere.
@interop()
def test_event_from_either_side_is_delivered_once_everywhere(lab):
    lab.cluster()
    ears = [Ear(lab, agent) for agent in lab.agents]
    for number, agent in enumerate(lab.agents):
        send(agent, number)
        until(lambda: all(len(ear.events) > number for ear in ears), SYNC_SECONDS,
              lambda: "event %d of %s at %s" % (number, agent, [str(ear.agent) for ear in ears
                                                               if len(ear.events) <= number]))
        step("event of %s is everywhere" % agent)
    if len({ltime for ltime, _, _ in ears[0].events}) != len(lab.agents):
        raise Failure("two events one after the other have one time: %s" % ears[0].events)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda number: [send(lab.agents[number], 10 * number + each) for each in range(10, 15)],
                      range(len(lab.agents))))
    count = 6 * len(lab.agents)
    until(lambda: all(len(ear.events) >= count for ear in ears), SYNC_SECONDS,
          lambda: "%d events, not %s" % (count, {str(ear.agent): len(ear.events) for ear in ears}))
    hold(3, lambda: None)
    for ear in ears:
        if sorted(ear.events) != sorted(ears[0].events) or len(ear.events) != count:
            raise Failure("%s heard %s, and %s heard %s" % (ears[0].agent, ears[0].events, ear.agent, ear.events))


def send(agent, number):
    agent.rpc().call("event", {"Name": "news", "Payload": b"%d" % number, "Coalesce": False})


# Who: a burst of five events of one name that may be coalesced, sent by either kind. Both kinds tell only the last.
@interop(KINDS)
def test_events_of_one_name_are_told_as_one(lab, kind):
    lab.cluster(real=2, ours=2)
    ears = [Ear(lab, agent) for agent in lab.agents]
    sender = lab.of(kind)[0]
    for number in range(5):
        sender.rpc().call("event", {"Name": "burst", "Payload": b"%d" % number, "Coalesce": True})
    until(lambda: all(ear.events for ear in ears), 15, "the burst has been told everywhere")
    hold(2, lambda: None)
    for ear in ears:
        if [payload for _, _, payload in ear.events] != [b"4"]:
            raise Failure("%s told %s" % (ear.agent, ear.events))


# Who: somebody joins late, with and without a wish for the events of the past, through a member of either kind.
@interop({"%s-of-%s%s" % (joiner, seed, "-replay" * replay): {"joiner": joiner, "seed": seed, "replay": replay}
          for joiner in KINDS for seed in KINDS for replay in (False, True)})
def test_joining_replays_old_events_when_asked_only(lab, joiner, seed, replay):
    there = lab.agent(seed)
    here = lab.agent(joiner, name="late")
    there.rpc().call("event", {"Name": "past", "Payload": b"1", "Coalesce": False})
    ear = Ear(lab, here)
    here.rpc().call("join", {"Existing": [there.gossip_address], "Replay": replay}, has_answer=True)
    lab.agree(what="joined")
    there.rpc().call("event", {"Name": "now", "Payload": b"2", "Coalesce": False})
    until(lambda: any(name == "now" for _, name, _ in ear.events), 15, "a new event arrives")
    names = [name for _, name, _ in ear.events]
    if names.count("past") != int(replay) or names.count("now") != 1:
        raise Failure("%s, asked %s old events, told %s" % (here, "for" if replay else "for no", ear.events))


# Who: an agent of either kind asks all six; everybody acks once and responds once with its own text, with a relay
# factor of 2 while one of them is stopped, too. Filters by name and by tag let through whom they should.
@interop(KINDS, talk=LATE_TALK)
def test_query_from_either_side_is_answered_by_all(lab, kind):
    lab.cluster()
    ears = [Ear(lab, agent, answer=agent.name.encode()) for agent in lab.agents]
    asker = lab.of(kind)[0]
    names = sorted(agent.name for agent in lab.agents)
    everybody = names, [(name, name.encode()) for name in names]
    expect(asker, everybody, "all six", Name="who", Timeout=3 * 10**9)
    expect(asker, (["ours-3", "real-2"], [("ours-3", b"ours-3"), ("real-2", b"real-2")]), "two names",
           Name="some", Timeout=2 * 10**9, FilterNodes=["real-2", "ours-3", "nobody"])
    of_kind = sorted(agent.name for agent in lab.of("real"))
    expect(asker, (of_kind, [(name, name.encode()) for name in of_kind]), "a tag",
           Name="kind", Timeout=2 * 10**9, FilterTags={"kind": "^re.l$"})
    stopped = lab.of("ours" if kind == "real" else "real")[2]
    stopped.pause()
    left = [name for name in names if name != stopped.name]
    expect(asker, (left, [(name, name.encode()) for name in left]), "one is stopped",
           Name="relayed", Timeout=3 * 10**9, RelayFactor=2)
    stopped.resume()
    if any(ear.refusals for ear in ears):
        raise Failure("responses were refused: %s" % [ear.refusals for ear in ears])


def expect(asker, wanted, what, **body):
    """Random targets may miss somebody, and nothing repairs a query, so it may be asked once more; with ours among the
    members none of 240 queries was missed by anybody. Nobody may answer twice, or answer who was not asked."""
    for _ in range(2):
        acks, responses = ask(asker, **body)
        if (acks, responses) == wanted:
            step("%s: %d acks, %d responses" % (what, len(acks), len(responses)))
            return
        step("%s: answered by %s only" % (what, acks))
        if len(set(acks)) != len(acks) or not set(acks) <= set(wanted[0]) or not set(responses) <= set(wanted[1]):
            break
    raise Failure("%s: answered by %s\n    and not by %s" % (what, (acks, responses), wanted))


ASKED = {
    "event": ["event", "deploy", "v2"],
    "event-alone": ["event", "-coalesce=false", "deploy"],
    "event-too-long": ["event", "long", "x" * 600],
    "event-too-long-encoded": ["event", "long", "x" * 490],
    "query": ["query", "-timeout=500ms", "up", "p"],
    "query-no-ack": ["query", "-timeout=300ms", "-no-ack", "up"],
    "query-json-nobody": ["query", "-timeout=300ms", "-no-ack", "-format=json", "up"],
    "query-json": ["query", "-timeout=500ms", "-node=real-2", "-format=json", "up"],
    "query-nobody": ["query", "-timeout=300ms", "-node=nobody", "up"],
    "query-bad-expression": ["query", "-timeout=300ms", "-tag=role=(", "up"],
    "query-past": ["query", "-timeout=0s", "-node=nobody", "-no-ack", "up"],
    "query-bad-format": ["query", "-format=xml", "up"],
    "query-bad-tag": ["query", "-tag=x", "up"],
    "query-bad-relay": ["query", "-relay-factor=256", "up"],
    "query-reserved": ["query", "_serf_x", "up"],
    "query-ping": ["query", "-timeout=500ms", "_serf_ping"],
    "query-too-long": ["query", "long", "x" * 1100],
    "reachability": ["reachability"],
    "rtt-nobody": ["rtt", "nobody"],
}


# Who: the real command line and ours, each against an agent of either kind in one cluster. All four must print the
# same, save the order in which members answer.
@interop(talk=["agent: failed to (send user event|start user query)", "failed to compile filter regex"])
def test_commands_print_the_same_of_both(lab):
    lab.cluster(real=2, ours=2)
    for case, words in ASKED.items():
        answers = {}
        for program in ("real", "ours"):
            for agent in (lab.of("real")[0], lab.of("ours")[0]):
                code, out, err = lab.command(program, words[0], "-rpc-addr=" + agent.rpc_text, *words[1:])
                answers["%s asks %s" % (program, agent)] = code, sorted(out.split("\n")), err
        if len({repr(answer) for answer in answers.values()}) != 1:
            raise Failure("%s:\n%s" % (case, "\n".join("%s: %s" % row for row in answers.items())))
        step("%s: the same" % case)


# Who: one of two is stopped. Both command lines say so of both, in the same words, and fail.
@interop(talk=LATE_TALK)
def test_reachability_names_who_does_not_answer(lab):
    lab.cluster(real=2, ours=2)
    lab.of("real")[1].pause()
    answers = {}
    for program in ("real", "ours"):
        code, out, _ = lab.command(program, "reachability", "-rpc-addr=" + lab.of("ours")[0].rpc_text)
        answers[program] = code, re.sub(r"\d+", "N", out.split("\n")[0]), out.split("\n")[1:]
        time.sleep(0.1)
    lab.of("real")[1].resume()
    if answers["real"] != answers["ours"] or answers["real"][0] != 1 or "\treal-2" not in answers["real"][2]:
        raise Failure("real: %s\n    ours: %s" % (answers["real"], answers["ours"]))


# Who: a newcomer of either kind with a name that is taken. The cluster says so, it ends by itself with exit code 0, and
# nobody takes the one who had the name first for failed or left.
@interop(KINDS, talk=CONFLICT_TALK)
def test_newcomer_with_a_taken_name_ends_without_leaving(lab, kind):
    lab.cluster(real=2, ours=2)
    since = lab.watcher.reports[-1].time
    newcomer = lab.agent(kind, name="real-1", join=lab.of("ours")[1], wait=False)
    lab.agents.remove(newcomer)
    until(lambda: not newcomer.is_running, 15, "the newcomer ends")
    if newcomer.process.returncode != 0:
        raise Failure("%s ended with exit code %d" % (newcomer, newcomer.process.returncode))
    lab.agree(what="as before")
    lab.nobody_reported(("failed", "leave"), since)
