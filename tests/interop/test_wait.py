"""`bruit wait`, and every command with -format=json, against agents of both kinds."""
import json
import subprocess
import time

from support import Failure, die_with_parent, interop, now, step

KINDS = {"real": {"kind": "real"}, "ours": {"kind": "ours"}}


def check(result, code, text):
    if result != (code, text, ""):
        raise Failure("expected exit code %d and %r\n    but got exit code %d and %r, stderr %r" %
                      (code, text, *result))


def waiting(lab, agent, *words):
    """bruit wait in the background; `end` gives its result and how long it took."""
    started = now()
    process = subprocess.Popen([lab.binaries["ours"], "wait", "-rpc-addr=" + agent.rpc_text, *words],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)

    def end():
        out, err = process.communicate(timeout=120)
        return (process.returncode, out, err), now() - started
    return end


# Who: a script that starts agents, and goes on when they are there. It asks an agent of either kind for three members
# while only one is there, then for a converged cluster, then for the death and for the leave of a member.
@interop(KINDS, ours_only=True)
def test_wait_for_members_of_both_kinds(lab, kind):
    first = lab.agent(kind, name="first")
    end = waiting(lab, first, "--members", "3", "--timeout", "60s")
    lab.agent("real", name="second", join=first)
    lab.agent("ours", name="third", join=first)
    joined = now()
    result, _ = end()
    check(result, 0, "3 members are alive.\n")
    step("three members seen %.2f s after the last had joined" % (now() - joined))
    since = now()
    check(lab.command("ours", "wait", "-rpc-addr=" + first.rpc_text, "-members=3", "-converged"), 0,
          "3 members are alive; all 3 alive members answer, and nothing changed for a second.\n")
    if first.log_since(since, r"\[ERR\] agent.ipc"):
        raise Failure("the agent complains: %s" % first.log_since(since, r"\[ERR\]"))
    lab.agents[1].kill()
    check(lab.command("ours", "wait", "-rpc-addr=" + first.rpc_text, "-node=second", "-status=failed",
                      "-timeout=60s", timeout=90), 0, "second is failed.\n")
    end = waiting(lab, first, "-node=third", "-status=left", "-timeout=60s")
    lab.agents[2].leave("rpc")
    check(end()[0], 0, "third is left.\n")


# Who: the same script, when a member hangs: it is in everybody's list, but does not answer, so that has not converged;
# and the time that it may take is kept, also when the agent that is asked hangs itself.
@interop(KINDS, ours_only=True)
def test_wait_says_what_was_seen(lab, kind):
    lab.cluster(real=2, ours=1)
    first = lab.of(kind)[0]
    other = next(agent for agent in lab.agents if agent is not first)
    other.pause()
    check(lab.command("ours", "wait", "-rpc-addr=" + first.rpc_text, "-converged", "-timeout=1s"), 1,
          "Not within 1s: no answer from %s (2 of 3 alive members answered).\n" % other.name)
    other.resume()
    code, out, _ = lab.command("ours", "wait", "-rpc-addr=" + first.rpc_text, "-node=nobody", "-timeout=1s",
                               "-format=json")
    answer = json.loads(out)
    if code != 1 or answer["error"] != "Not within 1s: nobody is absent, not alive.":
        raise Failure("exit code %d and %r" % (code, out))
    first.pause()
    started = time.monotonic()
    check(lab.command("ours", "wait", "-rpc-addr=" + first.rpc_text, "-members=3", "-timeout=1s"), 1,
          "Not within 1s: no agent answers: i/o timeout.\n")
    if time.monotonic() - started > 3:
        raise Failure("it took %.1f s to notice that 1 s was over" % (time.monotonic() - started))
    first.resume()


JSON_COMMANDS = [
    (["members"], 0, {"members"}),
    (["info"], 0, {"agent", "event_handlers", "runtime", "serf", "tags"}),
    (["event", "deploy", "v2"], 0, {"event", "coalesce"}),
    (["query", "-timeout=1s", "uptime"], 0, {"Acks", "Responses"}),
    (["reachability"], 0, {"members", "alive", "acks", "missing", "unexpected", "duplicates", "seconds",
                           "last_ack_seconds"}),
    (["rtt", "first", "second"], 0, {"from", "to", "rtt_ms"}),
    (["tags", "-set", "a=b"], 0, {"set", "deleted"}),
    (["keys", "-list"], 1, {"error", "keys", "messages", "members", "answers", "failures"}),
    (["keys"], 1, {"error"}),
    (["force-leave", "second"], 0, {"node", "prune"}),
    (["join"], 1, {"error"}),
    (["wait", "-members=1", "-timeout=20s"], 0, {"reached", "seen", "seconds", "members"}),
    (["leave"], 0, {"left"}),
    (["members"], 1, {"error"}),
]


# Who: a script that reads our commands with a JSON parser, against an agent of either kind. Each prints one object with
# the keys of docs/cli.md, and an "error" goes with exit code 1; an event on the monitor is one line.
@interop(KINDS, ours_only=True)
def test_every_command_speaks_json(lab, kind):
    first = lab.agent(kind, name="first")
    second = lab.agent("real", name="second", join=first)
    lab.agree(what="joined")
    follow = subprocess.Popen([lab.binaries["ours"], "monitor", "-format=json", "-rpc-addr=" + first.rpc_text],
                              stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
    seen = [json.loads(follow.stdout.readline())]       # the log of the past: it follows
    for words, code, keys in JSON_COMMANDS:
        if words[0] == "force-leave":
            second.kill()
            check(lab.command("ours", "wait", "-rpc-addr=" + first.rpc_text, "-node=second", "-status=failed",
                              "-timeout=60s", timeout=90), 0, "second is failed.\n")
        got, out, err = lab.command("ours", words[0], "-format=json", "-rpc-addr=" + first.rpc_text, *words[1:])
        if got != code or err or set(json.loads(out)) != keys:
            raise Failure("bruit %s: exit code %d and %r, stderr %r" % (" ".join(words), got, out, err))
    seen += [json.loads(line) for line in follow.stdout]
    events = [record["event"] for record in seen if "event" in record]
    if follow.wait(20) != 1 or "error" not in seen[-1] or not {"user", "member-update"} <= set(events):
        raise Failure("the monitor ended with %r and said %r" % (follow.returncode, events))
    if not all(len(record) == 1 for record in seen if "log" in record):
        raise Failure("a line of the log is more than that: %r" % seen)


# Who: somebody who asks an agent of ours a question with ten seconds for the answers, and does not want to sit them out
# when everybody has answered. Members of the other kind have acknowledged and answered, too.
@interop(ours_only=True)
def test_query_ends_when_everybody_has_answered(lab):
    handler = ("-event-handler=query:who=echo me",)
    first = lab.agent("ours", name="first", flags=handler)
    lab.agent("real", name="second", join=first, flags=handler)
    lab.agent("ours", name="third", join=first, flags=handler)
    lab.agree()
    for until, best in (("acked", "Total Acks: 3"), ("responded", "Total Responses: 3")):
        started = now()
        code, out, _ = lab.command("ours", "query", "-rpc-addr=" + first.rpc_text, "-timeout=10s", "-until=" + until,
                                   "who", timeout=30)
        if code != 0 or best not in out:
            raise Failure("-until=%s: exit code %d and %r" % (until, code, out))
        if now() - started > 5:
            raise Failure("-until=%s: everybody had answered, and it took %.1f s" % (until, now() - started))
        step("-until=%s took %.2f s of 10" % (until, now() - started))
