"""The real command line against our agent, our command line against both, and what a wrong flag gets."""
import json
import re
import subprocess

from support import Failure, Lab, interop, now, step, until

KINDS = {"real": {"kind": "real"}, "ours": {"kind": "ours"}}

# Against nobody: refused, not an address, no port, a port that is none.
BAD_ADDRESSES = {"refused": "127.81.255.1:7373", "no-port": "127.0.0.1", "bad-port": "127.0.0.1:http7",
                 "bad-name": ":::"}

MEMBERS_QUERIES = {
    "plain": [],
    "detailed": ["-detailed"],
    "json": ["-format=json"],
    "json-detailed": ["-detailed", "-format=json"],
    "status-alive": ["-status=alive"],
    "status-left-or-failed": ["-status=left|failed"],
    "name": ["-name=ours-.*"],
    "name-anchored": ["-name=ours"],
    "tag": ["-tag", "kind=real"],
    "two-tags": ["-tag", "kind=.*", "-tag", "name=ours-1"],
    "absent-tag": ["-tag", "nothing=.*"],
    "role": ["-role=web"],
    "nobody": ["-name=nobody"],
    "nobody-json": ["-name=nobody", "-format=json"],
    "bad-format": ["-format=xml"],
}


# Who: `serf members` in all its forms asks a real agent and ours, in one cluster with a failed and a left member. The
# answers must be the same, byte for byte, save the order of rows and of the tags in a row, which Go leaves to chance.
@interop()
def test_serf_members_prints_the_same_of_both(lab):
    lab.cluster()
    lab.agent("real", name="tagged", tags={"role": "web", "dc": "east one"}, join=lab.agents[0])
    lab.agree(what="all in")
    lab.of("ours")[2].kill()
    lab.of("real")[2].leave("rpc")
    lab.agree(45, "one failed, one left")
    for case, flags in MEMBERS_QUERIES.items():
        answers = [members_output(lab, "real", agent, flags) for agent in (lab.of("real")[0], lab.of("ours")[0])]
        if answers[0] != answers[1]:
            raise Failure("serf members %s of %s and of %s differ:\n%s\n%s" %
                          (case, lab.of("real")[0], lab.of("ours")[0], *answers))
        step("members %s: %d bytes, the same" % (case, len(answers[0][1])))


def members_output(lab, program, agent, flags):
    code, out, err = lab.command(program, "members", "-rpc-addr=" + agent.rpc_text, *flags)
    return code, ordered(out), err


def ordered(text):
    """The same text with its rows, and the tags within each, in order."""
    if text.startswith("{"):
        answer = json.loads(text)
        answer["members"] = answer["members"] and sorted(answer["members"], key=lambda row: row["name"])
        return json.dumps(answer, indent=2) + ("\n" if text.endswith("\n") else "")
    return "\n".join(sorted(ordered_tags(line) for line in text.split("\n")))


def ordered_tags(line):
    """Tags change places within their column; what pads the columns stays where it is."""
    columns = re.split("( {2,})", line)
    return "".join(",".join(sorted(column.split(","))) for column in columns)


# Who: `serf join` through an agent of either kind, to addresses that work and to one that does not.
@interop(KINDS)
def test_serf_join_works_through_both(lab, kind):
    there = lab.agent("real")
    here = lab.agent(kind)
    nowhere = lab.block.address(199) + ":7946"
    check(lab.command("real", "join", "-rpc-addr=" + here.rpc_text, there.gossip_address), 0,
          "Successfully joined cluster by contacting 1 nodes.\n")
    lab.agree(what="joined")
    check(lab.command("real", "join", "-rpc-addr=" + here.rpc_text, nowhere, there.gossip_address), 0,
          "Successfully joined cluster by contacting 1 nodes.\n")
    check(lab.command("real", "join", "-rpc-addr=" + here.rpc_text, nowhere), 1,
          "Error joining the cluster: 1 error occurred:\n\t* Failed to join %s: "
           "dial tcp %s: connect: connection refused"
          "\n\n\n" % (nowhere.split(":")[0], nowhere))


def check(result, code, text):
    if result != (code, text, ""):
        raise Failure("expected exit code %d and %r\n    but got exit code %d and %r, stderr %r" %
                      (code, text, *result))


# Who: `serf leave` against an agent of either kind. It must say so, the agent must end well and be left everywhere.
@interop(KINDS)
def test_serf_leave_works_against_both(lab, kind):
    lab.cluster(real=2, ours=2)
    leaver = lab.of(kind)[1]
    check(lab.command("real", "leave", "-rpc-addr=" + leaver.rpc_text), 0, "Graceful leave complete\n")
    until(lambda: not leaver.is_running, 10, "%s ends" % leaver)
    if leaver.process.returncode != 0:
        raise Failure("%s ended with exit code %d" % (leaver, leaver.process.returncode))
    leaver.expected = "left"
    leaver.drop_rpc()
    lab.agree(what="left")


# Who: `serf tags` and `serf force-leave` with their usual words, through an agent of either kind.
@interop(KINDS)
def test_serf_force_leave_of_a_failed_member_says_nothing(lab, kind):
    lab.cluster(real=2, ours=2)
    lab.of("real")[1].kill()
    lab.agree(45, "one failed")
    check(lab.command("real", "force-leave", "-rpc-addr=" + lab.of(kind)[0].rpc_text, "real-2"), 0, "")
    lab.of("real")[1].expected = "left"
    lab.agree(what="forced out")


# Who: our own command line asks agents of either kind; its rows must say what serf's say.
@interop(KINDS)
def test_our_members_command_tells_what_serf_tells(lab, kind):
    lab.cluster(real=2, ours=2)
    lab.of("real")[1].kill()
    lab.agree(45, "one failed")
    asked = lab.of(kind)[0]
    results = [lab.command(program, "members", "-rpc-addr=" + asked.rpc_text) for program in ("real", "ours")]
    rows = [{tuple(re.split(r" {2,}", ordered_tags(line))) for line in out.split("\n") if line.strip()}
            for _, out, _ in results]
    if results[1][0] != 0 or not rows[0] <= rows[1]:
        raise Failure("of %s serf prints\n%s\nand ours, exit code %d\n%s%s" %
                      (asked, results[0][1], results[1][0], results[1][1], results[1][2]))


# Who: our own join and leave commands, against agents of either kind.
@interop(KINDS)
def test_our_join_and_leave_commands_work_against_both(lab, kind):
    there = lab.agent("real")
    here = lab.agent(kind)
    code, out, err = lab.command("ours", "join", "-rpc-addr=" + here.rpc_text, there.gossip_address)
    if code != 0 or "1" not in out or err:
        raise Failure("join: exit code %d, %r, %r" % (code, out, err))
    lab.agree(what="joined")
    code, out, err = lab.command("ours", "join", "-rpc-addr=" + here.rpc_text, lab.block.address(199))
    if code != 1 or "refused" not in out + err:
        raise Failure("join of nobody: exit code %d, %r, %r" % (code, out, err))
    code, out, err = lab.command("ours", "leave", "-rpc-addr=" + here.rpc_text)
    if code != 0 or err:
        raise Failure("leave: exit code %d, %r, %r" % (code, out, err))
    until(lambda: not here.is_running, 10, "%s ends" % here)
    here.expected = "left"
    here.drop_rpc()
    lab.agree(what="left")


# Who: somebody asks an agent that is not there, or writes the address wrong. Exit code 1, one sentence that says what
# was wrong with which address, quickly, and nothing like a crash.
@interop({"%s-%s" % (program, case): {"program": program, "address": address}
          for program in ("real", "ours") for case, address in BAD_ADDRESSES.items()}, needs_serf=False)
def test_command_without_an_agent_says_why_and_fails(lab, program, address):
    if lab.binaries[program] is None:
        return
    for words in (["members"], ["join", "127.0.0.1"], ["leave"]):
        code, out, err = lab.command(program, words[0], "-rpc-addr=" + address, *words[1:], timeout=15)
        text = (out + err).strip()
        if code != 1 or not text or len(text.split("\n")) > 3:
            raise Failure("%s at %s: exit code %d, %r, %r" % (words[0], address, code, out, err))


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


