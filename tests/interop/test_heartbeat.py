"""Clusters of our agents that run heartbeats instead of SWIM: real processes. Real Serf has no such thing."""
import os
import tempfile

from support import Failure, interop, now, step, until

BEATS = ["-detector=heartbeat"]


def beating(lab, count, folder=None, flags=()):
    """`count` agents that joined the first one; each with a generation file of its own if there is a folder."""
    for i in range(count):
        own = ["-generation-file=" + os.path.join(folder, str(i))] if folder else []
        lab.agent("ours", flags=BEATS + own + list(flags), join=lab.agents[0] if i else None)
    lab.agree(30, "all joined")


def is_seen_by_all(lab, subject, status):
    return all(agent.members()[subject.name].status == status for agent in lab.speaking() if agent is not subject)


# Who: five agents. One is killed, found failed by all, and comes back with its counter raised; one is stopped and
# accuses nobody when it goes on; one leaves. An event reaches all. Nobody else is ever called failed.
@interop(needs_serf=False, ours_only=True)
def test_five_agents_live_by_heartbeats(lab):
    with tempfile.TemporaryDirectory() as folder:
        beating(lab, 5, folder)
        first, second, third, fourth, fifth = lab.agents
        since = now()
        third.kill()
        until(lambda: is_seen_by_all(lab, third, "failed"), 30, "all see the killed one failed")
        step("killed: known to all after %.1f s" % (now() - since))
        third.start(join=first)
        lab.agree(15, "it is back")
        with open(os.path.join(folder, "2"), encoding="ascii") as file:
            if file.read() != "2\n":
                raise Failure("the second life is not of generation 2")
        second.pause()
        until(lambda: is_seen_by_all(lab, second, "failed"), 30, "all see the stopped one failed")
        second.resume()
        lab.agree(15, "it goes on")
        lab.nobody_reported("failed", except_about=(second.name, third.name))
        lab.command("ours", "event", "-rpc-addr=" + first.rpc_text, "hello", "world")
        until(lambda: all(agent.log_since(since, "messageUserEventType: hello") for agent in lab.agents), 15,
              "the event reaches all")
        fourth.leave("rpc")
        lab.agree(15, "it left")


def refused_join(lab, asker, asked):
    code, *said = lab.command("ours", "join", "-rpc-addr=" + asker.rpc_text, asked.gossip_address)
    return code, " ".join(said)


# An agent with SWIM tries to join them: it is told why not, and so is their log; and the other way round.
@interop(needs_serf=False, ours_only=True)
def test_the_other_detector_is_told_why(lab):
    beating(lab, 3)
    first = lab.agents[0]
    swim = lab.agent("ours", name="swim")
    swim.expected = None
    code, said = refused_join(lab, swim, first)
    if code == 0 or "the other failure detector" not in said:
        raise Failure("joining should fail with a reason, not with code %d and: %s" % (code, said))
    until(lambda: first.log_since(0, "start it with -detector=heartbeat"), 5, "the log says what to do")
    code, said = refused_join(lab, first, swim)
    if code == 0 or "the other failure detector" not in said:
        raise Failure("joining should fail with a reason, not with code %d and: %s" % (code, said))
    lab.agree(5, "the three are as before", among=lab.agents[:3])


# A hundred processes: how long until all know each other, until a crash is known to all, until it is back with all.
@interop(needs_serf=False, ours_only=True, long=True, alone=True, seconds_max=300)
def test_a_hundred_agents(lab):
    beating(lab, 100)
    victim = lab.agents[50]
    since = now()
    victim.kill()
    until(lambda: any(agent.log_since(since, "EventMemberFailed: " + victim.name) for agent in lab.agents), 60,
          "the first sees the killed one failed")
    step("killed: known to the first after %.1f s" % (now() - since))
    until(lambda: all(agent.log_since(since, "EventMemberFailed: " + victim.name)
                      for agent in lab.speaking()), 60, "all see the killed one failed")
    step("killed: known to all after %.1f s" % (now() - since))
    since = now()
    victim.start(join=lab.agents[0])
    until(lambda: all(agent.log_since(since, "EventMemberJoin: " + victim.name + " ")
                      for agent in lab.speaking() if agent is not victim), 60, "all see it back")
    step("started again: known to all after %.1f s" % (now() - since))
    lab.nobody_reported("failed", except_about=(victim.name,))
