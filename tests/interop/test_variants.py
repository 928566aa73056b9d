"""The same life once more under every variant of the wire: key sizes, compression on and off, IPv6, versions."""
from story import (change_tags, force_out_and_see_left, kill_and_see_failed, leave_and_see_left,
                   restart_and_see_alive, stop_for_a_while, try_to_change_tags)
from support import KEY_TALK, Failure, Lab, interop, random_key

QUIET = ["-disable-compression"]


def variant(real=(), ours=(), both=(), key=0, ipv6=False, seed="real"):
    return {"real_flags": list(real) + list(both), "our_flags": list(ours) + list(both), "key": key, "ipv6": ipv6,
            "seed": seed}


VARIANTS = {
    "plain": variant(),
    "key16": variant(key=16),
    "key24": variant(key=24),
    "key32": variant(key=32, seed="ours"),
    "no-compression": variant(both=QUIET, seed="ours"),
    "no-compression-ours": variant(ours=QUIET),
    "no-compression-real": variant(real=QUIET),
    "ipv6": variant(ipv6=True, seed="ours"),
    "ipv6-key16-no-compression": variant(ipv6=True, key=16, both=QUIET),
    "protocol4-real": variant(real=["-protocol=4"]),
    "protocol4-ours": variant(ours=["-protocol=4"], seed="ours"),
    "mix": variant(real=["-protocol=4"], ours=QUIET, key=24, seed="ours"),
}


# Who: three and three under one variant of the wire live through everything at once: two are killed, forced out and
# come back, new tags, two are stopped for 20 s, two leave and come back. After each act all six agree on members,
# statuses and tags.
@interop(VARIANTS, long=VARIANTS.keys() - {"key32", "no-compression", "ipv6", "mix"}, seconds_max=240)
# conformance: serf 65
def test_lives_through_everything(lab, real_flags, our_flags, key, ipv6, seed):
    encrypt = ["-encrypt=" + random_key(key)] if key else []
    real, ours = lab.cluster(seed=seed, real_flags=real_flags + encrypt, our_flags=our_flags + encrypt, is_ipv6=ipv6)
    versions_are_as_configured(lab)
    kill_and_see_failed(lab, real[2], ours[2])
    force_out_and_see_left(lab, ours[0], real[2])
    force_out_and_see_left(lab, real[0], ours[2])
    restart_and_see_alive(lab, real[0], ours[2])
    restart_and_see_alive(lab, ours[0], real[2])
    change_tags(lab, real[1], {"role": "changed", "new": "x" * 300}, ["name"])
    try_to_change_tags(lab, ours[1], {"role": "changed", "new": "y" * 300}, ["name"])
    stop_for_a_while(lab, real[1], ours[1])
    leave_and_see_left(lab, "signal", real[2], ours[2])
    restart_and_see_alive(lab, ours[0], ours[2])
    restart_and_see_alive(lab, real[0], real[2])
    leave_and_see_left(lab, "rpc", ours[1], real[1])
    lab.nobody_reported(("conflict", "conflict-own", "broken-stream"))
    versions_are_as_configured(lab)


# Who: every agent's member list must show of everyone the Serf version he was started with and the ranges of versions
# both kinds share.
def versions_are_as_configured(lab: Lab):
    for agent in lab.speaking():
        for name, row in agent.members().items():
            other = next(each for each in lab.agents if each.name == name)
            current = 4 if "-protocol=4" in other.flags else 5
            if row.memberlist_versions != (1, 5, 2) or row.serf_versions != (2, 5, current):
                raise Failure("%s sees versions %s and %s of %s" %
                              (agent, row.memberlist_versions, row.serf_versions, other))


# Who: somebody holds another key, or none. He must not get in, and the cluster must not notice more than a log line.
@interop({"%s-%s" % (kind, what): {"kind": kind, "what": what}
          for kind in ("real", "ours") for what in ("other-key", "no-key")}, talk=KEY_TALK)
def test_stranger_with_the_wrong_key_stays_out(lab, kind, what):
    encrypt = ["-encrypt=" + random_key(32)]
    lab.cluster(real=2, ours=2, real_flags=encrypt, our_flags=encrypt)
    for seed in (lab.of("real")[0], lab.of("ours")[0]):
        stranger = lab.agent(kind, name="stranger", join=seed, wait=False,
                             flags=["-encrypt=" + random_key(32)] if what == "other-key" else [])
        lab.agents.remove(stranger)
        code = stranger.process.wait(30)
        if code != 1:
            raise Failure("a stranger who could not join ended with exit code %d" % code)
    lab.agree(5, "no stranger inside")
