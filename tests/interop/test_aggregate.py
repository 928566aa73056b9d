"""`bruit agg`: the same figures from every agent of ours in a cluster of both kinds, and nothing for Serf's to hear."""
import json

from support import Failure, interop, step, until


def agg(lab, agent, *words):
    code, out, err = lab.command("ours", "agg", words[0], "-rpc-addr=" + agent.rpc_text, "-format=json", *words[1:])
    if err:
        raise Failure("bruit agg %s: stderr %r" % (" ".join(words), err))
    return code, json.loads(out) if out else {}


def publish(lab, agent, name, value):
    code, out = agg(lab, agent, "publish", "--", name, value)
    if code != 0:
        raise Failure("%s cannot publish %s: %r" % (agent, name, out))


def all_say(lab, agents, words, value):
    def same():
        return all(agg(lab, agent, *words)[1].get("value") == value for agent in agents)
    return same


# Who: five members of both kinds. Ours publish numbers and texts, and change them often; each tells the same sums. One
# of ours is killed and comes back with another value; all agree on what they see. Agents of Serf's log nothing of it
# (the laboratory looks), never flap, and are told apart in a sentence.
@interop(ours_only=True, talk=[r"agent\.ipc: .*(agg|command)"])
def test_aggregates_beside_real_agents(lab):
    first = lab.agent("ours", name="first")
    second = lab.agent("real", name="second", join=first)
    third = lab.agent("ours", name="third", join=first)
    lab.agent("real", name="fourth", join=second)
    fifth = lab.agent("ours", name="fifth", join=second)
    lab.agree(what="joined")
    ours = lab.of("ours")
    until(lambda: all(agg(lab, agent, "size")[1] == {"members": 5, "peers": 3} for agent in ours), 30,
          "three of five are peers")
    for round_ in range(20):
        for number, agent in enumerate(ours):
            publish(lab, agent, "load", str(round_ + number / 4))
    for agent in ours:
        publish(lab, agent, "version", "v1.1" if agent is third else "v1.2")
    until(all_say(lab, ours, ("sum", "load"), 3 * 19 + 0.75), 20, "the sum of the last values")
    until(all_say(lab, ours, ("quantile", "load", "0.5"), 19.25), 20, "their median")
    until(all_say(lab, ours, ("distinct", "version"), 2), 20, "two versions")
    top = agg(lab, fifth, "top", "version")[1]["items"]
    if [(item["text"], item["count"]) for item in top] != [("v1.2", 2), ("v1.1", 1)]:
        raise Failure("the top list is %r" % top)
    step("three agents tell the same figures")
    until(lambda: agg(lab, first, "checksum")[0] == 0, 30, "all agents of ours see the same")
    third.kill()
    lab.agree(60, "the dead one is failed everywhere")
    until(all_say(lab, [first, fifth], ("sum", "load"), 19 + 19.5), 5, "the sum without the dead one")
    code, out = agg(lab, first, "withdraw", "load")
    if code != 0:
        raise Failure("withdraw: %r" % out)
    until(all_say(lab, [first, fifth], ("count", "load"), 1), 20, "one is left")
    code, out, _ = lab.command("ours", "agg", "count", "-rpc-addr=" + second.rpc_text, "load")
    if code != 1 or "this agent is Serf's, or a bruit older than this one" not in out:
        raise Failure("of an agent of Serf's it says %r, exit code %d" % (out, code))
    step("the dead one is out, and Serf's agents heard nothing")
