"""Every subcommand of the real command line and of ours, against agents of both kinds: what they print, how they end.

Four pairs, each of the programs with each of the agents, must give one answer (commands.py). Only what nobody can hold
still is put in order or replaced before: rows that Go prints in the order of a map, clocks and durations, the address
or name of the agent that is asked. What the programs mean to say differently (the usage, the sentence about a wrong
flag, the version) is compared in what a script can hold on to; docs/protocol.md lists it.
"""
import os
import re
import signal
import subprocess

from commands import (Incomplete, Monitor, any_order, any_rows, compare, demand_one, no_figures, no_times, no_usage,
                      pairs_of, run, side_by_side)
from support import Failure, die_with_parent, interop, random_key, step, until
from test_files import Folder

NOBODY = "127.81.255.1:7373"
SUBCOMMANDS = ("event", "force-leave", "info", "join", "keygen", "keys", "leave", "members", "monitor", "query",
               "reachability", "rtt", "tags", "version")


# -------------------------------------------------------------------------------------- without agent

# Byte for byte: each fails before, or while, it connects.
NOBODY_THERE = {
    "event": ["event", "x"], "force-leave": ["force-leave", "x"], "info": ["info"], "join": ["join", "127.0.0.1"],
    "keys-install": ["keys", "-install=x"], "keys-use": ["keys", "-use", "x"], "keys-remove": ["keys", "-remove=x"],
    "keys-list": ["keys", "--list"], "leave": ["leave"], "members": ["members"], "monitor": ["monitor"],
    "query": ["query", "x"], "reachability": ["reachability"], "rtt": ["rtt", "x"], "tags": ["tags", "-set", "a=b"],
    "rtt-of-nothing": ["rtt"], "rtt-of-three": ["rtt", "a", "b", "c"], "bad-tag-to-set": ["tags", "-set=x"],
    "bad-level": ["monitor", "-log-level=loud"], "bad-format": ["query", "-format=xml", "x"],
    "members-bad-format": ["members", "-format=xml"], "info-bad-format": ["info", "-format=xml"],
    "members-words": ["members", "too", "many"], "leave-words": ["leave", "too", "many"],
    "role": ["members", "-role=web"], "two-keys": ["keys", "-list", "-use=x"],
    "bad-tag": ["members", "-tag=x"], "query-bad-tag": ["query", "-tag=x", "-relay-factor=300", "y"],
    "relay-too-high": ["query", "-relay-factor=256", "x"], "relay-too-low": ["query", "-relay-factor=-1", "x"],
}

ADDRESSES = ["127.81.255.1:7373", "127.0.0.1", "127.0.0.1:http7", ":::", "", ":1", "[::1]:1", "::1:1", "[::1]",
             "[::1:1", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:", "localhost:1"]

# A message, an empty line and the usage on stdout, exit code 1; or the usage alone.
MISUSED = {
    "event-nothing": ["event"], "event-too-much": ["event", "a", "b", "c"], "query-nothing": ["query"],
    "query-too-much": ["query", "a", "b", "c"], "join-nobody": ["join"], "force-leave-nobody": ["force-leave"],
    "force-leave-two": ["force-leave", "a", "b"], "keys-nothing": ["keys"], "tags-nothing": ["tags"],
}

# Exit code 1, and these words on stderr.
WRONG_FLAGS = {
    "unknown": (["members", "-zzz"], "flag provided but not defined: -zzz"),
    "unknown-dashes": (["members", "--zzz=1"], "flag provided but not defined: -zzz"),
    "no-argument": (["members", "-format"], "flag needs an argument: -format"),
    "bad-switch": (["event", "-coalesce=maybe", "x"], 'invalid boolean value "maybe" for -coalesce'),
    "bad-number": (["query", "-relay-factor=x", "y"], 'invalid value "x" for flag -relay-factor'),
    "bad-duration": (["query", "-timeout=5", "y"], "-timeout"),
    "three-dashes": (["members", "---format"], "bad flag syntax: ---format"),
    "no-name": (["members", "-=x"], "bad flag syntax: -=x"),
    "every-command": (["reachability", "-x"], "flag provided but not defined: -x"),
}


# Who: somebody with no agent, or with the address wrong. Either program says the same, to the byte, and fails.
@interop()
# conformance: rpc 2
def test_commands_without_an_agent_say_the_same(lab):
    for case, words in NOBODY_THERE.items():
        both(lab, case, [words[0], "-rpc-addr=" + NOBODY, *words[1:]], 1)
    for address in ADDRESSES:
        flag = "-rpc-addr=" + address
        both(lab, flag, ["members", flag], 1, "Error connecting to Serf agent: dial")
    both(lab, "SERF_RPC_ADDR", ["members"], 1, "127.81.255.9:9", {"SERF_RPC_ADDR": "127.81.255.9:9"})
    step("%d comparisons" % (len(NOBODY_THERE) + len(ADDRESSES) + 1))


def both(lab, case, words, code, says="", environment=None):
    answers = {program: run(lab, program, words, environment) for program in ("real", "ours")}
    demand_one(case, answers, code, says)


# Who: somebody gets the arguments or the flags wrong, or asks for help. The usage is each program's own, so what is
# compared is: exit code, which stream has what, the message before the usage, the complaint about the flag, and that
# all flags the real help names are in ours.
@interop()
def test_wrong_words_end_as_serf_ends_them(lab):
    for case, words in MISUSED.items():
        answers = {program: misused(lab, program, words) for program in ("real", "ours")}
        demand_one(case, answers, 1)
    for case, (words, complaint) in WRONG_FLAGS.items():
        for program in ("real", "ours"):
            code, _, err = run(lab, program, words)
            if code != 1 or complaint not in err:
                raise Failure("%s: %s ends with %d, saying %r" % (case, program, code, err))
    for command in SUBCOMMANDS:
        real, ours = (run(lab, program, [command, "-help"]) for program in ("real", "ours"))
        lacking = flags_of(real[2]) - flags_of(ours[2])
        if command != "version" and ((real[0], real[1]) != (ours[0], ours[1]) or lacking):
            raise Failure("help of %s: exit codes %d and %d, stdout %r, flags that are missing: %s" %
                          (command, real[0], ours[0], ours[1], lacking))
        if "Usage: %s %s" % (os.path.basename(lab.binaries["ours"]), command) not in ours[2] and command != "version":
            raise Failure("help of %s: %r" % (command, ours[2]))


def misused(lab, program, words):
    code, out, err = run(lab, program, words)
    return code, no_usage(out), err


def flags_of(text):
    return set(re.findall(r"^\s+-([a-z-]+)", text, re.MULTILINE))


# Who: the program without a command, with one that does not exist, asked for help, for its version, for a key.
@interop()
def test_program_itself_ends_as_serf_does(lab):
    for words in ([], ["nosuch"], ["-help"], ["--help"], ["nosuch", "-h"], ["-"]):
        real, ours = (run(lab, program, words) for program in ("real", "ours"))
        commands = set(re.findall(r"^    ([a-z-]+)", real[2], re.MULTILINE))
        if real[:2] != ours[:2] or not commands or not commands <= set(re.findall(r"^    ([a-z-]+)", ours[2], re.M)):
            raise Failure("%s: %r and %r" % (words, real, ours))
    for words in (["version"], ["-v"], ["--version"], ["members", "-v"], ["version", "more"]):
        both_versions = [run(lab, program, words) for program in ("real", "ours")]
        lines = [(code, out.split("\n")[1:], err) for code, out, err in both_versions]
        if lines[0] != lines[1] or lines[0][0] != 0:
            raise Failure("%s: %r and %r" % (words, *both_versions))
    for program in ("real", "ours"):
        code, out, err = run(lab, program, ["keygen"])
        if (code, err) != (0, "") or not re.fullmatch(r"[A-Za-z0-9+/]{43}=\n", out):
            raise Failure("keygen of %s: %r" % (program, (code, out, err)))


# -------------------------------------------------------------------------------------- questions

MEMBERS = {
    "plain": [],
    "detailed": ["-detailed"],
    "json": ["-format=json"],
    "json-detailed": ["-detailed", "-format=json"],
    "status": ["-status=alive"],
    "status-left-or-failed": ["-status=left|failed"],
    "name": ["-name=ours-.*"],
    "name-anchored": ["-name=ours"],
    "tag": ["-tag", "kind=real"],
    "two-tags": ["-tag", "kind=.*", "-tag", "name=ours-1"],
    "absent-tag": ["-tag", "nothing=.*"],
    "role": ["-role=web"],
    "json-role": ["-role=web", "-format=json"],
    "odd": ["-name=odd"],
    "odd-json": ["-name=odd", "-format=json"],
    "bare": ["-name=bare"],
    "bare-detailed": ["-name=bare", "-detailed"],
    "nobody": ["-name=nobody"],
    "nobody-json": ["-name=nobody", "-format=json"],
}

REFUSED = {
    "members-bad-format": (["members", "-format=xml"], 'Encoding error: Invalid output format "xml"'),
    "members-no-format": (["members", "-format="], 'Encoding error: Invalid output format ""'),
    "members-bad-expression": (["members", "-name=("], "Error retrieving members: "),
    "info-bad-format": (["info", "-format=xml"], "Encoding error: "),
    "event-too-long": (["event", "long", "x" * 600], "Error sending event: "),
    "event-too-long-encoded": (["event", "long", "x" * 490], "Error sending event: "),
    "query-bad-format": (["query", "-format=xml", "up"], "Invalid format: xml"),
    "query-reserved": (["query", "_serf_x", "up"], "Error sending query: Queries cannot contain"),
    "query-too-long": (["query", "long", "x" * 1100], "Error sending query: "),
    "rtt-nobody": (["rtt", "nobody"], 'Could not find a coordinate for node "nobody"'),
    "rtt-two-nobodies": (["rtt", "nobody", "none"], 'Could not find a coordinate for node "nobody"'),
    "rtt-nothing": (["rtt"], "One or two node names must be specified"),
    "monitor-bad-level": (["monitor", "-log-level=loud"], "Error starting monitor: Unknown log level: LOUD"),
    "tags-bad": (["tags", "-set", "x"], "Error: Invalid tag: 'x'"),
    "tags-too-long": (["tags", "-set", "x=" + "y" * 520], "Error setting tags: "),
    "key-not-base64": (["keys", "-install=not*base64"], "Error installing key: "),
}

# Queries, and what is in the complete answer of those that others answer: six are alive, four of them have a handler.
QUERIES = {
    "query": (["up", "p"], "Total Acks: 6\nTotal Responses: 4"),
    "no-payload": (["up"], "Total Acks: 6\nTotal Responses: 4"),
    "no-ack": (["-no-ack", "up"], "Total Responses: 4"),
    "json": (["-format=json", "up"], r'(?s)(?=.*"odd")(?=.*"bare")("(real|ours)-\d".*){8}'),
    "json-no-ack": (["-format=json", "-no-ack", "up"], r'(?s)("(real|ours)-\d".*){4}'),
    "node": (["-node=real-2", "-node", "ours-1", "up"], "Total Acks: 2"),
    "tag": (["-tag=kind=^o", "up"], "Total Acks: 2"),
    "node-and-tag": (["-node=ours-2", "-tag", "kind=ours", "up"], "Total Acks: 1"),
    "relay": (["-relay-factor=2", "up"], "Total Acks: 6\nTotal Responses: 4"),
    "nobody": (["-node=nobody", "up"], None),
    "json-nobody": (["-node=nobody", "-format=json", "up"], None),
    "nobody-no-ack": (["-node=nobody", "-no-ack", "up"], None),
    "bad-expression": (["-tag=role=(", "up"], None),
    "silent": (["quiet"], "Total Acks: 6"),
    "ping": (["_serf_ping"], "Total Acks: 6"),
}

REACHABILITY = ["reachability", "-verbose"], 0, no_times, "Total members: 8, live members: 6", "Successfully"


# Who: an encrypted cluster of three and three with a failed and a left member. Both programs ask an agent of either
# kind whatever can be asked. Four answers must be one.
@interop()
# conformance: rpc 2
def test_questions_are_answered_alike_by_all_four_pairs(lab):
    key, pairs = start_cluster(lab)
    for case, flags in MEMBERS.items():
        compare(pairs, "members " + case, ["members", *flags], 0, any_rows)
    step("%d forms of members" % len(MEMBERS))
    for case, (words, says) in REFUSED.items():
        compare(pairs, case, words, 1, no_usage, says)
    step("%d refusals" % len(REFUSED))
    compare(pairs, "info", ["info"], 0, no_figures, "encrypted = true")
    compare(pairs, "info as JSON", ["info", "-format", "json"], 0, no_figures, '"encrypted": "true"')
    compare(pairs, "event", ["event", "deploy", "v2"], 0, says="Coalescing enabled: true")
    compare(pairs, "event alone", ["event", "-coalesce=false", "deploy"], 0, says="Coalescing enabled: false")
    compare(pairs, "rtt", ["rtt", "real-1", "ours-1"], 0, no_times)
    compare(pairs, "rtt to oneself", lambda pair: ["rtt", pair.agent.name, pair.agent.name], 0, no_names)
    compare(pairs, "rtt of one", ["rtt", "real-2"], 0, no_names)
    compare(pairs, "force-leave of nobody", ["force-leave", "nobody"], 0)
    compare(pairs, "join of a member", ["join", lab.agents[0].gossip_address], 0, says="by contacting 1 nodes.")
    step("single ones")
    queries = [(case, ["query", "-timeout=500ms", *words], 0, any_order, "", whole) for case, (words, whole) in
               QUERIES.items()]
    side_by_side(lambda query: compare(pairs, *query), [("reachability", *REACHABILITY), *queries], 3)
    step("%d queries" % len(QUERIES))
    compare_keys(pairs, key)
    step("keys")
    compare_with_one_missing(lab, pairs)


def compare_with_one_missing(lab, pairs):
    """A stopped member is alive in all lists for some seconds: time for one try. Then it must come back first."""
    silent = next(agent for agent in lab.agents if agent.name == "odd")
    for tries_left in (2, 1, 0):
        silent.pause()
        try:
            return compare(pairs, "reachability with one missing", ["reachability"], 1, any_order, "\todd", tries=1,
                           whole=r"live members: 6\n(.*\n)*.*Missing acks from:\n\t\S+\n\S")
        except Incomplete:
            if not tries_left:
                raise
        finally:
            silent.resume()
        lab.agree(what="odd is back")


def no_names(text):
    return no_times(re.sub(r"(real|ours)-\d", "AGENT", text))


def start_cluster(lab):
    """Those that are asked are the first of either kind; they and the second answer the query `up`."""
    key = random_key(32)
    flags = ["-encrypt=" + key]
    handlers = flags + ["-event-handler=query:up=echo up; echo $SERF_SELF_NAME"]
    lab.agent("real", flags=handlers)
    for kind, name, tags in (("ours", None, None), ("real", None, None), ("ours", None, None)):
        lab.agent(kind, name=name, tags=tags, join=lab.agents[0], flags=handlers)
    first = lab.agents[0]
    lab.agent("real", name="odd", tags={"role": "web", "dc": "<east> & one", "ü": "ß €"}, join=first, flags=flags)
    gone = lab.agent("ours", name="gone", tags={"bar": "one|two"}, join=first, flags=flags)
    lab.agent("real", name="bare", tags={}, join=first, flags=flags)
    left = lab.agent("ours", name="left", join=first, flags=flags)
    lab.agree(what="all in")
    gone.kill()
    left.leave("rpc")
    lab.agree(45, "one failed, one left")
    return key, pairs_of(lab, lab.of("real")[0], lab.of("ours")[0])


def compare_keys(pairs, key):
    """Each form is done by all members or refused by all, so a part of them means that gossip lost somebody.

    One pair after the other: two key commands at once are refused by ours, and wait for each other at a real agent."""
    new, odd = random_key(16), random_key(32)
    forms = [(["-install=" + new], 0, "Successfully"), (["-list"], 0, "[6/6]"), (["-use=" + new], 0, "Successfully"),
             (["-remove=" + new], 1, "failed:  bare"), (["-use=" + odd], 1, "failed:  bare"),
             (["-use=" + key], 0, "Successfully"), (["-remove=" + new], 0, "Successfully")]
    for words, code, says in forms:
        answers = {str(pair): keys(pair, words) for pair in pairs}
        demand_one("keys " + words[0], answers, code, says)


def keys(pair, words):
    for _ in range(6):
        code, out, err = pair.run(["keys", *words])
        count = re.search(r"(\d+)/(\d+) nodes reported", out)
        if count is None or count.group(1) == count.group(2):
            break
    return code, any_order(out), err


# -------------------------------------------------------------------------------------- changes

SECRET = "open sesame"
ASKS_AUTH = ["event x", "force-leave x", "info", "join 127.0.0.1", "keys -list", "keys -install=x", "leave", "members",
             "monitor", "query x", "reachability", "rtt x y", "rtt x", "tags -set a=b"]


NAMES_OF_NOBODY = ["no.such.name.invalid", "no..such", "na/me/127.0.0.1:9", "a:b:c", "300.1.1.1"]

# What is wrong with these is said by each program in its own words; Go's are those of a programmer.
NO_ADDRESSES = ["127.0.0.1:http", "127.0.0.1:99999", "127.0.0.1:", "127.0.0.1:-1", ":7946", "", "[::1", "/127.0.0.1:9",
                "name/", "[::1]:99999"]


# Who: four agents alone, two of either kind, each with a token and a program of its own that tells it what to do, from
# its first refusal to its leave: join, tags, a member forced out, and a monitor that sees the end.
@interop()
# conformance: rpc 2, 15
def test_changes_are_made_alike_by_all_four_pairs(lab):
    pairs, victims, hub = start_targets(lab)
    for words in map(str.split, ASKS_AUTH):
        compare(pairs, "without a token: " + " ".join(words), words, 1, no_self, "Authentication required")
    compare(pairs, "wrong token", ["members", "-rpc-auth=x"], 1, no_self, "Invalid authentication token")
    compare(pairs, "token given", ["members", "-rpc-auth=" + SECRET], 0, no_self, "SELF")
    step("%d refusals without a token" % len(ASKS_AUTH))

    def told(case, words, code, says="", normal=no_self):
        compare(pairs, case, words, code, normal, says, environment={"SERF_RPC_AUTH": SECRET})
    nowhere = lab.block.address(199)
    told("keys of nobody", ["keys", "-list"], 1, "failed:  SELF  Keyring is empty")
    told("failing join", ["join", nowhere], 1, "connection refused")
    told("two that fail", ["join", nowhere, nowhere + ":7", "::1"], 1, "3 errors occurred")
    for address in NAMES_OF_NOBODY:
        told("join of %r" % address, ["join", address], 1, ": no such host", no_resolver)
    for address in NO_ADDRESSES:
        told("join of %r" % address, ["join", address], 1, "\t* Failed to resolve %s: " % address, no_reason)
    told("join", ["join", nowhere, hub.gossip_address], 0, "contacting 1 nodes.")
    told("replay", ["join", "-replay", hub.gossip_address, victims[0].gossip_address], 0, "contacting 2 nodes.")
    told("tags set", ["tags", "-set", "a=1", "-set=b=2", "-set", "empty="], 0, "Successfully updated agent tags")
    told("tags deleted", ["tags", "-delete", "a", "-set", "b=x=y", "-delete=nothing"], 0, "Successfully updated")
    for pair in pairs:
        pair.agent.tags, pair.agent.expected = {"b": "x=y", "empty": ""}, "alive"
    lab.agree(among=[hub], what="joined, with new tags")
    told("own row", lambda pair: ["members", "-name=" + pair.agent.name], 0, "b=x=y,empty=", lambda text:
         no_self(any_rows(text)))
    for victim in victims:
        victim.kill()
    lab.agree(45, "the victims failed", among=[hub])
    of_pair = dict(zip(map(str, pairs), victims * 2))
    for flags, row in (([], "VICTIM  NET.N:7946  left  kind=KIND,name=VICTIM"), (["-prune"], "")):
        told("force-leave %s" % flags, lambda pair: ["force-leave", *flags, of_pair[str(pair)].name], 0)
        told("its row", lambda pair: ["members", "-name=" + of_pair[str(pair)].name], 0, row, no_victim)
    for victim in victims:
        victim.expected = None
    leave_under_a_monitor(lab, pairs, told)


def start_targets(lab):
    """Four alone, with a token; and a cluster of one that stays and two that will be killed."""
    config = Folder(lab).file("auth.json", '{"rpc_auth": "%s"}' % SECRET)
    targets = [lab.agent(kind, name="target-%d" % number, tags={}, flags=["-config-file=" + config])
               for number, kind in enumerate(("real", "ours", "real", "ours"), 1)]
    hub = lab.agent("real", name="hub")
    lab.command("real", "event", "-rpc-addr=" + hub.rpc_text, "past")
    victims = [lab.agent(kind, name="victim-%d" % number, join=hub) for number, kind in enumerate(("real", "ours"), 1)]
    for target in targets:
        target.expected = None      # nobody knows them yet
    lab.agree(among=[hub, *victims], what="the cluster is there")
    return pairs_of(lab, [targets[0], targets[2]], [targets[1], targets[3]]), victims, hub


def no_self(text):
    """Which of the four it is, and where."""
    text = re.sub(r"127\.81\.\d+\.", "NET.", re.sub(r"target-\d", "SELF", text))
    return re.sub(r"NET\.[1-4]:", "NET.N:", text)


def no_victim(text):
    text = re.sub(r"victim-\d", "VICTIM", re.sub(r"kind=\w+", "kind=KIND", any_rows(text)))
    return re.sub(r"NET\.\d:", "NET.N:", no_self(text))


def no_resolver(text):
    return re.sub(r"(lookup \S+) on \S+:", r"\1:", no_self(text))


def no_reason(text):
    return re.sub(r"(Failed to resolve \S*:) .*", r"\1 WHY", no_self(text))


def leave_under_a_monitor(lab, pairs, told):
    """Everybody leaves while the same program watches: the monitor says why it ends, and fails."""
    monitors = [Monitor(lab, pair.program, pair.agent, "-rpc-auth=" + SECRET) for pair in pairs]
    until(lambda: all(monitor.lines() for monitor in monitors), 15, "all four monitors show something")
    told("leave", ["leave"], 0, "Graceful leave complete")
    answers = {}
    for pair, monitor in zip(pairs, monitors):
        until(lambda: not pair.agent.is_running and monitor.has_ended, 15, "%s and its monitor end" % pair)
        said = "\n".join(monitor.lines())
        answers[str(pair)] = monitor.process.returncode, said[said.find("\nRemote side"):].split("\nEvent")[0], ""
    demand_one("the end of a monitor", answers, 1, "This usually means that the\nremote side has exited or crashed.\n")
    codes = [pair.agent.process.returncode for pair in pairs]
    if codes != [0] * 4:
        raise Failure("agents that were told to leave ended with %s" % codes)


# Who: somebody presses Ctrl-C while a query waits for answers. Both programs end at once with exit code 1.
@interop()
def test_interrupted_query_fails(lab):
    for agent in (lab.agent("real"), lab.agent("ours")):
        for program in ("real", "ours"):
            argv = [lab.binaries[program], "query", "-rpc-addr=" + agent.rpc_text, "-timeout=60s", "up"]
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       preexec_fn=die_with_parent)
            first = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            code = process.wait(10)
            if (first, code) != (b"Query 'up' dispatched\n", 1):
                raise Failure("%s asks %s, is interrupted: %r, exit code %d" % (program, agent, first, code))
