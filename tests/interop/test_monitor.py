"""What `monitor` shows of an agent: the lines of its log that people and programs wait for, and its events."""
import contextlib
import difflib
import re

from commands import Monitor
from support import Failure, interop, now, step, until
from test_files import Folder
from test_membership import force_until_refused

LEVELS = ("DEBUG", "INFO", "WARN", "ERR")


# Who: two agents that forget failed members soon, at the next of their looks every 15 s. Both say so.
@interop()
# conformance: agent 16
def test_monitor_shows_who_is_forgotten(lab):
    config = Folder(lab).file("brief.json", '{"reconnect_timeout": "1s"}')
    first = lab.agent("real", flags=["-config-file=" + config])
    monitors = [Monitor(lab, "real", agent) for agent in
                (first, lab.agent("ours", flags=["-config-file=" + config], join=first))]
    forgotten = lab.agent("ours", name="forgotten", join=first)
    lab.agree(what="all in")
    forgotten.kill()
    for monitor in monitors:
        until(lambda: monitor.shows("INFO", "EventMemberReap: forgotten"), 60, "the line in " + monitor.name)


# Who: a real agent and one of ours, watched by both programs while everything happens to their cluster that has a line
# of its own: both agents must say so, at the level Serf says it. Of one agent both programs must show the same lines
# and the same events, to the byte; a higher level shows the lines of that level and above, and nothing else.
@interop(seconds_max=120)
# conformance: agent 16
def test_monitor_shows_the_same_lines_of_both(lab):
    watched, others = start_watched(lab)
    monitors = {(kind, program): Monitor(lab, program, watched[kind], "-log-level=debug")
                for kind in watched for program in ("real", "ours")}
    filtered = {(kind, level): Monitor(lab, "ours", watched[kind], "-log-level=" + level.lower())
                for kind in watched for level in LEVELS[1:]}
    until(lambda: all(monitor.log() for monitor in monitors.values()), 15, "all monitors show something")
    mark(lab, others[0], monitors.values(), "begin")
    expected = make_news(lab, watched, others)
    for kind, lines in expected.items():
        for level, *texts in lines:
            await_line(lab, monitors[kind, "real"], level, texts, [*watched.values(), others[0]])
        step("%s has said %d things at the right levels" % (watched[kind], len(lines)))
    mark(lab, others[0], monitors.values(), "end")
    for kind in watched:
        same_monitors(monitors[kind, "real"], monitors[kind, "ours"])
        for level in LEVELS[1:]:
            right_filter(monitors[kind, "ours"], filtered[kind, level], level)
    codes = {str(monitor.name): monitor.interrupt() for monitor in [*monitors.values(), *filtered.values()]}
    if set(codes.values()) != {0}:
        raise Failure("interrupted monitors end with %s" % codes)


def again_until(act, question, what):
    """Gossip misses somebody now and then, and what is repaired later has no line: then it is sent again."""
    for _ in range(5):
        act()
        with contextlib.suppress(Failure):
            return until(question, 3, what)
    return until(question, 1, what)


def mark(lab, agent, monitors, name):
    """An event that all monitors show, so that what they show before and after can be told apart."""
    def is_everywhere():
        return all(any(is_marker(event, name) for event in monitor.events()) and
                   monitor.shows("DEBUG", "messageUserEventType: " + name) for monitor in monitors)
    again_until(lambda: tell(lab, agent, "event", "-coalesce=false", name), is_everywhere, "all show the event " + name)


def is_marker(event, name):
    return '\tName: "%s"' % name in event


def await_line(lab, monitor, level, texts, askers):
    def is_shown():
        return monitor.shows(level, *texts)

    def ask():
        for asker in () if is_shown() else askers:
            tell(lab, asker, "query", "-timeout=500ms", "-relay-factor=3", "up")

    def what():
        wanted = "[%s] serf: %s" % (level, " or ".join(texts))
        return "%s\n    in %s:\n    %s" % (wanted, monitor.name, "\n    ".join(monitor.log()))
    if re.search("Query|Relaying", texts[0]):
        again_until(ask, is_shown, what)
    else:
        until(is_shown, 40, what)


def start_watched(lab):
    watched = {"real": lab.agent("real")}
    watched["ours"] = lab.agent("ours", join=watched["real"])
    others = [lab.agent(kind, name=name, join=watched["real"]) for kind, name in
              (("real", "real-2"), ("ours", "ours-2"), ("real", "forced"), ("ours", "pruned"), ("ours", "leaver"))]
    lab.agree(what="all in")
    return watched, others


def make_news(lab, watched, others):
    """Lets everything happen; returns of each watched agent what it must have said, as (level, text)."""
    real, ours, forced, pruned, leaver = others
    tell(lab, ours, "tags", "-set", "new=1", "-set", "role=web")
    tell(lab, real, "event", "deploy", "v\n2")
    tell(lab, ours, "event", "ü\"\x01\\", "odd")
    usurpers = usurp(lab, watched.values())
    leaver.leave("rpc")
    for victim in (forced, pruned):
        victim.kill()
    for victim in (forced, pruned):
        until(lambda: all(lab.reports("failed", about={victim.name}, by=agent.name) for agent in
                          (*watched.values(), real)), 30, "%s failed" % victim)
    tell(lab, real, "force-leave", forced.name)
    tell(lab, real, "force-leave", "-prune", pruned.name)
    since = now()
    for agent in watched.values():
        force_until_refused(real, agent, since)
    return {kind: lines_of(agent, others, usurpers[number], ours if kind == "real" else real)
            for number, (kind, agent) in enumerate(watched.items())}


def usurp(lab, agents):
    """Somebody of the other kind comes to each of them under its name, loses it, and is gone before anybody dies: few
    answers to a question of names are taken for a minority. They end too soon to be watched over RPC; their consoles
    show the same lines."""
    usurpers = [lab.agent("ours" if agent.kind == "real" else "real", name=agent.name, join=agent, wait=False,
                          address=lab.block.address(100 + number)) for number, agent in enumerate(agents)]
    lab.agents = [agent for agent in lab.agents if agent not in usurpers]
    until(lambda: not any(usurper.is_running for usurper in usurpers), 30, "those with a taken name end")
    for usurper in usurpers:  # whose last words may still be on their way to us
        until(lambda usurper=usurper: usurper.log_since(
            0, r"\[WARN\] serf: minority in name conflict resolution, quitt?ing \[\d+ / \d+\]"), 5,
            "%s, who lost its name, said so" % usurper)
    return usurpers


def tell(lab, agent, command, *words):
    code, out, err = lab.command("real", command, "-rpc-addr=" + agent.rpc_text, *words)
    if code != 0:
        raise Failure("%s of %s: %d, %r, %r" % (command, agent, code, out, err))


def lines_of(agent, others, usurper, peer):
    """Of each line the level, and the text; of some there is another, when gossip brings things in another order."""
    real, ours, forced, pruned, leaver = others
    everybody, failed = (agent, *others), (forced, pruned)
    return [("INFO", "EventMemberJoin: %s %s" % (each.name, each.address)) for each in everybody] + \
        [("INFO", "EventMemberFailed: %s %s" % (each.name, each.address)) for each in failed] + [
            ("INFO", "EventMemberUpdate: " + ours.name),
            ("INFO", *("EventMemberLeave%s: %s %s" % (how, leaver.name, leaver.address) for how in ("", " (forced)"))),
            ("INFO", "EventMemberLeave (forced): %s %s" % (forced.name, forced.address)),
            ("INFO", "EventMemberReap (forced): %s %s" % (pruned.name, pruned.address)),
            ("DEBUG", *("messageJoinType: " + each.name for each in everybody)),
            ("DEBUG", "messageLeaveType: " + agent.name),
            ("DEBUG", "Refuting an older leave intent"),
            ("DEBUG", "messageUserEventType: begin"),
            ("DEBUG", "messageQueryType: up"),
            ("DEBUG", "messageQueryResponseType: " + peer.name),
            ("DEBUG", "Relaying response to addr: " + real.gossip_address),
            ("ERR", "Node name conflicts with another node at %s. Names must be unique! (Resolution enabled: true)" %
             usurper.gossip_address),
            ("INFO", "majority in name conflict resolution"),
        ]


def same_monitors(real, ours):
    """What both programs show of one agent until the event `end`."""
    logs = [monitor.log() for monitor in (real, ours)]
    logs = [lines[:1 + max(n for n, line in enumerate(lines) if "messageUserEventType: end" in line)] for lines in logs]
    events = [monitor.events() for monitor in (real, ours)]
    events = [each[first(each, "begin"):first(each, "end") + 1] for each in events]
    for what, (measure, got) in (("log", logs), ("events", [["\n".join(event) for event in each] for each in events])):
        if measure != got:
            lines = difflib.unified_diff(measure, got, "serf", "here", n=0, lineterm="")
            raise Failure("%s: its %s is not that of serf\n%s" % (ours.name, what, "\n".join(lines)))
        step("%s: %d pieces of its %s are those that serf shows" % (ours.name, len(got), what))


def first(events, name):
    return next(number for number, event in enumerate(events) if is_marker(event, name))


def right_filter(everything, filtered, level):
    wanted = ["[%s]" % each for each in LEVELS[LEVELS.index(level):]]
    kept = [line for line in everything.log() if line.split(" ")[0] in wanted or not line.startswith("[")]
    until(lambda: filtered.log()[:len(kept)] == kept, 10, lambda: "%s: %s" % (filtered.name, "\n".join(
        difflib.unified_diff(kept, filtered.log(), "of everything", "shown", n=0, lineterm=""))))
