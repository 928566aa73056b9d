"""The acts the tests share: what happens to a member, and what everybody must see afterwards."""
from support import Failure, RpcError, hold, now, step, until

# SIGSTOP lasts this long: more than the longest suspicion of a small cluster needs to be confirmed (some 8 s).
STOP_SECONDS = 20


def kill_and_see_failed(lab, *victims):
    """kill -9: failed everywhere, and nobody else is."""
    since = now()
    for victim in victims:
        victim.kill()
    lab.agree(45, "%s seen failed" % names(victims))
    for victim in victims:
        lab.everybody_reports("failed", victim, since)
    lab.nobody_reported(("failed", "leave"), since, except_about={victim.name for victim in victims})


def restart_and_see_alive(lab, seed, *victims):
    """The same name at the same address again: alive everywhere, in every log a join."""
    since = now()
    for victim in victims:
        victim.start(join=seed)
    lab.agree(what="%s back, seen alive" % names(victims))
    for victim in victims:
        lab.everybody_reports("join", victim, since)


def stop_for_a_while(lab, *victims):
    """SIGSTOP for 20 s, then SIGCONT: they end alive everywhere, and nobody else was ever called failed or left."""
    since = now()
    stopped = {victim.name for victim in victims}
    for victim in victims:
        victim.pause()
    hold(STOP_SECONDS, lambda: lab.nobody_reported(("failed", "leave"), since, except_about=stopped))
    for victim in victims:
        victim.resume()
    lab.agree(90, "%s continued, seen alive" % names(victims))
    # What the sleepers believe on waking, or what they set off, shows within a suspicion's time: some 4 to 8 s.
    hold(8, lambda: lab.nobody_reported(("failed", "leave"), since, except_about=stopped))
    lab.agree(what="%s still alive" % names(victims))
    lab.nobody_reported(("failed", "leave"), since, except_about=stopped)


def leave_and_see_left(lab, how, *leavers):
    """A graceful leave: left everywhere, in the end and from then on; the process ends well.

    Gossip may bring somebody the death before the intent to leave: he says failed, and left a moment later. Real agents
    among themselves do so once in some fifty leaves, so it is no fault here.
    """
    since = now()
    for leaver in leavers:
        code = leaver.leave(how)
        # The real agent gives up with 1 when a busy machine needs more than 3 s for it; ours has to be quicker.
        if code != 0 and (leaver.kind == "ours" and not lab.is_rehearsal):
            raise Failure("%s ended with exit code %d after its leave" % (leaver, code))
        lab.agree(what="%s left by %s" % (leaver, how))
        lab.everybody_reports("leave", leaver, since)
    lab.nobody_reported("failed", since, except_about={leaver.name for leaver in leavers})


def force_out_and_see_left(lab, by, victim):
    """Somebody says for a failed one that it has left: left everywhere."""
    since = now()
    by.rpc().call("force-leave", {"Node": victim.name, "Prune": False})
    victim.expected = "left"
    lab.agree(what="%s forced out by %s" % (victim, by))
    lab.everybody_reports("leave", victim, since)


def change_tags(lab, agent, changed, removed=()):
    """Tags set at run time: everybody sees exactly the new ones, and a stream at everybody else reports the update."""
    since = now()
    agent.rpc().call("tags", {"Tags": changed, "DeleteTags": list(removed)})
    agent.tags.update(changed)
    for key in removed:
        agent.tags.pop(key, None)
    lab.agree(what="new tags of %s" % agent)
    lab.everybody_reports("update", agent, since)


def try_to_change_tags(lab, agent, changed, removed=()):
    """For an agent that may not know the command yet; says whether it did."""
    try:
        change_tags(lab, agent, changed, removed)
        return True
    except (RpcError, ConnectionError) as error:
        agent.drop_rpc()
        if isinstance(error, RpcError) and "Unsupported command" not in str(error):
            raise
        step("%s has no command for tags yet" % agent)
        return False


def names(agents):
    return ", ".join(agent.name for agent in agents)


def wait_for_stream(lab, kind, subject, observers, since, seconds=20):
    """Each observer's event stream has reported it."""
    def missing():
        said = {report.observer for report in lab.reports(kind, since, {subject.name}, source="stream")}
        return [agent.name for agent in observers if agent.name not in said]
    until(lambda: not missing(), seconds, lambda: "member-%s of %s on the stream of %s" %
          (kind, subject, ", ".join(missing())))
