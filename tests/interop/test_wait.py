"""`bruit wait` and --format=json against agents of both kinds."""
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
    check(lab.command("ours", "wait", "-rpc-addr=" + first.rpc_text, "-members=3", "-converged"), 0,
          "3 members are alive; all 3 alive members answer, and nothing changed for a second.\n")
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
