"""Who knocks at the gossip port by mistake: a browser, a TLS client, a port scanner."""
import socket
import ssl

from support import Failure, hold, interop, now, step, until

REQUEST = b"GET /v1/agent/members HTTP/1.1\r\nHost: localhost:7946\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"


def hello():
    """The first bytes of a TLS client, from Python's own."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


# Who: a browser or a TLS client comes to the gossip port of ours, plain or sealed. Exactly one log line must say what
# it was, and the agent must go on; real serf says "invalid message type" at best.
@interop({"%s%s" % (what, "-sealed" if key else ""): {"what": what, "key": key}
          for what in ("HTTP", "TLS") for key in ("", "cg8StVXbQJ0gPvMd9o7yrg==")}, ours_only=True, needs_serf=False)
def test_foreign_protocol_gets_one_line_that_names_it(lab, what, key):
    agent = lab.agent("ours", flags=["-encrypt=" + key] if key else [])
    until(lambda: agent.log_since(0, "EventMemberJoin"), 5, "its first lines")
    since = now()
    with socket.create_connection((agent.address, agent.port), 5) as caller:
        caller.sendall(REQUEST if what == "HTTP" else hello())
        until(lambda: agent.log_since(since, what), 10, "a line that says %s" % what)
    hold(1.5, lambda: None)
    lines = agent.log_since(since, r"\[(WARN|ERR)\]|memberlist:|serf:")
    if len(lines) != 1:
        raise Failure("%d lines about one %s knock:\n    %s" % (len(lines), what, "\n    ".join(lines)))
    step(lines[0].strip())


# Who: somebody connects and says nothing, closes at once, or sends rubbish, a hundred times. The agent must still
# answer.
@interop({"ours": {"kind": "ours"}, "real": {"kind": "real"}})
def test_rubbish_at_the_port_harms_nobody(lab, kind):
    lab.cluster(real=1, ours=1)
    agent = lab.of(kind)[0]
    since = now()
    silent = [socket.create_connection((agent.address, agent.port), 5) for _ in range(20)]
    for number in range(100):
        with socket.create_connection((agent.address, agent.port), 5) as caller:
            caller.sendall(bytes([number % 14]) * (number % 50))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.sendto(bytes([number % 14]) * (number % 50), (agent.address, agent.port))
    lab.agree(10, "both there after the rubbish")
    hold(4, lambda: lab.nobody_reported(("failed", "leave"), since))
    for caller in silent:
        caller.close()
    lab.agree(5, "both still there")
