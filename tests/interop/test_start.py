"""Many agents started at once: how long until all of them see all of them."""
from support import Failure, Lab, hold, interop, now, step, until

EACH = 25           # of either kind
TAIL_SECONDS = 5    # real agents alone need 30 to 87 s in 7 of 18 starts, because one missed join waits for a sync


# Who: 25 real agents and 25 of ours start in the same moment and join the first of them. A join that gossip loses must
# be repaired early: every one of the 50 sees all 50 within 5 s.
@interop({"run%d" % run: {"seed": seed} for run, seed in enumerate(("real", "ours", "real"), 1)},
         long=True, alone=True, ours_only=True)
def test_fifty_started_at_once_see_each_other_soon(lab, seed):
    took = start_at_once(lab, seed, EACH)
    if took > TAIL_SECONDS:
        raise Failure("50 agents needed %.1f s to see each other" % took)


# Who: the same with ten, which every run of the tests can afford.
@interop({"real-first": {"seed": "real"}, "ours-first": {"seed": "ours"}}, alone=True)
def test_ten_started_at_once_see_each_other(lab, seed):
    took = start_at_once(lab, seed, 5)
    if took > TAIL_SECONDS and not lab.is_rehearsal:
        raise Failure("10 agents needed %.1f s to see each other" % took)


def start_at_once(lab: Lab, seed, each):
    """Returns the seconds from the start of the last process until the last agent has seen the last join."""
    first = lab.agent(seed)
    kinds = ["real", "ours"] * each
    kinds.remove(seed)
    started = now()
    for kind in kinds:
        lab.agent(kind, join=first, wait=False)
    step("%d processes started in %.1f s" % (2 * each, now() - started))
    started = now()
    names = {agent.name for agent in lab.agents}

    def lacking():
        seen = {agent.name: set() for agent in lab.agents}
        for report in lab.reports("join", source="log"):
            seen[report.observer].add(report.subject)
        return {name: names - met for name, met in seen.items() if names - met}
    until(lambda: not lacking(), 120, lambda: "everybody has seen everybody; some lack %s" %
          {name: sorted(missing)[:3] for name, missing in list(lacking().items())[:5]})
    took = max(report.time for report in lab.reports("join", source="log")) - started
    step("everybody had seen everybody after %.2f s" % took)
    lab.agree(5, "all in the lists")
    since = now()
    hold(3, lambda: lab.nobody_reported(("failed", "leave"), since))
    return took
