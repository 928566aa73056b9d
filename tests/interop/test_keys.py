"""The keys of a cluster of both kinds, rotated from either side while it talks."""
import base64
import json
import os
import re

from support import Failure, Rpc, interop, random_key, step, until
from test_events import Ear

KINDS = {"real": {"kind": "real"}, "ours": {"kind": "ours"}}

INSTALLED = "==> Installing key on all members...\n==> Successfully installed key!\n"
USED = "==> Changing primary key on all members...\n==> Successfully changed primary key!\n"
REMOVED = "==> Removing key on all members...\n==> Successfully removed key!\n"


def keys(lab, program, agent, *words):
    """Exit code and output. Gossip may miss a member, nothing in the protocol repairs that for a query, and every key
    command may be given twice: whoever heard from too few asks once more."""
    for _ in range(2):
        code, out, err = lab.command(program, "keys", "-rpc-addr=" + agent.rpc_text, *words)
        count = re.search(r"(\d+)/(\d+) nodes reported", out + err)
        if count is None or count.group(1) == count.group(2):
            break
    return code, out + err


def expect(result, code, text):
    if result != (code, text):
        raise Failure("expected exit code %d and %r\n    but got %r" % (code, text, result))


def listed(lab, program, agent):
    code, out = keys(lab, program, agent, "-list")
    rows = [tuple(line.split()) for line in out.split("\n")[3:] if line]
    if code != 0:
        raise Failure("keys -list of %s: %s" % (agent, out))
    return sorted(rows)


# Who: an encrypted cluster of three real agents and three of ours; a command line of either kind rotates its key
# through an agent of either kind, while events go round. All must have done every step, and hear every event.
@interop(KINDS)
def test_keys_are_rotated_from_either_side(lab, kind):
    old, new = random_key(32), random_key(16)
    lab.cluster(real_flags=["-encrypt=" + old], our_flags=["-encrypt=" + old])
    ears = [Ear(lab, agent) for agent in lab.agents]
    program, agent = kind, lab.of("ours" if kind == "real" else "real")[0]
    number = 0
    for words, text in ((["-install=" + new], INSTALLED), (["-use=" + new], USED), (["-remove=" + old], REMOVED)):
        lab.agents[number].rpc().call("event", {"Name": "e", "Payload": b"%d" % number, "Coalesce": False})
        expect(keys(lab, program, agent, *words), 0, text)
        number += 1
        until(lambda: all(len(ear.events) == number for ear in ears), 15, "event %d is everywhere" % number)
        step("%s: done everywhere" % words[0].split("=")[0])
    for program in ("real", "ours"):
        for asked in (lab.of("real")[1], lab.of("ours")[1]):
            if listed(lab, program, asked) != [(new, "[6/6]")]:
                raise Failure("%s of %s lists %s" % (program, asked, listed(lab, program, asked)))
    lab.agree(what="still together")


# Who: wrong keys, and a cluster without encryption. Both programs say the same of both kinds, save the order of rows.
@interop(talk=["serf: Failed to (install|change|remove)"])
# conformance: serf 46, 48
def test_refused_keys_are_told_in_the_same_words(lab):
    old = random_key(32)
    lab.cluster(real=2, ours=2, real_flags=["-encrypt=" + old], our_flags=["-encrypt=" + old])
    odd = base64.b64encode(os.urandom(15)).decode()
    for words in (["-install=" + odd], ["-use=" + random_key(32)], ["-remove=" + old], ["-remove=" + random_key(16)],
                  ["-install=" + old], ["-install=!!!"], ["-list"]):
        answers = [(code, sorted(out.split("\n"))) for program in ("real", "ours") for asked in
                   (lab.of("real")[0], lab.of("ours")[0]) for code, out in [keys(lab, program, asked, *words)]]
        if any(answer != answers[0] for answer in answers):
            raise Failure("keys %s: %s" % (words, "\n    ".join(map(str, answers))))
        step("keys %s: exit code %d, the same" % (words[0].split("=")[0], answers[0][0]))


@interop(talk=["serf: No keyring to modify", "serf: Keyring is empty"])
# conformance: serf 46
def test_cluster_without_keys_says_so(lab):
    lab.cluster(real=1, ours=2)
    for words in (["-install=" + random_key(32)], ["-list"]):
        answers = [(code, sorted(out.split("\n"))) for program in ("real", "ours") for asked in
                   (lab.of("real")[0], lab.of("ours")[0]) for code, out in [keys(lab, program, asked, *words)]]
        if any(answer != answers[0] for answer in answers) or answers[0][0] != 1:
            raise Failure("keys %s: %s" % (words, "\n    ".join(map(str, answers))))


# Who: our agent has more keys than an answer has room for. It shows as many as fit, as real serf does of the same.
@interop(talk=["serf: truncated key list response"])
# conformance: serf 47
def test_long_list_is_cut_alike(lab):
    ring = [random_key(32) for _ in range(40)]
    path = "/tmp/bruit-keys-%d.json" % os.getpid()
    with open(path, "w", encoding="ascii") as file:
        json.dump(ring, file)
    answers = {}
    for kind in ("real", "ours"):
        agent = lab.agent(kind, name="same", flags=["-keyring-file=" + path])
        rpc = Rpc(agent.rpc_address)
        answers[kind] = rpc.call("list-keys", has_answer=True)
        rpc.close()
        agent.kill()
    os.unlink(path)
    if answers["real"] != answers["ours"] or len(answers["ours"]["Keys"]) >= 40:
        raise Failure("real: %s\n    ours: %s" % (answers["real"], answers["ours"]))


# Who: an agent of ours with a keyring file takes part in a rotation. The file holds the new ring, the one in use first.
@interop(ours_only=True)
# conformance: serf 46
def test_rotation_is_kept_in_the_keyring_file(lab):
    old, new = random_key(32), random_key(32)
    path = "/tmp/bruit-ring-%d.json" % os.getpid()
    with open(path, "w", encoding="ascii") as file:
        json.dump([old], file)
    lab.agent("ours", flags=["-keyring-file=" + path])
    real = lab.agent("real", flags=["-encrypt=" + old], join=lab.agents[0])
    lab.agree(what="joined")
    expect(keys(lab, "real", real, "-install=" + new), 0, INSTALLED)
    expect(keys(lab, "real", real, "-use=" + new), 0, USED)
    with open(path, encoding="ascii") as file:
        ring = json.load(file)
    os.unlink(path)
    if ring != [new, old]:
        raise Failure("the file holds %s, not %s" % (ring, [new, old]))
