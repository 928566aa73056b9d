"""What an agent keeps in files, and what its handlers are told: either program goes on with what the other wrote."""
import contextlib
import json
import os
import re
import shutil
import tempfile

from support import Failure, hold, interop, random_key, step, until
from test_events import ask

HANDOVERS = {"real-to-ours": {"kinds": ("real", "ours")}, "ours-to-real": {"kinds": ("ours", "real")},
             "ours-to-ours": {"kinds": ("ours", "ours")}}
OTHER = {"real": "ours", "ours": "real"}


class Folder:
    """A folder that goes when the test does."""

    def __init__(self, lab):
        self.path = tempfile.mkdtemp(prefix="bruit-interop-")
        lab.kept.append(self)

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name, text=None):
        path = os.path.join(self.path, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def text(self, name):
        path = self.file(name)
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8") as file:
            return file.read()


# Who: three agents; one keeps a snapshot and a list of the user events it was handed. It is killed, and the other
# program takes its place with the file it left. First alone, with nobody to find in the file: its clocks go on from
# where they were. Then with all of it, and nobody tells it whom to join: it must find back by itself, and is handed
# what is new, but not what was handed out in the life before.
@interop(HANDOVERS)
# conformance: serf 57, 60
def test_restart_from_the_snapshot_of_the_other_program_goes_on(lab, kinds):
    folder = Folder(lab)
    first = lab.agent("real")
    ours = lab.agent("ours", join=first)
    remembers = ["-snapshot=" + folder.file("snap"),
                 "-event-handler=user=cat >/dev/null; echo $SERF_USER_EVENT >>" + folder.file("heard")]
    wanderer = lab.agent(kinds[0], name="wanderer", join=first, flags=remembers)
    lab.agree(what="all joined")
    for number in range(3):
        ours.rpc().call("event", {"Name": "old%d" % number, "Payload": b"", "Coalesce": False})
        until(lambda: "old%d" % number in folder.text("heard"), 15, "event %d is heard" % number)
    ask_until_noted(lab, first, folder)
    until(lambda: "alive: " + first.name in folder.text("snap"), 15, lambda: "the snapshot: " + folder.text("snap"))
    until(lambda: last_clock(folder, "event") == 3, 15, lambda: "the snapshot: " + folder.text("snap"))
    wanderer.kill()
    lab.agree(what="the kill")
    step("killed; its snapshot:\n" + folder.text("snap"))
    wanderer.kind = kinds[1]
    goes_on_from_its_clocks(lab, wanderer, folder)
    wanderer.flags = remembers
    wanderer.start()
    lab.agree(what="back again")
    ours.rpc().call("event", {"Name": "new", "Payload": b"", "Coalesce": False})
    until(lambda: "new" in folder.text("heard"), 15, "the new event is heard")
    hold(2, lambda: None)
    if folder.text("heard").split() != ["old0", "old1", "old2", "new"]:
        raise Failure("%s was handed %s" % (wanderer, folder.text("heard").split()))


def last_clock(folder, name):
    """Of the member, event or query clock the last that the snapshot holds."""
    found = re.findall(r"^%s: (\d+)$" % {"member": "clock"}.get(name, name + "-clock"), folder.text("snap"), re.M)
    return int(found[-1]) if found else 0


def ask_until_noted(lab, agent, folder):
    """A query may be lost; whoever hears one notes its time. The real program writes when there is more to write."""
    for number in range(2):
        ask(agent, Name="q", Timeout=10**9)
        lab.agent("real", name="late-%d" % number, join=agent)
        with contextlib.suppress(Failure):
            until(lambda: last_clock(folder, "query") > 0, 3, "a query is noted")
            return
    raise Failure("no query is noted in the snapshot:\n" + folder.text("snap"))


def goes_on_from_its_clocks(lab, agent, folder):
    """With a snapshot that names nobody, what it knows of time can come from the file alone."""
    kept = "".join(line for line in folder.text("snap").splitlines(True) if "alive: " not in line)
    agent.flags = ["-snapshot=" + folder.file("alone", kept)]
    agent.start()
    agent.expected = "failed"
    stats = agent.rpc().call("stats", has_answer=True)["serf"]
    for name in ("member", "event", "query"):
        if int(stats[name + "_time"]) < last_clock(folder, name) + 1 or last_clock(folder, name) == 0:
            raise Failure("the %s clock of %s is %s; its snapshot:\n%s" % (name, agent, stats[name + "_time"], kept))
    step("its clocks: %s" % {name: stats[name + "_time"] for name in ("member", "event", "query")})
    agent.process.kill()
    agent.process.wait()
    agent.drop_rpc()


# Who left on purpose stays away, unless it is told to come back.
@interop(HANDOVERS)
# conformance: serf 57
def test_after_leaving_only_rejoin_finds_back(lab, kinds):
    folder = Folder(lab)
    first = lab.agent("real")
    wanderer = lab.agent(kinds[0], name="wanderer", join=first, flags=["-snapshot=" + folder.file("snap")])
    lab.agree(what="all joined")
    wanderer.leave("signal")
    lab.agree(what="the leave")
    if "leave\n" not in folder.text("snap"):
        raise Failure("no leave in the snapshot:\n" + folder.text("snap"))
    left = folder.text("snap")
    wanderer.kind = kinds[1]
    wanderer.start()
    wanderer.expected = "left"          # the others see nothing of it

    def stays_alone():
        if set(wanderer.members()) != {wanderer.name}:
            raise Failure("%s came back: %s" % (wanderer, sorted(wanderer.members())))
    hold(3, stays_alone)
    wanderer.process.kill()
    wanderer.process.wait()
    folder.file("snap", left)
    wanderer.flags.append("-rejoin")
    wanderer.start()
    lab.agree(what="back again with -rejoin")


# A keyring of two keys: one agent of each kind, the primary of one being the second of the other.
@interop()
def test_keyring_and_tags_files_of_both_kinds_are_one_cluster(lab):
    folder = Folder(lab)
    keys = [random_key(32), random_key(32)]
    ring = folder.file("one", json.dumps(keys)), folder.file("two", json.dumps(keys[::-1]))
    tags = folder.file("tags", '{"kind": "tagged", "name": "x"}')
    first = lab.agent("real", flags=["-keyring-file=" + ring[0]])
    ours = lab.agent("ours", flags=["-keyring-file=" + ring[1], "-tags-file=" + tags], tags={}, join=first)
    ours.tags = {"kind": "tagged", "name": "x"}
    lab.agree(what="both joined")
    ours.rpc().call("tags", {"Tags": {"kind": "changed"}, "DeleteTags": ["name"]})
    ours.tags = {"kind": "changed"}
    lab.agree(what="changed tags")
    if folder.text("tags") != '{\n  "kind": "changed"\n}':
        raise Failure("the tags file has " + folder.text("tags"))
    ours.kill()
    ours.kind, ours.tags = "real", {}
    ours.start(join=first)
    ours.tags = {"kind": "changed"}
    lab.agree(what="the real program with our tags file")


# The same handlers at an agent of each kind: a user event, a query and a join tell both the same.
@interop()
# conformance: agent 8, 9
def test_handlers_of_both_kinds_are_told_the_same(lab):
    folder = Folder(lab)
    agents = []
    for kind in ("real", "ours"):
        out = folder.file(kind)
        script = ("{ env | grep ^SERF_ | grep -v -e SELF_NAME -e RPC_ADDR | sort; cat; echo; } > %s.$SERF_EVENT.tmp; "
                  "mv %s.$SERF_EVENT.tmp %s.$SERF_EVENT; printf reply-%%s $SERF_SELF_ROLE" % (out, out, out))
        flags = ["-event-handler=user:deploy,query:ask,member-leave=" + script]
        agents.append(lab.agent(kind, tags={"role": "web", "a-b.c": "x,y z"}, flags=flags,
                                join=agents[0] if agents else None))
    leaver = lab.agent("real", tags={"x": "1"}, join=agents[0])
    lab.agree(what="all joined")
    agents[0].rpc().call("event", {"Name": "deploy", "Payload": b"v2", "Coalesce": False})
    agents[0].rpc().call("event", {"Name": "other", "Payload": b"v3", "Coalesce": False})
    lab.command("real", "query", "-rpc-addr=" + leaver.rpc_text, "-timeout=2s", "ask", "what")
    leaver.leave("signal")
    for event in ("user", "query", "member-leave"):
        until(lambda: all(folder.text("%s.%s" % (kind, event)) for kind in OTHER), 20,
              lambda: "%s at %s" % (event, [kind for kind in OTHER if not folder.text("%s.%s" % (kind, event))]))
        real, ours = folder.text("real." + event), folder.text("ours." + event)
        if real != ours:
            raise Failure("a handler of %s was told by the real agent:\n%s\nand by ours:\n%s" % (event, real, ours))
        step("%s: both were told\n%s" % (event, ours))
