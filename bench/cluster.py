#!/usr/bin/env python3
"""Agents side by side: Serf's, bruit's, and both in one cluster.

    converge  N agents start at once with -join of node 0 (cold), or are up alone and told to join at once (warm): how
              long until every one of them has logged the join of every other
    idle      memory, CPU and packets of an agent at rest
    kill      kill -9 of one agent: how long until the first, and every other, reports it failed; then it comes back
    pause     a tenth of the agents stopped for 20 s: what is said of them, and of those that were not
    flap      Lifeguard's hard case: the same tenth stopped for 8 s and awake for 60 ms, again and again

Runs of the kinds alternate (serf, bruit, mixed, serf, ...), so that a noisy minute hits all of them.

    bench/cluster.py converge --kinds serf,bruit,mixed --n 50 --runs 10
    bench/cluster.py rest --n 50             idle, kill, pause and flap in one cluster of each kind
"""
import argparse
import random
import statistics
import time

import agents
import common
from common import figure, now, progress


class Cluster:
    def __init__(self, kind, count):
        self.kind = kind
        self.agents = kind.agents(count)
        self.names = {a.name for a in self.agents}
        self.logs = agents.Logs()

    def start(self, agent, join=None):
        agent.start(join)
        self.logs.add(agent)

    def stop(self):
        for agent in self.agents:
            if agent.process is not None:
                common.end(agent.process)
        self.logs.stop()

    # -------------------------------------------------------------------------------------------------- convergence

    def _full_view(self, done_at):
        """Has everybody reported the join of everybody? `done_at` gets when each was first there, for good."""
        seen = {name: {name} for name in self.names}

        def is_done(report):
            at, who, what, whom = report
            if who in seen and what == "join" and whom in self.names:
                seen[who].add(whom)
            elif who in seen and what in ("failed", "leave"):
                seen[who].discard(whom)
            else:
                return False
            if len(seen[who]) == len(self.names):
                done_at.setdefault(who, at)
            else:
                done_at.pop(who, None)
            return len(done_at) == len(self.names)
        return is_done

    def _converge(self, mark, begun, busy, timeout):
        done_at = {}
        is_full = self.logs.wait(mark, self._full_view(done_at), timeout)
        times = sorted(max(0.0, at - begun) for at in done_at.values())
        return {"is_full": is_full, "all_s": times[-1] if is_full else None,
                "half_s": times[len(times) // 2] if times else None, "done": len(times),
                "busy_cores": (common.machine_busy() - busy) / (now() - begun)}

    def cold(self, timeout=120):
        mark = self.logs.mark()
        self.start(self.agents[0])
        self.agents[0].wait_ready()
        busy, begun = common.machine_busy(), now()
        for agent in self.agents[1:]:
            self.start(agent, self.agents[0])
        return self._converge(mark, begun, busy, timeout)

    def warm(self, timeout=120):
        mark = self.logs.mark()
        for agent in self.agents:
            self.start(agent)
        for agent in self.agents:
            agent.wait_ready()
        time.sleep(1.0)
        rpcs = [agents.Rpc(agent.rpc_address, 60) for agent in self.agents[1:]]
        busy, begun = common.machine_busy(), now()
        for rpc in rpcs:
            rpc.send("join", {"Existing": [self.agents[0].address], "Replay": False})
        result = self._converge(mark, begun, busy, timeout)
        for rpc in rpcs:
            rpc.close()
        return result

    # --------------------------------------------------------------------------------------------------------- rest

    def idle(self, seconds, tap_seconds):
        pids = [a.process.pid for a in self.agents]
        busy, begun = common.machine_busy(), now()
        cpu = [common.cpu_seconds(pid) for pid in pids]
        time.sleep(seconds)
        passed = now() - begun
        cpu = [(common.cpu_seconds(pid) - before) / passed for pid, before in zip(pids, cpu)]
        busy = (common.machine_busy() - busy) / passed
        sizes = [common.memory(pid) for pid in pids]
        result = {"seconds": passed, "cpu": common.share(cpu), "rss_kib": common.share([m["rss"] for m in sizes]),
                  "private_kib": common.share([m["private"] for m in sizes]), "busy_cores": busy}
        try:
            tap = common.Tap(self.kind.network, agents.RPC_PORT)
        except PermissionError:
            return result  # not root: no figures of the network
        rates = tap.run(tap_seconds)
        tap.close()
        return dict(result, **{key + "_s": rate / len(pids) for key, rate in rates.items()})

    # ------------------------------------------------------------------------------------------------------ failures

    def kill_one(self, rng, settle=3.0):
        victim = self.agents[rng.randrange(1, len(self.agents))]
        time.sleep(rng.uniform(0, 1))  # somewhere in the probe round
        mark = self.logs.mark()
        killed = victim.kill()
        others = self.names - {victim.name}
        reported, wrong = {}, []

        def is_done(report):
            at, who, what, whom = report
            if what == "failed" and whom == victim.name:
                reported.setdefault(who, at - killed)
            elif what == "failed":
                wrong.append((who, whom))
            return len(reported) == len(others)
        is_all = self.logs.wait(mark, is_done, 90)
        suspected = [at - killed for at, _, what, whom in self.logs.since(mark)
                     if what == "suspect" and whom == victim.name]
        row = {"suspect_s": min(suspected, default=None), "first_s": min(reported.values(), default=None),
               "median_s": statistics.median(reported.values()) if reported else None,
               "all_s": max(reported.values()) if is_all else None, "wrong": len(wrong)}
        row["back_s"] = self._come_back(victim, others)
        time.sleep(settle)
        return row

    def _come_back(self, victim, others):
        mark, begun, back = self.logs.mark(), now(), {}
        common.end(victim.process)
        self.start(victim, self.agents[0])

        def is_done(report):
            at, who, what, whom = report
            if what == "join" and whom == victim.name and who != victim.name:
                back.setdefault(who, at - begun)
            return len(back) == len(others)
        return max(back.values()) if self.logs.wait(mark, is_done, 60) else None

    def _healed(self, timeout=90):
        """Seconds until every agent shows everybody alive again."""
        begun = now()
        while now() - begun < timeout:
            try:
                if all(a.alive_count() == len(self.agents) for a in self.agents):
                    return now() - begun
            except OSError:
                pass
            time.sleep(0.5)
        return None

    def _blame(self, mark, victims):
        """What was said of those who were stopped, and of the others."""
        row = {"failed_stopped": 0, "failed_healthy": 0, "suspected_healthy": 0, "refuted_by_healthy": 0}
        for _, who, what, whom in self.logs.since(mark):
            if what == "failed":
                row["failed_stopped" if whom in victims else "failed_healthy"] += 1
            elif what == "suspect" and whom not in victims:
                row["suspected_healthy"] += 1
            elif what == "refute" and who not in victims:
                row["refuted_by_healthy"] += 1
        return row

    def _sample(self, rng):
        return rng.sample(self.agents[1:], max(1, len(self.agents) // 10))

    def pause(self, rng, seconds):
        victims = self._sample(rng)
        mark, begun = self.logs.mark(), now()
        for agent in victims:
            agent.pause()
        time.sleep(seconds)
        for agent in victims:
            agent.resume()
        healed = self._healed()
        time.sleep(3)
        names = {a.name for a in victims}
        first = [at - begun for at, _, what, whom in self.logs.since(mark) if what == "failed" and whom in names]
        return dict(self._blame(mark, names), stopped=len(victims), seconds=seconds, healed_s=healed,
                    first_s=min(first, default=None))

    def flap(self, rng, seconds, stopped=8.0, awake=0.06):
        victims = self._sample(rng)
        mark, begun, cycles = self.logs.mark(), now(), 0
        while now() - begun < seconds:
            for agent in victims:
                agent.pause()
            time.sleep(stopped)
            for agent in victims:
                agent.resume()
            time.sleep(awake)
            cycles += 1
        healed = self._healed()
        time.sleep(3)
        return dict(self._blame(mark, {a.name for a in victims}), stopped=len(victims), seconds=seconds,
                    cycles=cycles, healed_s=healed)


# --------------------------------------------------------------------------------------------------------- experiments


def converge(kinds, options):
    """Runs of all kinds by turns; a slow kind may be given fewer of them."""
    rows = {kind.name: {"cold": [], "warm": []} for kind in kinds}
    for run in range(options.runs):
        for kind in kinds:
            if kind.name == "serf" and run >= options.serf_runs:
                continue
            for how in options.how.split(","):
                cluster = Cluster(kind, options.n)
                row = cluster.cold() if how == "cold" else cluster.warm()
                cluster.stop()
                rows[kind.name][how].append(row)
                progress("converge %3d %-5s %s: %s s (half of them: %.2f s)" % (
                    options.n, kind.name, how, "over 120" if row["all_s"] is None else "%.2f" % row["all_s"],
                    row["half_s"] or 0))
                time.sleep(0.3)
    return {"n": options.n, "kinds": {name: {how: {"all_s": figure([r["all_s"] for r in of[how]]), "rows": of[how],
                                                   "never": sum(1 for r in of[how] if not r["is_full"])}
                                             for how in of if of[how]} for name, of in rows.items()}}


def rest(kinds, options):
    """One cluster of each kind after the other, `rounds` times: at rest, then hurt in the ways asked for."""
    out = {kind.name: {"idle": [], "kill": [], "pause": [], "flap": []} for kind in kinds}
    wanted = options.what.split(",")
    for turn in range(options.rounds):
        for kind in kinds:
            rng = random.Random(turn)
            rows = out[kind.name]
            cluster = Cluster(kind, options.n)
            cluster.cold()
            time.sleep(options.settle)
            if "idle" in wanted:
                rows["idle"].append(cluster.idle(options.seconds, options.tap_seconds))
                progress("idle %s: %.4f %% of a core, %.0f KiB private" % (
                    kind.name, 100 * rows["idle"][-1]["cpu"]["median"], rows["idle"][-1]["private_kib"]["median"]))
            for _ in range(options.kills if "kill" in wanted else 0):
                rows["kill"].append(cluster.kill_one(rng))
                progress("kill %s: %s" % (kind.name, rows["kill"][-1]))
            if "pause" in wanted:
                rows["pause"].append(cluster.pause(rng, options.pause_seconds))
                progress("pause %s: %s" % (kind.name, rows["pause"][-1]))
            if "flap" in wanted and turn == 0:
                rows["flap"].append(cluster.flap(rng, options.flap_seconds))
                progress("flap %s: %s" % (kind.name, rows["flap"][-1]))
            cluster.stop()
    return {"n": options.n, "kinds": out}


def main():
    parser = common.paths(argparse.ArgumentParser(description=__doc__,
                                                  formatter_class=argparse.RawDescriptionHelpFormatter))
    parser.add_argument("experiment", choices=["converge", "rest"])
    parser.add_argument("--kinds", help="serf, bruit, mixed; default: all for converge, both programs for rest")
    parser.add_argument("--serf", default="serf", help="the program serf")
    parser.add_argument("--n", type=int, default=50, help="agents")
    parser.add_argument("--runs", type=int, default=10, help="converge: of each")
    parser.add_argument("--serf-runs", type=int, default=1000, help="converge: of Serf's, whose starts can take 100 s")
    parser.add_argument("--how", default="cold,warm")
    parser.add_argument("--what", default="idle,kill,pause,flap")
    parser.add_argument("--rounds", type=int, default=2, help="rest: clusters of each kind, by turns")
    parser.add_argument("--settle", type=float, default=12, help="rest: seconds between start and idle")
    parser.add_argument("--seconds", type=float, default=30, help="idle: measured for so long")
    parser.add_argument("--tap-seconds", type=float, default=8)
    parser.add_argument("--kills", type=int, default=3, help="in each round")
    parser.add_argument("--pause-seconds", type=float, default=20)
    parser.add_argument("--flap-seconds", type=float, default=60)
    options = parser.parse_args()
    if options.quick:
        options.runs, options.serf_runs, options.rounds, options.kills = 1, 1, 1, 1
        options.settle, options.seconds, options.tap_seconds, options.flap_seconds = 3, 5, 3, 10
    common.allow_files(4096)
    programs = {"serf": options.serf, "bruit": options.build + "/bruit"}
    names = options.kinds or ("serf,bruit,mixed" if options.experiment == "converge" else "serf,bruit")
    kinds = [agents.Kind(name, programs) for name in names.split(",")]
    if options.experiment == "converge":
        name, result = "converge-%d" % options.n, converge(kinds, options)
    else:
        name, result = "rest-%d" % options.n, rest(kinds, options)
    common.save(options.out, name, result, "bench/cluster.py %s --n %d" % (options.experiment, options.n))


if __name__ == "__main__":
    main()
