"""Three real agents and three of ours as one cluster: keys, tags and the end of a life, as either kind does them."""
import concurrent.futures
import itertools
import json
import threading

from story import kill_and_see_failed
from support import KEY_TALK, LATE_TALK, Failure, Rpc, RpcError, hold, interop, now, random_key, step, until
from test_events import Ear, ask
from test_files import Folder
from test_keys import INSTALLED, REMOVED, USED, expect, keys

KINDS = {"real": {"kind": "real"}, "ours": {"kind": "ours"}}
OTHER = {"real": "ours", "ours": "real"}
TOO_LATE = "Serf can't Join after Leave or Shutdown"
TOO_LONG = "Encoded length of tags exceeds limit of 512 bytes"


class Traffic:
    """Events and queries, from each of the agents in turn, until it is told to end."""

    def __init__(self, lab, agents):
        self.agents = agents
        self.names = sorted(agent.name for agent in agents)
        self.ears = [Ear(lab, agent, answer=agent.name.encode()) for agent in agents]
        self.events, self.queries, self.wrong = 0, [], []
        self.is_over = threading.Event()
        # A real agent gives two queries begun at once the same time, and then loses answers: one at a time of each.
        works = [(self.send_events, agents)] + [(self.send_queries, agents[each::3]) for each in range(3)]
        self.threads = [threading.Thread(target=self.work, args=work, daemon=True) for work in works]
        for thread in self.threads:
            thread.start()

    def work(self, what, agents):
        try:
            what(agents)
        except Exception as error:      # it belongs to the test, which is in another thread
            self.wrong.append(error)

    def send_events(self, agents):
        lines = [Rpc(agent.rpc_address) for agent in agents]
        while not self.is_over.wait(0.1):
            lines[self.events % len(lines)].call("event", {"Name": "e", "Payload": b"%d" % self.events,
                                                           "Coalesce": False})
            self.events += 1
        for line in lines:
            line.close()

    def send_queries(self, agents):
        for asker in itertools.cycle(agents):
            if self.is_over.wait(0.1):
                return
            self.queries.append(ask(asker, Name="q", Timeout=10**9))

    def end(self):
        """Everybody heard each event once, and with one time; nobody answered a query twice. Tells who missed one."""
        self.is_over.set()
        for thread in self.threads:
            thread.join(20)
        if self.wrong:
            raise self.wrong[0]
        hold(1, lambda: None)
        self.repair()
        for ear in self.ears:
            if sorted(ear.events) != sorted(self.ears[0].events) or len(ear.events) != self.events:
                raise Failure("of %d events %s heard %d and %s heard %d, or other times of them" % (
                    self.events, self.ears[0].agent, len(self.ears[0].events), ear.agent, len(ear.events)))
        for acks, responses in self.queries:
            froms = [name for name, _ in responses]
            if len(set(acks)) != len(acks) or len(set(froms)) != len(froms) or not set(acks) <= set(self.names):
                raise Failure("a query was answered by %s and %s" % (acks, froms))
        missed = [sorted(set(self.names) - set(acks)) for acks, _ in self.queries if acks != self.names]
        step("%d events; %d queries, %d of which missed somebody: %s" %
             (self.events, len(self.queries), len(missed), missed))

    def repair(self):
        """What gossip did not bring one, its next sync does. A join is such a sync, and half a minute shorter."""
        lacking = [ear for ear in self.ears if len(ear.events) < self.events]
        for ear in lacking:
            step("%s heard %d of %d events" % (ear.agent, len(ear.events), self.events))
            others = [agent.gossip_address for agent in self.agents if agent is not ear.agent]
            ear.agent.rpc().call("join", {"Existing": others, "Replay": True}, has_answer=True)
        until(lambda: all(len(ear.events) >= self.events for ear in lacking), 20,
              lambda: "%d events: %s" % (self.events, {str(ear.agent): len(ear.events) for ear in self.ears}))


# Who: an encrypted cluster, every member with a keyring file, and traffic all the time. One member is dead while the
# others change to another key, led by a command line and an agent of one kind. No event is lost or heard twice. When
# the dead one comes back with its old file it must not get in, and must be told what is wrong; with the keyring of
# another member it is one of them again.
@interop(KINDS, talk=KEY_TALK)
# conformance: serf 46, 48
def test_keys_are_rotated_while_traffic_flows_and_one_is_away(lab, kind):
    folder = Folder(lab)
    old, new = random_key(32), random_key(32)
    for number in (1, 2, 3):
        for each in (kind, OTHER[kind]):
            ring = folder.file("%s-%d" % (each, number), json.dumps([old]))
            lab.agent(each, flags=["-keyring-file=" + ring], join=lab.agents[0] if lab.agents else None)
    lab.agree(what="all joined")
    away = lab.of(OTHER[kind])[2]
    kill_and_see_failed(lab, away)
    here = lab.speaking()
    traffic = Traffic(lab, here)
    for words, text in ((["-install=" + new], INSTALLED), (["-use=" + new], USED), (["-remove=" + old], REMOVED)):
        expect(keys(lab, kind, lab.of(kind)[0], *words), 0, text)
        step("%s: done by the five" % words[0].split("=")[0])
        hold(1, lambda: None)
    traffic.end()
    for agent in here:
        if json.loads(folder.text(agent.name)) != [new]:
            raise Failure("the keyring file of %s holds %s" % (agent, folder.text(agent.name)))
    comes_back_with_old_keys(lab, away, here)
    folder.file(away.name, folder.text(here[1].name))
    away.start(join=here[0])
    lab.agree(what="back with the keyring of %s" % here[1])
    away.rpc().call("event", {"Name": "back", "Payload": b"", "Coalesce": False})
    until(lambda: all(ear.events[-1][1] == "back" for ear in traffic.ears), 15, "an event of %s is everywhere" % away)


def comes_back_with_old_keys(lab, away, here):
    """It must stay out, and a line in its log must say that it lacks a key."""
    since = now()
    away.start()
    away.expected = "failed"
    try:
        away.rpc().call("join", {"Existing": [here[0].gossip_address, here[1].gossip_address], "Replay": False},
                        has_answer=True)
    except RpcError as error:
        step("with its old keyring %s cannot join: %s" % (away, error))
        if "no installed key" not in str(error).lower():
            raise Failure("%s cannot join, and does not say that it lacks a key: %s" % (away, error))
    else:
        raise Failure("%s joined with a key that nobody has any more" % away)
    if away.kind == "ours" and not lab.is_rehearsal:
        lines = until(lambda: away.log_since(since, r"\[WARN\].*change of keys"), 10, "a word about keys by %s" % away)
        step("it says: " + lines[0].strip())
    lab.agree(among=here, what="it stays out")
    away.kill()


# Who: rings that differ, and a member that does not answer. Command lines of both kinds count the same through both.
@interop(talk=LATE_TALK)
# conformance: serf 48
def test_keys_and_answers_are_counted_alike(lab):
    folder = Folder(lab)
    shared, left, right = sorted(random_key(16) for _ in range(3))
    for kind in ("real", "ours", "real", "ours"):
        ring = [shared, left] if kind == "real" else [shared, left, right]
        name = "%s-%d" % (kind, len(lab.agents))
        lab.agent(kind, name=name, flags=["-keyring-file=" + folder.file(name, json.dumps(ring))],
                  join=lab.agents[0] if lab.agents else None)
    lab.agree(what="joined")
    asked = [(program, agent) for program in ("real", "ours") for agent in (lab.agents[0], lab.agents[1])]
    for program, agent in asked:
        code, out = keys(lab, program, agent, "-list")
        rows = sorted(tuple(line.split()) for line in out.split("\n") if line.endswith("/4]"))
        if (code, rows) != (0, sorted([(shared, "[4/4]"), (left, "[4/4]"), (right, "[2/4]")])):
            raise Failure("%s of %s lists: %s" % (program, agent, out))
    lab.agents[3].pause()
    pairs = (("real", lab.agents[0]), ("ours", lab.agents[1]))      # at once, before the silent one is found failed
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda pair: lab.command(pair[0], "keys", "-rpc-addr=" + pair[1].rpc_text,
                                                         "-install=" + left), pairs))
    lab.agents[3].resume()
    code, out, err = answers[0]
    if len(set(answers)) != 1 or code != 1 or "3/4 nodes reported success" not in out + err:
        raise Failure("one of four does not answer: %s" % "\n    ".join(map(str, answers)))


# Who: an agent of either kind with tags of 512 and of 513 encoded bytes, at the start and changed later.
@interop(KINDS)
# conformance: serf 51
def test_tags_of_512_bytes_fit_and_of_513_do_not(lab, kind):
    room = 512 - len(b"\xff\x81\xa1k\xda..")
    refused = lab.agent(kind, name="refused", tags={"k": "x" * (room + 1)}, wait=False)
    until(lambda: not refused.is_running and refused.log_since(0, TOO_LONG), 15, "%s ends, saying why" % refused)
    if refused.process.returncode != 1:
        raise Failure("%s ended with exit code %d" % (refused, refused.process.returncode))
    lab.agents.remove(refused)
    first = lab.agent(OTHER[kind])
    agent = lab.agent(kind, tags={"k": "x" * room}, join=first)
    lab.agree(what="512 bytes at the start")
    try:
        agent.rpc().call("tags", {"Tags": {"k": "y" * (room + 1)}, "DeleteTags": []})
        raise Failure("%s took tags of 513 bytes" % agent)
    except RpcError as error:
        if str(error) != TOO_LONG:
            raise Failure("%s refused tags of 513 bytes with: %s" % (agent, error))
    lab.agree(what="nothing changed")
    agent.tags = {"k": "z" * room}
    agent.rpc().call("tags", {"Tags": agent.tags, "DeleteTags": []})
    lab.agree(what="512 bytes later")


# Who: an agent of either kind leaves over RPC, and somebody tells it to join while it does. That is refused with one
# sentence; the leave takes the second in which late probes still find it, and not much more than that.
@interop(KINDS, talk=["error joining: " + TOO_LATE])
# conformance: serf 63, 64
def test_leave_takes_its_second_and_allows_no_join(lab, kind):
    lab.cluster(real=2, ours=2)
    leaver, peer = lab.of(kind)[1], lab.of(OTHER[kind])[0]
    line = Rpc(leaver.rpc_address)
    other = Rpc(leaver.rpc_address)
    since = now()
    line.send("leave")
    until(lambda: leaver.log_since(since, "requesting graceful leave"), 5, "%s leaves" % leaver)
    try:
        other.call("join", {"Existing": [peer.gossip_address], "Replay": False}, has_answer=True)
        raise Failure("%s joined while it left" % leaver)
    except RpcError as error:
        if str(error) != TOO_LATE:
            raise Failure("%s, told to join while it left, said: %s" % (leaver, error))
    line.read()
    took = now() - since
    step("the leave took %.2f s" % took)
    if not 1 <= took <= 2 * 5 + 1:
        raise Failure("the leave of %s took %.2f s" % (leaver, took))
    leaver.process.wait(10)
    leaver.expected = "left"
    leaver.drop_rpc()
    lab.agree(what="%s left" % leaver)
