"""What somebody gets who starts an agent with something wrong, or stops it."""
import os
import pty
import subprocess

from support import Failure, Lab, interop, now, until

KINDS = {"real": {"kind": "real"}, "ours": {"kind": "ours"}}

BAD_AGENT_FLAGS = {
    "key-not-base64": ["-encrypt=not*base64"],
    "key-of-15-bytes": ["-encrypt=MTIzNDU2Nzg5MDEyMzQ1"],
    "profile": ["-profile=moon"],
    "protocol-too-high": ["-protocol=6"],
    "protocol-too-low": ["-protocol=1"],
    "log-level": ["-log-level=loud"],
    "tag-without-value": ["-tag=lonely"],
    "tags-too-long": ["-tag=long=" + "x" * 513],
    "bind-not-an-address": ["-bind=300.1.2.3:7946"],
    "bind-port": ["-bind=127.0.0.1:seven"],
    "bind-not-ours": ["-bind=192.0.2.77:7946"],
    "rpc-not-ours": ["-rpc-addr=192.0.2.77:7373"],
    "interface": ["-iface=nosuch0"],
    "join-nobody": ["-join=127.81.255.1:7946"],
    "unknown-flag": ["-zzz"],
    "flag-without-value": ["-node"],
}


# Who: an agent is started with something wrong. It must say what in a few lines and end with exit code 1 by itself;
# ours as well as the real one.
@interop({"%s-%s" % (kind, case): {"kind": kind, "flags": flags}
          for kind in KINDS for case, flags in BAD_AGENT_FLAGS.items()}, needs_serf=False)
def test_agent_with_a_bad_flag_ends_with_a_reason(lab, kind, flags):
    if lab.binaries[kind] is None:
        return
    ends_with_reason(lab, kind, flags)


# Who: somebody advertises 0.0.0.0, which real serf does and nobody can reach. Ours refuses.
@interop(ours_only=True, needs_serf=False)
def test_ours_refuses_to_advertise_0_0_0_0(lab):
    ends_with_reason(lab, "ours", ["-advertise=0.0.0.0"])


# Who: a newcomer at a terminal asks where nobody answers. Serf's sentence does not say what to do; a second one does,
# on stderr, and only on a terminal: scripts see what Serf's would print.
@interop(ours_only=True, needs_serf=False)
def test_a_terminal_is_told_what_to_do_without_an_agent(lab):
    ask = [lab.binaries["ours"], "members", "-rpc-addr=127.81.255.1:7373"]
    piped = subprocess.run(ask, capture_output=True, text=True, timeout=10)
    reader, terminal = pty.openpty()
    shown = subprocess.run(ask, stdout=subprocess.PIPE, stderr=terminal, text=True, timeout=10)
    os.close(terminal)
    hint = os.read(reader, 1000).decode()
    os.close(reader)
    if piped.stderr or piped.returncode != 1 or shown.stdout != piped.stdout or '"bruit agent" starts one' not in hint:
        raise Failure("in a pipe %r, at a terminal %r" % (piped, hint))


def ends_with_reason(lab: Lab, kind, flags):
    # A later flag of the same name replaces an earlier one.
    agent = lab.agent(kind, wait=False, flags=flags)
    try:
        code = agent.process.wait(15)
    except subprocess.TimeoutExpired:
        raise Failure("an agent with %s runs on" % flags) from None
    until(lambda: len(agent.lines) > 1, 5, "a reason")
    said = [line for _, line in agent.lines[1:] if line.strip()]
    if code != 1:
        raise Failure("an agent with %s ended with exit code %d, saying %r" % (flags, code, said))
    if kind == "ours" and not lab.is_rehearsal and any("panic" in line or "Sanitizer" in line for line in said):
        raise Failure("an agent with %s died: %r" % (flags, said))


# Who: what the agent must survive being told by a signal: SIGTERM is an immediate stop without leave, and others see it
# failed; SIGINT leaves.
@interop(KINDS)
def test_terminated_agent_is_failed_not_left(lab, kind):
    lab.cluster(real=2, ours=2)
    victim = lab.of(kind)[1]
    since = now()
    victim.process.terminate()
    code = victim.process.wait(10)
    victim.drop_rpc()
    victim.expected = "failed"
    if code != 1:
        raise Failure("%s ended with exit code %d at SIGTERM" % (victim, code))
    lab.agree(45, "terminated, seen failed")
    lab.nobody_reported("leave", since)


