"""-discover: agents of both kinds find each other by multicast DNS, on one link that is the test's own."""
import socket
import struct
import subprocess
import time

from support import Failure, enter, hold, inside, interop, step, until

GROUP = ("224.0.0.251", 5353)
TYPES = {1: "A", 12: "PTR", 16: "TXT", 28: "AAAA", 33: "SRV", 255: "ANY"}
POLL_SECONDS = 60


def agent_on_link(lab, network, host, kind, cluster="demo", **options):
    return lab.agent(kind, address=network.add_address(1, host), namespace=network.sides[0],
                     rpc_address=("127.0.0.1", 7373 + host), flags=["-discover=" + cluster], **options)


def wait_for_ipv6(network):
    """A new address of IPv6 is probed for a second or two, and the real agent gives up a poll that cannot use it."""
    def is_ready():
        return not subprocess.run(["ip", "-6", "addr", "show", "dev", "net", "tentative"], capture_output=True,
                                  check=False, preexec_fn=lambda: enter(network.sides[0])).stdout.strip()
    until(is_ready, 10, "addresses of IPv6 are ready")


# Who: two of each kind that know nothing but the name of their cluster, and one of another cluster on the same link.
# The four become one cluster, the fifth stays alone.
@interop(seconds_max=120)
# conformance: agent 15
def test_agents_of_one_name_find_each_other(lab, network):
    wait_for_ipv6(network)
    four = [agent_on_link(lab, network, host, kind) for host, kind in enumerate(("real", "ours", "ours", "real"), 1)]
    lab.agree(30, "found each other")
    for agent in four[1:]:
        until(lambda: agent.log_since(0, r"\[INFO\] agent\.mdns: Joined [1-9]"), 10, "%s joined somebody" % agent)
    stranger = agent_on_link(lab, network, 5, "ours", cluster="other")
    stranger.expected = None
    hold(3, lambda: None)
    if sorted(stranger.members()) != [stranger.name]:
        raise Failure("the agent of another cluster met %s" % sorted(stranger.members()))
    lab.agree(5, "still four", among=four)


# Who: one of each kind, for longer than a poll takes to come again: the other's address is joined once, no more.
@interop(seconds_max=150, long=True)
# conformance: agent 15
def test_each_address_is_joined_once(lab, network):
    wait_for_ipv6(network)
    both = [agent_on_link(lab, network, host, kind) for host, kind in enumerate(("ours", "real"), 1)]
    lab.agree(30, "found each other")
    hold(POLL_SECONDS + 5, lambda: None)
    for agent in both:
        for other in both:
            lines = agent.log_since(0, r"agent: joining: \[.*" + other.gossip_address.replace(".", r"\."))
            if len(lines) > 1:
                raise Failure("%s joined %s %d times:\n%s" % (agent, other, len(lines), "\n".join(lines)))


# ----------------------------------------------------------------------------------------------------- what is answered

def encode_name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def decode_name(message, at):
    """The name at an offset, and where it ends; names of others are compressed."""
    labels, end = [], None
    while True:
        size = message[at]
        if size >= 0xc0:
            end = end or at + 2
            at = (size & 0x3f) << 8 | message[at + 1]
            continue
        if size == 0:
            return ".".join(labels) + ".", end or at + 1
        labels.append(message[at + 1:at + 1 + size].decode())
        at += 1 + size


def decode_answer(message):
    """(id, flags, counts), and the records as (name, type, class, TTL, data)."""
    ident, flags, *counts = struct.unpack_from(">6H", message)
    at, records = 12, []
    for _ in range(counts[0]):
        at = decode_name(message, at)[1] + 4
    for _ in range(sum(counts[1:])):
        name, at = decode_name(message, at)
        kind, group, ttl, size = struct.unpack_from(">HHIH", message, at)
        at += 10
        data = message[at:at + size]
        if TYPES.get(kind) == "PTR":
            data = decode_name(message, at)[0]
        elif TYPES.get(kind) == "SRV":
            data = struct.unpack_from(">HHH", message, at) + (decode_name(message, at + 6)[0],)
        records.append((name, TYPES.get(kind, kind), group, ttl, data))
        at += size
    return (ident, flags, counts), records


def ask(network, name, kind, unicast_bit=False, ident=4711, flags=0):
    """Sends one question to the group and returns whose answers came to its own port, by address of the record A."""
    question = struct.pack(">6H", ident, flags, 1, 0, 0, 0) + encode_name(name) + \
        struct.pack(">HH", kind, 1 | (0x8000 if unicast_bit else 0))
    with inside(network.sides[0]):
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.bind(("0.0.0.0", 0))
    asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.81.1.1"))
    asker.settimeout(0.2)
    asker.sendto(question, GROUP)
    answers, end = [], time.monotonic() + 0.6
    while time.monotonic() < end:
        try:
            message, source = asker.recvfrom(9000)
            answers.append((source[1], message))
        except socket.timeout:
            continue
    asker.close()
    return answers


def shape(message, agent):
    """An answer with the agent's own name and address put out of the way; the host's name is the same for all."""
    head, records = decode_answer(message)
    texts = sorted(repr(record) for record in records)
    return repr(head) + "\n" + "\n".join(texts).replace(agent.name, "NODE").replace(
        repr(socket.inet_aton(agent.address)), "ADDRESS").replace("(10, 1, %d" % agent.port, "(10, 1, PORT")


# Who: one of each kind is asked every question there is, plainly, for unicast, and in ways that must not be answered.
# Both answer the same: the same records, TTL, flags and ids, from port 5353 to the port that asked.
@interop(seconds_max=120)
# conformance: agent 15
def test_both_kinds_answer_the_same(lab, network):
    wait_for_ipv6(network)
    agents = [agent_on_link(lab, network, host, kind) for host, kind in enumerate(("real", "ours"), 1)]
    lab.agree(30, "found each other")
    service = "_serf_demo._tcp.local."
    host = socket.gethostname() + "."
    questions = [(service, kind) for kind in (12, 255, 33)] + [(host, kind) for kind in (1, 28)]
    questions += [("_services._dns-sd._udp.local.", 12), ("nobody." + service, 255)]
    questions += [("%s." + service, kind) for kind in (33, 16, 1, 28, 255, 12)]
    for name, kind in questions:
        for unicast_bit in (False, True):
            compare(network, agents, name, kind, unicast_bit)
    for flags in (0x0800, 0x0200, 0x0003, 0x8400):
        answers = [message for _, message in ask(network, service, 12, flags=flags)]
        if any(is_from(message, agents[1], agents) for message in answers):
            raise Failure("a message with flags %#x was answered" % flags)


def compare(network, agents, name, kind, unicast_bit):
    """Asks, for a name with %s each agent for its own, and compares what the two kinds say."""
    shapes, asked = [], {}
    for agent in agents:
        wanted = name % agent.name if "%s" in name else name
        if wanted not in asked:
            asked[wanted] = ask(network, wanted, kind, unicast_bit)
        if any(port != 5353 for port, _ in asked[wanted]):
            raise Failure("an answer from another port than 5353")
        shapes.append(sorted(shape(message, agent) for _, message in asked[wanted] if is_from(message, agent, agents)))
    step("%s %s%s: %d answers each" % (name, TYPES[kind], " by unicast" if unicast_bit else "", len(shapes[0])))
    if "%s" in name and kind in (33, 16, 255) and len(shapes[0]) != 1:
        raise Failure("the real agent gave %d answers about itself" % len(shapes[0]))
    if shapes[0] != shapes[1]:
        raise Failure("%s %s: real\n%s\nours\n%s" % (name, TYPES[kind], *("\n".join(each) for each in shapes)))


def is_from(message, agent, everybody):
    """Whose answer it is; what names nobody (the list of services) is everybody's."""
    owners = [other for other in everybody
              if other.name.encode() in message or socket.inet_aton(other.address) in message]
    return not owners or agent in owners
