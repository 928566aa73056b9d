"""Two networks with a router between them: cut, healed; and agents that listen on every address of their host.

Every test here gets a Network, made before the test process has threads (run.py).
"""
import collections
import contextlib
import fcntl
import json
import os
import re
import select
import struct
import tempfile
import threading
import time

from story import kill_and_see_failed, leave_and_see_left, restart_and_see_alive
from support import (CONFLICT_TALK, KEY_TALK, REPLACED_TALK, Failure, Skip, hold, inside, interop, now, random_key,
                     step, until)

CUT_SECONDS = 40
GIVE_UP_SECONDS = 60        # three of six fall silent at once: with probes and confirmations lost, that takes its time


def agent_on(lab, network, number, host, kind, **options):
    """An agent on one side. Its RPC is at that side's own loopback, so that a cut does not blind the test."""
    return lab.agent(kind, address=network.add_address(number, host), namespace=network.sides[number - 1],
                     rpc_address=("127.0.0.1", 7373 + host), **options)


def settle(lab, network, sides, flags=None):
    """Starts agents of the given kinds on the two sides, all joining the first, and waits until all agree."""
    groups = [[], []]
    for number, kinds in enumerate(sides, 1):
        for host, kind in enumerate(kinds, 1):
            seed = groups[0][0] if groups[0] else None
            groups[number - 1].append(agent_on(lab, network, number, host, kind, join=seed,
                                               flags=(flags or {}).get(kind, ())))
    lab.agree(what="both sides together")
    return groups


def cut_and_heal(lab, network, left, right, meanwhile=lambda: None):
    """Cuts for 40 s; each side must call the other failed and nobody of its own; heals; all must be alive again."""
    since = now()
    network.cut()
    step("cut")
    for here, there in ((left, right), (right, left)):
        set_expected(there, "failed")
        lab.agree(GIVE_UP_SECONDS, "the side of %s gives up the other" % here[0], among=here)
        set_expected(there, "alive")
    meanwhile()
    hold(max(0.0, CUT_SECONDS - (now() - since)), lambda: nobody_accused_his_own(lab, (left, right), since))
    network.heal()
    step("healed after %.1f s" % (now() - since))
    lab.agree(120, "both sides together again")
    nobody_accused_his_own(lab, (left, right), since)
    since = now()
    hold(5, lambda: lab.nobody_reported("failed", since))
    lab.agree(5, "still together")


def set_expected(agents, status):
    for agent in agents:
        if agent.is_running:
            agent.expected = status


def nobody_accused_his_own(lab, sides, since):
    for side in sides:
        names = {agent.name for agent in side if agent.is_running}
        for report in lab.reports("failed", since, names):
            if report.observer in names:
                raise Failure("a side called one of its own failed: %s" % report)


# Who: three agents on each side of a line, kinds mixed on both, or apart. The line is dead for 40 s: each side reports
# the other failed. Then it works again: gossip to the dead, or a reconnect, must bring all six together, without help.
@interop({"kinds-mixed": {"sides": (["real", "ours", "real"], ["ours", "real", "ours"])},
          "kinds-apart": {"sides": (["real", "real", "real"], ["ours", "ours", "ours"])}},
         long={"kinds-apart"}, seconds_max=300)
def test_healed_partition_brings_all_back(lab, network, sides):
    left, right = settle(lab, network, sides)
    cut_and_heal(lab, network, left, right)


# Who: a member leaves on one side while the line is cut. The other side calls it failed, as it must; after the heal it
# has to be left there too, which only the list of left members in a sync can tell.
@interop({"real": {"kind": "real"}, "ours": {"kind": "ours"}}, long={"real"}, seconds_max=300)
# conformance: serf 24
def test_leave_during_a_partition_is_known_after_it(lab, network, kind):
    left, right = settle(lab, network, (["real", "ours"], ["ours", "real", kind]))
    cut_and_heal(lab, network, left, right, lambda: leave_until_heard(lab, right))


def leave_until_heard(lab, side):
    """With half of the cluster out of reach, an intent to leave may go to the unreachable alone: then try again."""
    leaver, peers = side[-1], side[:-1]
    for _ in range(8):
        since = now()
        leaver.leave("signal")
        with contextlib.suppress(Failure):
            until(lambda: any(lab.reports("leave", since, {leaver.name}, by=peer.name) for peer in peers), 3, "heard")
            return
        leaver.start(join=peers[0])
    raise Failure("nobody heard %s leave" % leaver)


# Who: two of ours and three real ones live through all of it: kill, restart, leave and return, a new key brought in by
# restarts in turn (the old first, then the new first, then the new alone), and a partition. They converge after each.
@interop(seconds_max=400, talk=KEY_TALK)
# conformance: memberlist 70
def test_two_of_ours_and_three_real_converge_after_everything(lab, network):
    with tempfile.TemporaryDirectory() as folder:
        old, new = random_key(16), random_key(32)
        flags = {kind: key_flags(lab, kind, folder, [old]) for kind in ("real", "ours")}
        left, right = settle(lab, network, (["real", "ours", "real"], ["ours", "real"]), flags)
        kill_and_see_failed(lab, left[1])
        restart_and_see_alive(lab, right[0], left[1])
        leave_and_see_left(lab, "rpc", right[0])
        restart_and_see_alive(lab, left[0], right[0])
        for keys in ([old, new], [new, old], [new]):
            restart_with_keys(lab, folder, keys)
        cut_and_heal(lab, network, left, right)


def restart_with_keys(lab, folder, keys):
    """All in turn, the real ones first: they still read what ours send under the key before."""
    real = lab.of("real")
    for agent in real + lab.of("ours"):
        agent.kill()
        agent.flags = key_flags(lab, agent.kind, folder, keys)
        agent.start(join=real[1] if agent is real[0] else real[0])
    lab.agree(what="all restarted with %d keys" % len(keys))


def key_flags(lab, kind, folder, keys):
    """A real agent reads its ring from a file. Ours holds one key as long as it has no such flag: the ring's first."""
    if kind == "ours" and not lab.is_rehearsal:
        return ["-encrypt=" + keys[0]]
    path = os.path.join(folder, "keys")
    with open(path, "w", encoding="ascii") as file:
        json.dump(keys, file)
    return ["-keyring-file=" + path]


# Who: an agent bound to 0.0.0.0, as in the distribution's service file, is replaced by one of the other kind with the
# same name on the same host: at once after a kill, after it was found failed, or after it left. The real one advertises
# its IPv4 address in 16 bytes: if ours advertised 4, everybody would call it a conflict and keep the dead one.
@interop({"%s-by-%s-%s" % (first, second, how): {"first": first, "second": second, "how": how}
          for first, second in (("real", "ours"), ("ours", "real")) for how in ("killed", "failed", "left")})
def test_replacement_bound_to_every_address_is_no_conflict(lab, network, first, second, how):
    bystanders = [agent_on(lab, network, 2, 1, "real")]
    bystanders += [agent_on(lab, network, 2, host, kind, join=bystanders[0])
                   for host, kind in ((2, "ours"), (3, "real"))]
    old = agent_on(lab, network, 1, 1, first, name="everywhere", bind="0.0.0.0:7946", join=bystanders[0])
    lab.agree(what="the first is in")
    since = now()
    if how == "killed":
        old.kill()
        lab.talk = REPLACED_TALK if first == "ours" else []
    elif how == "failed":
        kill_and_see_failed(lab, old)
    else:
        leave_and_see_left(lab, "signal", old)
    lab.agents.remove(old)
    agent_on(lab, network, 1, 1, second, name="everywhere", bind="0.0.0.0:7946", join=bystanders[0])
    lab.agree(what="the second is in")
    hold(6, lambda: lab.nobody_reported(("conflict", "conflict-own"), since))
    lab.agree(what="the second stays")


# Who: the same, but the second is bound to the host's address itself and so advertises 4 bytes where the first had 16.
# That is another address to memberlist: each bystander, ours too, must call it a conflict.
@interop({"real-by-ours": {"first": "real", "second": "ours"}, "ours-by-real": {"first": "ours", "second": "real"}},
         talk=CONFLICT_TALK)
# conformance: memberlist 39
def test_four_byte_form_of_a_sixteen_byte_address_is_a_conflict(lab, network, first, second):
    bystanders = [agent_on(lab, network, 2, 1, "real")]
    bystanders += [agent_on(lab, network, 2, host, kind, join=bystanders[0])
                   for host, kind in ((2, "ours"), (3, "real"))]
    old = agent_on(lab, network, 1, 1, first, name="everywhere", bind="0.0.0.0:7946", join=bystanders[0])
    lab.agree(what="the first is in")
    since = now()
    old.kill()
    agent_on(lab, network, 1, 1, second, name="everywhere", join=bystanders[0], wait=False)
    for bystander in bystanders:
        until(lambda: lab.reports("conflict", since, {"everywhere"}, by=bystander.name), 20,
              "%s calls it a conflict" % bystander)


# Who: an agent bound to 0.0.0.0 on a host that has no address but its loopback. There is nothing it could advertise,
# and 0.0.0.0 is no address anybody can send to: it must say so and end.
@interop({"real": {"kind": "real"}, "ours": {"kind": "ours"}})
def test_host_without_an_address_is_refused(lab, network, kind):
    side = network.sides[0]
    network.ip(side, "link set net down")
    agent = lab.agent(kind, address="127.0.0.1", namespace=side, bind="0.0.0.0:7946", wait=False)
    until(lambda: not agent.is_running, 15, "%s ends" % agent)
    if agent.process.returncode != 1:
        raise Failure("%s ended with exit code %s" % (agent, agent.process.returncode))


TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 0x0001, 0x1000


class SlowLine(threading.Thread):
    """A second line between the two sides, on which every packet takes its time. Not every kernel has netem."""

    def __init__(self, network, seconds):
        super().__init__(daemon=True)
        self.seconds = seconds
        self.ends = {}
        mine, theirs = (self.open_end(network, number) for number in (1, 2))
        self.ends = {mine: theirs, theirs: mine}
        self.start()

    @staticmethod
    def open_end(network, number):
        side = network.sides[number - 1]
        try:
            with inside(side):
                end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", b"line", IFF_TUN | IFF_NO_PI))
        except OSError as error:
            raise Skip("no tunnel device in a network namespace: %s" % error)
        network.ip(side, "link set line up")
        network.ip(side, "route replace 10.81.%d.0/24 dev line" % (3 - number))
        return end

    def run(self):
        waiting = collections.deque()
        while True:
            ready, _, _ = select.select(self.ends, (), (), max(0.0, waiting[0][0] - now()) if waiting else None)
            for end in ready:
                waiting.append((now() + self.seconds, self.ends[end], os.read(end, 65536)))
            while waiting and waiting[0][0] <= now():
                _, end, packet = waiting.popleft()
                with contextlib.suppress(OSError):      # what does not fit any more is lost, as on any line
                    os.write(end, packet)


# Who: two hosts 20 ms apart, both with agents of both kinds. After a while each real agent and each of ours know how
# far the other host is: both ends of a pair say the same within 20 %, and what they say is near to what it is.
@interop(seconds_max=200)
def test_both_kinds_measure_the_same_distance(lab, network):
    SlowLine(network, 0.010)
    left, right = settle(lab, network, (["real", "ours", "real"], ["ours", "real", "ours"]))
    pairs = [(one, other) for one in left for other in right if one.kind != other.kind]
    calm = [now()]

    def distance(program, asked, other):
        code, out, err = lab.command(program, "rtt", "-rpc-addr=" + asked.rpc_text, other.name,
                                     namespace=asked.namespace)
        match = re.fullmatch(r"Estimated \S+ <-> \S+ rtt: ([\d.]+) ms\n", out)
        if code != 0 and "Could not find a coordinate" not in out + err or code == 0 and match is None:
            raise Failure("%s rtt of %s: %d, %r, %r" % (program, asked, code, out, err))
        return float(match.group(1)) if match else 0.0      # it has not been probed yet

    def apart():
        wrong = []
        for one, other in pairs:
            said = distance("real", one, other), distance("real", other, one)
            if max(said) > 1.2 * min(said) or not 16 <= min(said) <= max(said) <= 30:
                wrong.append("%s and %s say %.2f and %.2f ms" % (one, other, *said))
        return wrong

    def agreed():
        if apart():
            calm[0] = now()
        return now() - calm[0] > 3
    until(agreed, 90, lambda: "; ".join(apart()))
    for one, other in pairs:
        step("%s <-> %s: %.2f and %.2f ms" % (one, other, distance("real", one, other), distance("ours", other, one)))
