"""Nothing happens: and nothing may be said to have happened."""
from support import hold, interop, now, step

REST_SECONDS = 300


# Who: three real agents and three of ours, left alone for five minutes. Not one of the six may call anybody failed,
# left or suspect, or have to refute anything, and at the end all agree as they did at the start.
@interop({"plain": {"flags": []}, "sealed": {"flags": ["-encrypt=cg8StVXbQJ0gPvMd9o7yrg=="]}},
         long=True, seconds_max=420)
# conformance: memberlist 69
def test_five_minutes_without_a_flap(lab, flags):
    lab.cluster(real_flags=flags, our_flags=flags)
    for agent in lab.agents:
        agent.stream("member-failed,member-leave,member-update,member-reap")
    since = now()
    unwanted = ("failed", "leave", "suspect", "refute", "conflict", "update", "reap", "broken-stream")
    hold(REST_SECONDS, lambda: lab.nobody_reported(unwanted, since))
    step("%d s have passed" % REST_SECONDS)
    lab.agree(5, "all as before")
