"""`bruit owner`: the same answer from every agent of ours in a cluster of both kinds, and what Serf's agents say."""
import json

from support import Failure, interop, step, until

KEYS = ["user:%d" % number for number in range(300)]


def ask(lab, agent, *words):
    code, out, err = lab.command("ours", "owner", "-rpc-addr=" + agent.rpc_text, "-format=json", *words)
    if code != 0 or err:
        raise Failure("bruit owner %s: exit code %d and %r, stderr %r" % (" ".join(words[:3]), code, out, err))
    return json.loads(out)


def places(lab, agent):
    """The names of the two owners of each key, and the zones they are in."""
    rows = ask(lab, agent, "-n=2", *KEYS)["keys"]
    if [row["key"] for row in rows] != KEYS:
        raise Failure("not the keys that were asked for")
    return {row["key"]: [(owner["name"], owner["zone"]) for owner in row["owners"]] for row in rows}


def same_view(lab, agents):
    return lambda: len({ask(lab, agent, "-share")["view"] for agent in agents}) == 1


# Who: five members of both kinds in two zones, one of them three times as heavy and one that wants no keys. All agents
# of ours place 300 keys alike, two owners in two zones; then a member of Serf's dies, and only its keys move. Agents of
# Serf's are told apart in a sentence, and live on.
@interop(ours_only=True, talk=[r"agent\.ipc: .*(owner|command)"])
def test_owners_are_the_same_at_every_agent(lab):
    first = lab.agent("ours", name="first", tags={"zone": "a", "weight": "3"})
    second = lab.agent("real", name="second", tags={"zone": "b"}, join=first)
    lab.agent("ours", name="third", tags={"zone": "b"}, join=first)
    fourth = lab.agent("real", name="fourth", tags={"zone": "a"}, join=first)
    lab.agent("ours", name="fifth", tags={"zone": "a", "weight": "0"}, join=first)
    lab.agree(what="joined")
    ours = lab.of("ours")
    until(same_view(lab, ours), 30, "the same view at all agents of ours")
    before = places(lab, first)
    for agent in ours[1:]:
        if places(lab, agent) != before:
            raise Failure("%s places keys in another way than %s" % (agent, first))
    for key, owners in before.items():
        if len(owners) != 2 or {zone for _, zone in owners} != {"a", "b"} or "fifth" in dict(owners):
            raise Failure("%s belongs to %r" % (key, owners))
    shares = {row["name"]: row["share_percent"] for row in ask(lab, first, "-share")["members"]}
    if shares != {"first": 50, "second": 16.667, "third": 16.667, "fourth": 16.667, "fifth": 0}:
        raise Failure("the shares are %r" % shares)
    step("300 keys are placed alike by three agents")
    for agent in (second, fourth):
        code, out, _ = lab.command("ours", "owner", "-rpc-addr=" + agent.rpc_text, *KEYS)
        if code != 1 or "this agent is Serf's, or a bruit older than this one" not in out:
            raise Failure("of an agent of Serf's it says %r, exit code %d" % (out, code))
    fourth.kill()
    lab.agree(60, "the dead one is failed everywhere")
    after = places(lab, ours[1])
    for key, owners in before.items():
        stay = [owner for owner in owners if owner[0] != "fourth"]
        if not set(stay) <= set(after[key]) or (len(stay) == 2 and after[key] != owners):
            raise Failure("%s moved from %r to %r" % (key, owners, after[key]))
    step("its keys moved, and no others")
