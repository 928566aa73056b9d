#!/usr/bin/env python3
"""Tables from results: those of the last run in build/bench/, or the committed ones.

    bench/render.py              build/bench/*.json -> build/bench/performance.md, which is printed
    bench/render.py --publish    also writes bench/results.json, and docs/performance.md from it
    bench/render.py --committed  docs/performance.md from bench/results.json, measuring and reading nothing else

The words of the page stand in page.md; a line `{{NAME}}` there becomes the table NAME of this file.
"""
import argparse
import glob
import json
import math
import os

import common

ROOT = os.path.join(common.HERE, "..")
OUT = os.path.join(ROOT, "build", "bench")
COMMITTED = os.path.join(common.HERE, "results.json")
PAGE = os.path.join(ROOT, "docs", "performance.md")
NAMES = {"plain": "plain", "comp": "compressed", "sealed": "sealed", "comp+seal": "compressed and sealed",
         "nocomp": "compression off"}
CASES = {"ping": "ping, answered", "known": "20 known members", "new": "20 new members"}


# ---------------------------------------------------------------------------------------------------------- small parts


def number(value, digits=2):
    """With `digits` significant digits, and all that stand before the point."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    return "%.*f" % (max(0, digits - 1 - math.floor(math.log10(abs(value)))), value)


def spread(figure, scale=1.0, digits=3):
    """Median (smallest-largest)."""
    if not figure or not figure.get("n", 1):
        return "-"
    return "%s (%s–%s)" % tuple(number(figure[key] * scale, digits) for key in ("median", "min", "max"))


def pooled(figures):
    """One figure over several windows' shares: the median of their medians, the extremes of all."""
    medians = sorted(f["median"] for f in figures)
    middle = medians[len(medians) // 2] if len(medians) % 2 else sum(medians[len(medians) // 2 - 1:][:2]) / 2
    return {"n": len(figures), "median": middle, "min": min(f["min"] for f in figures),
            "max": max(f["max"] for f in figures)}


def ratio(ours, theirs):
    """As `1/14` or `0.83`."""
    if not ours or not theirs:
        return "-"
    return "1/%s" % number(theirs / ours, 2) if ours < theirs else number(ours / theirs, 2)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def source(results, *names):
    """Under each table: how to do it again, when it was done, and what else the machine did meanwhile."""
    parts = []
    for name in names:
        if name in results:
            r = results[name]
            parts.append("`%s` (%s, %d s; others used %s cores meanwhile)" % (
                r["command"], r["machine"]["when"], r["seconds"], number(r["neighbours"], 2)))
    return "\n\n" + "; ".join(parts) + "." if parts else ""


# --------------------------------------------------------------------------------------------------------------- tables


def packet_cases(results):
    """(case, variant) -> its row in packets.json."""
    return {(c["case"], c["variant"]): c for c in results.get("packets", {}).get("cases", [])}


def alone_of(results, case, variant):
    return results.get("alone", {}).get("cases", {}).get("%s %s" % (case, variant))


def packets(results):
    rows = []
    for (case, variant), c in packet_cases(results).items():
        us, alone = c["us"], alone_of(results, case, variant)
        theirs, ours, echo = (us[name]["median"] for name in ("memberlist", "bruit", "echo"))
        rows.append([CASES[case], NAMES[variant], "%.0f" % c["packet_bytes"], spread(us["memberlist"]),
                     spread(us["bruit"]), spread(us["echo"]), spread(alone),
                     ratio(alone["median"], theirs) if alone else "-", number((ours - echo) / (theirs - echo), 2),
                     us["bruit"]["n"]])
    return table(["packet", "variant", "bytes", "memberlist, µs", "bruit, µs", "bare echo, µs", "engine alone, µs",
                  "engine alone / memberlist", "(bruit − echo) / (memberlist − echo)", "n"], rows) \
        + _losses(results) + source(results, "packets", "alone")


def _losses(results):
    """Floods that a receiver did not take all of: their figures would be too low."""
    counts = {}
    for c in packet_cases(results).values():
        for name, count in c["lost"].items():
            counts[name] = counts.get(name, 0) + count
    lossy = ["%d of %s's" % (count, name) for name, count in counts.items() if count]
    return "\n\nFloods in which packets or messages got lost: %s." % (", ".join(lossy) or "none")


def agents(results):
    rows = []
    for (case, variant), c in packet_cases(results).items():
        us = c["us"]
        if "serf agent" in us:
            rows.append([CASES[case], spread(us["serf agent"]), spread(us["bruit agent"]),
                         ratio(us["bruit agent"]["median"], us["serf agent"]["median"]), us["bruit agent"]["n"]])
    return table(["packet", "serf agent, µs", "bruit agent, µs", "ratio", "n"], rows) + source(results, "packets")


def limits(results):
    rows = []
    for (case, variant), c in packet_cases(results).items():
        if c["limits"]:
            rows.append([CASES[case], NAMES[variant]] + [
                "%.0f (%.0f %% of a core, %.0f %% dropped)" % (
                    limit["packets_s"], 100 * limit["busy"], 100 * limit["messages_dropped"])
                for limit in (c["limits"][name] for name in ("memberlist", "bruit", "echo"))])
    return table(["packet", "variant", "memberlist, packets/s", "bruit", "bare echo"], rows) \
        + source(results, "packets")


def pushpull(results):
    rows = []
    for c in results.get("pushpull", {}).get("cases", []):
        variant = {"nocomp": "compression off", "plain": "compressed", "sealed": "compressed and sealed"}[c["variant"]]
        theirs, ours = (c["libraries"][name] for name in ("memberlist", "bruit"))
        for what, text in (("sync", "both know all"), ("join", "the initiator knows nobody")):
            alone = alone_of(results, "sync", c["variant"]) if what == "sync" else None
            rows.append([text, variant, spread(theirs[what]["both_s"], 1e3), spread(ours[what]["both_s"], 1e3),
                         spread(alone, 1e-3) if alone else "-",
                         ratio(ours[what]["both_s"]["median"], theirs[what]["both_s"]["median"]),
                         "%s / %s" % (number(theirs[what]["wall_s"]["median"] * 1e3, 3),
                                      number(ours[what]["wall_s"]["median"] * 1e3, 3)),
                         ours[what]["both_s"]["n"]])
    return table(["exchange", "variant", "memberlist, ms CPU of both sides", "bruit", "engine alone", "ratio",
                  "wall ms, memberlist / bruit", "n"], rows) + source(results, "pushpull", "alone")


def kinds_of(results, name):
    """(kind, its figures): the peer first, whatever order a file keeps."""
    kinds = results.get(name, {}).get("kinds", {})
    return [(kind, kinds[kind]) for kind in ("serf", "bruit", "mixed") if kind in kinds]


def of_serfs(kind, ours, kinds, figure_of):
    """A median as a share of that of real Serf in the same run; "-" for Serf itself, and where it has none."""
    theirs = figure_of(kinds["serf"]) if kind != "serf" and "serf" in kinds else None
    return ratio(ours["median"], theirs["median"]) if ours and theirs else "-"


def converge(results):
    rows = []
    for name in ("converge-50", "converge-100"):
        for kind, of in kinds_of(results, name):
            for how in of:
                each = ", ".join("over 120" if r["all_s"] is None else number(r["all_s"], 2) for r in of[how]["rows"])
                rows.append([results[name]["n"], {"mixed": "half Serf, half bruit"}.get(kind, kind),
                             {"cold": "started at once", "warm": "told to join at once"}[how],
                             spread(of[how]["all_s"]),
                             of_serfs(kind, of[how]["all_s"], results[name]["kinds"],
                                      lambda serf, how=how: serf.get(how, {}).get("all_s")), each,
                             number(max(r["busy_cores"] for r in of[how]["rows"]), 2), len(of[how]["rows"])])
    return table(["agents", "of", "how", "all see all, s", "of Serf's", "each run", "cores busy, at most", "n"], rows) \
        + source(results, "converge-50", "converge-100")


def events(results):
    rows = []
    for name in ("events-50", "events-100"):
        for kind, of in kinds_of(results, name):
            cost = of["packets"]
            rows.append([results[name]["n"], {"mixed": "half Serf, half bruit"}.get(kind, kind),
                         spread(of["half_s"], 1e3), spread(of["all_s"], 1e3),
                         of_serfs(kind, of["all_s"], results[name]["kinds"], lambda serf: serf["all_s"]),
                         number(1e3 * of["p99_s"], 3) if of["p99_s"] else "-", of["late"], of["never"],
                         number(cost.get("udp"), 3), number(cost.get("udp_bytes"), 3), of["events"]])
    return table(["agents", "of", "half have it, ms", "all have it, ms", "of Serf's", "99 %, ms", "later than 250 ms",
                  "later than 45 s", "packets an event", "bytes an event", "n"], rows) \
        + source(results, "events-50", "events-100")


def idle(results):
    rows = []
    rest = results.get("rest-50", {})
    for kind, of in kinds_of(results, "rest-50"):
        if of["idle"]:
            windows = of["idle"]
            rows.append([kind, rest["n"]])
            for key, scale in (("cpu", 100), ("rss_kib", 1 / 1024), ("private_kib", 1 / 1024)):
                figure = pooled([w[key] for w in windows])
                rows[-1] += [spread(figure, scale), of_serfs(
                    kind, figure, rest["kinds"], lambda serf, key=key: pooled([w[key] for w in serf["idle"]]))]
            rows[-1] += [number(windows[0].get(key), 3) for key in ("udp_s", "udp_bytes_s", "tcp_bytes_s")] + \
                        ["%d × %.0f s" % (len(windows), windows[0]["seconds"])]
    return table(["agent", "agents", "CPU, % of a core", "of Serf's", "RSS, MiB", "of Serf's",
                  "RSS minus shared, MiB", "of Serf's", "UDP packets/s", "UDP bytes/s",
                  "TCP bytes/s", "measured"], rows) + source(results, "rest-50")


def kill(results):
    rows = []
    kinds = results.get("rest-50", {}).get("kinds", {})
    for kind, of in kinds_of(results, "rest-50"):
        if not of["kill"]:
            continue
        rows.append([kind])
        for key in ("suspect_s", "first_s", "median_s", "all_s", "back_s"):
            figure = common.figure([r[key] for r in of["kill"]])
            rows[-1].append(spread(figure))
            if key in ("all_s", "back_s"):
                rows[-1].append(of_serfs(kind, figure, kinds, lambda serf, key=key: common.figure(
                    [r[key] for r in serf["kill"]])))
        rows[-1] += [sum(r["wrong"] for r in of["kill"]), len(of["kill"])]
    return table(["agents", "first suspicion, s", "first report, s", "half of all, s", "everywhere, s", "of Serf's",
                  "back: seen by all, s", "of Serf's", "false reports", "n"], rows) + source(results, "rest-50")


def stopped(results):
    rows = []
    for kind, of in kinds_of(results, "rest-50"):
        for what, text in (("pause", "stopped for %.0f s"), ("flap", "8 s stopped, 60 ms awake, for %.0f s")):
            for r in of[what]:
                rows.append([kind, text % r["seconds"], r["stopped"], r["failed_stopped"], r["failed_healthy"],
                             r["suspected_healthy"], number(r["healed_s"], 2)])
    return table(["agents", "what", "how many", "failed reports about them", "failed reports about the others",
                  "suspicions of the others", "all agree again after, s"], rows) + source(results, "rest-50")


def memory(results):
    rows = []
    alone = results.get("alone", {})
    if alone:
        rows.append(["engine: view, roster, indexes, with their growing room", "-",
                     "%.0f bytes" % alone["memory"]["plain"], "engine's own count"])
        rows.append(["the same with Serf's status of each member", "-", "%.0f bytes" % alone["memory"]["serf"],
                     "engine's own count"])
    for c in results.get("pushpull", {}).get("cases", []):
        if c["variant"] == "nocomp":
            rows.append(["process: private memory per member"] +
                        ["%.0f bytes" % c["libraries"][name]["bytes_a_member"] for name in ("memberlist", "bruit")] +
                        ["growth of RSS minus shared"])
    return table(["10,000 members", "memberlist", "bruit", "how"], rows) + source(results, "alone", "pushpull")


def simulator(results):
    rows = []
    for row in results.get("sim", {}).get("rows", []):
        rows.append(["%d engines" % row["nodes"], "%d" % row["shards"], "%.0f s" % row["virtual_s"],
                     spread(row["wall_s"]), spread(row["cpu_s"]), number(row["speed"]["median"], 2),
                     number(row["make_s"]["median"], 2), number(row["events_m"], 3),
                     number(row["rate_m"]["median"], 3), number(row["gib"]["max"], 2), row["wall_s"]["n"]])
    return table(["world", "cores", "of its time", "takes, s", "CPU, s", "times real time", "made in, s",
                  "million events", "million events/s of CPU", "GiB", "n"], rows) + source(results, "sim")


def rumours(results):
    rows = []
    for case in results.get("spread", {}).get("cases", []):
        rows.append(["%d" % case["nodes"], "%.2f ± %.2f" % (case["python_rounds"], case["error"]),
                     "%.2f" % case["model_rounds"], spread(case["python_ms"], 1e3), spread(case["model_ms"], 1e3),
                     "%.0f" % case["ratio"], "%d, %d" % (case["python_trials"], case["model_trials"])])
    return table(["nodes", "rounds, Python", "rounds, model", "a trial in Python, µs", "in the model, µs",
                  "times faster", "trials"], rows) + source(results, "spread")


def crowds(results):
    rows = []
    for crowd in results.get("spread", {}).get("crowds", []):
        rows.append(["%d" % crowd["nodes"], "%.0f" % crowd["rounds"], spread(crowd["wall_s"], 1e3),
                     number(crowd["mib"], 2), crowd["wall_s"]["n"]])
    return table(["nodes", "rounds", "takes, ms", "MiB at most", "n"], rows) + source(results, "spread")


# -------------------------------------------------------------------------------------------------------------- targets


def _target(rows, what, limit, reached, unit="", digits=2):
    """A row of the table of targets: a limit that is not to be exceeded."""
    if reached is None:
        rows.append([what, "at most %s%s" % (number(limit, digits), unit), "-", "not measured"])
        return
    verdict = "reached" if reached <= limit else "**missed by %.0f %%**" % (100 * (reached / limit - 1))
    rows.append([what, "at most %s%s" % (number(limit, digits), unit), "%s%s" % (number(reached, digits), unit),
                 verdict])


def _floor(rows, what, limit, reached, unit="", digits=2):
    """A row of the table of targets: a limit that is to be reached."""
    verdict = "reached" if reached >= limit else "**missed by %.0f %%**" % (100 * (1 - reached / limit))
    rows.append([what, "at least %s%s" % (number(limit, digits), unit), "%s%s" % (number(reached, digits), unit),
                 verdict])


def _simulator_targets(rows, results):
    worlds = results.get("sim", {}).get("rows", [])
    large = [row for row in worlds if row["case"] == "large"]
    if large:
        best = max(large, key=lambda row: row["shards"])
        what = "simulator: %d engines, full view, 60 s, on %d cores" % (best["nodes"], best["shards"])
        _target(rows, what, 10, best["wall_s"]["median"], " s", 3)
        _target(rows, what + ": memory", 8, best["gib"]["max"], " GiB")
    for row in worlds:
        if row["case"] == "thousand":
            _floor(rows, "simulator: 1,000 engines on one core, times real time", 200, row["speed"]["median"], "", 3)
    events = [row["rate_m"]["median"] for row in worlds if row["case"] == "events"]
    if events:
        _floor(rows, "simulator: events a second and core, slowest of 10, 30 and 100 engines", 5, min(events),
               " million", 3)
    for case in results.get("spread", {}).get("cases", []):
        if case["nodes"] >= 1000:
            _floor(rows, "a rumour among %d, times faster than the Python loop" % case["nodes"], 150, case["ratio"],
                   "", 3)
    for crowd, limit in zip(results.get("spread", {}).get("crowds", []), (1, 60)):
        _target(rows, "a rumour to %d million nodes" % (crowd["nodes"] // 10**6), limit, crowd["wall_s"]["median"],
                " s")
        if limit == 60:
            _target(rows, "a rumour to %d million nodes: memory" % (crowd["nodes"] // 10**6), 4, crowd["mib"] / 1024,
                    " GiB")


def _packet_targets(rows, results):
    for (case, variant), c in packet_cases(results).items():
        us, alone = c["us"], alone_of(results, case, variant)
        theirs, ours, echo = (us[name]["median"] for name in ("memberlist", "bruit", "echo"))
        share = 6 if "comp" in variant and variant != "nocomp" else 10
        name = "%s, %s" % (CASES[case], NAMES[variant])
        if alone:
            _target(rows, "%s: engine alone, 1/%d of memberlist" % (name, share), theirs / share, alone["median"],
                    " µs", 3)
        _target(rows, "%s: over sockets, echo and 1/10 of memberlist above it" % name, echo + (theirs - echo) / 10,
                ours, " µs", 3)


def _pushpull_targets(rows, results):
    for c in results.get("pushpull", {}).get("cases", []):
        theirs, ours = (c["libraries"][name]["sync"]["both_s"]["median"] for name in ("memberlist", "bruit"))
        share = 10 if c["variant"] == "nocomp" else 6
        _target(rows, "exchange of 10,000 members, %s: 1/%d of memberlist" % (
            {"nocomp": "plain", "plain": "compressed", "sealed": "compressed and sealed"}[c["variant"]], share),
            1e3 * theirs / share, 1e3 * ours, " ms", 3)


def _alone_targets(rows, results):
    alone = results.get("alone", {})
    if not alone:
        return
    for variant, text in (("plain", "in the order we know"), ("shuffled", "in any order")):
        entry = alone_of(results, "entry", variant)
        _target(rows, "entry of an exchange that says what we hold, %s" % text, 100,
                entry["median"] * 1e3 if entry else None, " ns")
    _target(rows, "allocations in steady state, engine alone", 0, alone["allocations"])
    over_sockets = [c["allocations"] for (case, _), c in packet_cases(results).items() if case != "new"]
    _target(rows, "allocations in steady state, over sockets", 0, sum(over_sockets) if over_sockets else None)
    _target(rows, "the program, stripped", 1024, alone["program"]["bytes"] / 1024, " KiB", 4)


def _cluster_targets(rows, results):
    for name, limit in (("converge-50", 1.0), ("converge-100", 2.0)):
        for kind, of in kinds_of(results, name):
            if kind == "serf":
                continue
            for how in of:
                each = [120 if r["all_s"] is None else r["all_s"] for r in of[how]["rows"]]
                what = "%d agents in full view%s, %s, slowest of %d" % (
                    results[name]["n"], ", half of them Serf's" if kind == "mixed" else "",
                    {"cold": "started at once", "warm": "told to join"}[how], len(each))
                if kind == "mixed": # no figure is asked for, only that there is no tail of half a minute
                    rows.append([what, "no tail", "%s s" % number(max(each), 2),
                                 "reached" if max(each) < 10 else "**missed**"])
                else:
                    _target(rows, what, limit, max(each), " s")
    _event_targets(rows, results)
    windows = results.get("rest-50", {}).get("kinds", {}).get("bruit", {}).get("idle")
    if windows:
        _target(rows, "agent at rest among 50: RSS minus shared", 1.5,
                pooled([w["private_kib"] for w in windows])["median"] / 1024, " MiB")
        _target(rows, "agent at rest among 50: CPU", 0.03, 100 * pooled([w["cpu"] for w in windows])["median"],
                " % of a core")


def _event_targets(rows, results):
    """Asked for at 50 agents; in a mixed cluster and in packets no more than Serf's own."""
    for n in (50, 100):
        kinds = results.get("events-%d" % n, {}).get("kinds", {})
        theirs = kinds.get("serf")
        for kind in ("bruit", "mixed") if theirs else ():
            if kind not in kinds:
                continue
            of, what = kinds[kind], "a user event on all %d agents%s" % (
                n, ", half of them Serf's" if kind == "mixed" else "")
            limit = 50 if kind == "bruit" and n == 50 else 1e3 * theirs["all_s"]["median"]
            _target(rows, "%s, median of %d" % (what, of["events"]), limit, 1e3 * of["all_s"]["median"], " ms", 3)
            if kind == "bruit" and n == 50:
                worst = 45e3 if of["never"] else 1e3 * of["all_s"]["max"]
                _target(rows, "%s, slowest of %d" % (what, of["events"]), 250, worst, " ms", 3)
            if of["packets"] and theirs["packets"]:
                _target(rows, "packets of %s" % what, theirs["packets"]["udp"], of["packets"]["udp"], "", 3)


def targets(results):
    rows = []
    _cluster_targets(rows, results)
    _alone_targets(rows, results)
    _packet_targets(rows, results)
    _pushpull_targets(rows, results)
    _simulator_targets(rows, results)
    return table(["what", "target", "figure", ""], rows)


def machine(results):
    """The newest result's machine; all of a run have the same."""
    if not results:
        return "Nothing was measured."
    m = max((r["machine"] for r in results.values()), key=lambda m: m["when"])
    noise = max(r["neighbours"] for r in results.values())
    few = any(r.get("quick") for r in results.values())
    warning = "" if noise < 0.3 and not few else (
        "\n\n**To be measured again:** %s%sothers used up to %s of its cores meanwhile." % (
            "these are a quick run's figures" if few else "", "; " if few else "", number(noise, 2)))
    return ("%(processor)s, %(cores)d cores, %(memory_gib)d GiB, Linux %(kernel)s, %(system)s; %(compiler)s, "
            "Python %(python)s; peers: %(peers)s." % m + warning)


def program(results):
    p = results.get("alone", {}).get("program")
    if not p:
        return "-"
    return ("`bruit`, agent and command line, is %d KiB stripped and starts with %s; libcrypto is loaded when there "
            "are keys." % (round(p["bytes"] / 1024), ", ".join("`%s`" % name for name in p["libraries"])))


TABLES = {f.__name__: f for f in (packets, agents, limits, pushpull, converge, events, idle, kill, stopped, memory,
                                  simulator, rumours, crowds, targets, machine, program)}


# ----------------------------------------------------------------------------------------------------------------- page


def load(folder):
    results = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path) as f:
            results[os.path.basename(path)[:-5]] = json.load(f)
    return results


def slim(value):
    """Without what no table shows: raw rows of the flooder, ten digits behind the point."""
    if isinstance(value, dict):
        return {k: slim(v) for k, v in value.items() if k != "each" and not (k == "rows" and isinstance(v, dict))}
    if isinstance(value, list):
        return [slim(v) for v in value]
    return float("%.6g" % value) if isinstance(value, float) else value


def page(results):
    with open(os.path.join(common.HERE, "page.md")) as f:
        lines = f.read().split("\n")
    out = []
    for line in lines:
        name = line[2:-2] if line.startswith("{{") and line.endswith("}}") else None
        out.append(TABLES[name](results) if name else line)
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("--committed", action="store_true")
    parser.add_argument("--out", default=OUT, help="where the results are")
    options = parser.parse_args()
    if options.committed:
        with open(COMMITTED) as f:
            results = json.load(f)
    else:
        results = slim(load(options.out))
    text = page(results)
    if options.publish:
        with open(COMMITTED, "w") as f:
            json.dump(results, f, separators=(",", ":"), sort_keys=True)
            f.write("\n")
    if options.publish or options.committed:
        with open(PAGE, "w") as f:
            f.write(text)
    else:
        with open(os.path.join(options.out, "performance.md"), "w") as f:
            f.write(text)
    print(text)


if __name__ == "__main__":
    main()
