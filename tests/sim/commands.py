#!/usr/bin/env python3
"""The commands run, replay, swarm and shrink of bruit-sim, as somebody types them.

    commands.py --bruit-sim PROGRAM

Each function is a story; a failed assertion ends the test with its traceback.
"""
import argparse
import json
import os
import pty
import re
import signal
import subprocess
import tempfile
import time

GOOD, WRONG, STUCK, CRASH, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130


class Lab:
    def __init__(self, program):
        self.program = program
        self.folder = tempfile.TemporaryDirectory()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def run(self, *words):
        return subprocess.run([self.program, *words], capture_output=True, text=True, check=False, timeout=300,
                              cwd=self.folder.name)


def exit_codes_tell_what_kind_of_thing_was_found(lab):
    good = lab.write("good.scn", "nodes 5\nfor 10s\n")
    wrong = lab.write("wrong.scn", "nodes 5\nfor 1m\nat 5s kill n1\nnever failed n1\n")
    stuck = lab.write("stuck.scn", "nodes 5\nat 5s expect n1 dead within 5s\n")
    mistake = lab.write("mistake.scn", "nodes 5\nat 5s kil n1\n")
    assert lab.run("run", good).returncode == GOOD
    assert lab.run("run", wrong).returncode == WRONG
    assert lab.run("run", stuck).returncode == STUCK
    assert lab.run("run", mistake).returncode == REFUSED
    assert lab.run("run").returncode == REFUSED
    assert lab.run("run", lab.path("nowhere.scn")).returncode == REFUSED


def help_is_asked_for_with_one_dash_or_two(lab):
    for word in ("-help", "--help", "-h", "help"):
        done = lab.run(word)
        assert done.returncode == GOOD and done.stdout.startswith("Usage: "), (word, done)
    assert lab.run("-version").stdout == lab.run("--version").stdout != ""


def a_mistake_has_file_line_and_nearest_word(lab):
    path = lab.write("mistake.scn", "nodes 5\n# a comment\nat 5s kil n1\n")
    said = lab.run("run", path).stderr
    assert said.startswith(path + ":3: "), said
    assert "\"kill\"" in said, said


def what_a_run_is_made_of_comes_first(lab):
    path = lab.write("good.scn", "nodes 5\nseed 42\nfor 10s\n")
    lines = [line.split() for line in lab.run("run", path).stdout.splitlines()]
    head = [line for line in lines[:lines.index(["What", "happened"])] if line]
    for words in (["seed", "42"], ["nodes", "5"], ["probe_interval", "1s"], ["suspicion_mult", "4"]):
        assert words in head, (words, head)
    assert any(line[0] == "revision" for line in head), head
    assert ["seed", "7"] in [line.split() for line in lab.run("run", "--seed", "7", path).stdout.splitlines()]


def json_is_json(lab):
    path = lab.write("wrong.scn", "nodes 5\nfor 1m\nat 5s kill n1\nnever failed n1\n")
    done = lab.run("run", "--json", path)
    assert done.returncode == WRONG
    assert "line 4" in json.dumps(json.loads(done.stdout)), done.stdout


def a_run_that_does_not_fit_says_so_at_once(lab):
    path = lab.write("large.scn", "nodes 1000000\nfor 10s\n")
    start = time.monotonic()
    done = lab.run("run", path)
    assert done.returncode == REFUSED
    assert re.search(r"need some [0-9.]+ GiB, and [0-9.]+ GiB are free", done.stderr), done.stderr
    assert time.monotonic() - start < 10


def what_does_not_fit_is_told_before_it_starts(lab):
    limited = ["sh", "-c", 'ulimit -v 1500000 && exec "$0" "$@"', lab.program]
    if subprocess.run([*limited, "-version"], capture_output=True, check=False).returncode != 0:
        return  # ASan wants terabytes of addresses for itself
    for words in (["detect", "--nodes", "10k"], ["watch", "--nodes", "10k", "--for", "1s"],
                  ["spread", "--engine", "--nodes", "10k"], ["run", lab.write("ten.scn", "nodes 10000\nfor 1s\n")]):
        done = subprocess.run([*limited, *words], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode in (WRONG, REFUSED), (words, done)
        assert re.search(r"need .*[0-9.]+ GiB.* 1\.[0-9] .*(free|allowed)", done.stderr), (words, done.stderr)


def flags_may_stand_behind_the_file(lab):
    path = lab.write("good.scn", "nodes 5\nfor 10s\n")
    for words in (["--seed", "7", path, "--json"], [path, "--json", "--seed=7"], ["--json", "--seed", "7", "--", path]):
        done = lab.run("run", *words)
        assert json.loads(done.stdout)["configuration"]["seed"] == "7", (words, done)
    assert "one file" in lab.run("run", path, "--", "--json").stderr
    assert "wants a whole number" in lab.run("run", path, "--seed").stderr


def what_cannot_be_is_refused_before_it_starts(lab):
    for words, why in ((["detect", "--trials", "0"], "from 1 on"), (["spread", "--trials", "0"], "from 1 on"),
                       (["swarm", "--seeds", "0"], "from 1 on"), (["swarm", "--minutes", "0"], "from 1 on"),
                       (["swarm", "--seeds", "5", "--into", lab.path("nowhere")], "a folder that is there and"),
                       (["detect", "--html", lab.path("nowhere/page.html")], "a file that can be written")):
        done = lab.run(*words)
        assert done.returncode in (WRONG, REFUSED) and why in done.stderr and done.stdout == "", (words, done)


def the_advice_of_tune_can_be_followed(lab):
    done = lab.run("tune", "--detect-within", "4s", "--bandwidth", "1B/s")
    assert "--detect-within 4s fights with --bandwidth" in done.stderr, done
    assert "Allow --bandwidth 450B/s.\n" in done.stderr, done.stderr


def start_long_run(lab):
    path = lab.write("long.scn", "nodes 50\nfor 300d\nat 5s kill n1\nnever failed n1\n")
    child = subprocess.Popen([lab.program, "run", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(1)
    return child


def ctrl_c_prints_what_was_found_so_far(lab):
    child = start_long_run(lab)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert "n1 failed" in out and "Ended early" in out, out
    assert child.returncode == WRONG, child.returncode
    quiet = lab.write("quiet.scn", "nodes 50\nfor 300d\n")
    child = subprocess.Popen([lab.program, "run", quiet], stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert "Ended early" in out and child.returncode == INTERRUPTED, (child.returncode, out)


def in_a_terminal_a_bar_shows_how_long_and_ctrl_c_ends_it(lab):
    for words, early in ((["spread", "--nodes", "1M", "--trials", "1M"], b"Stopped early"),
                         (["detect", "--loss", "30%", "--watch", "30m"], b"Ended early"),
                         (["swarm", "--seeds", "1M"], b"Ended early")):
        child, terminal = pty.fork()
        if child == 0:
            os.execv(lab.program, [lab.program, *words])
        said = b""
        while not re.search(rb"\[[^\]]*\] +\d+ %", said):
            said += os.read(terminal, 4096)
        os.write(terminal, b"\x03")
        try:
            while True:
                piece = os.read(terminal, 4096)
                said += piece
                if not piece:
                    break
        except OSError:
            pass  # how Linux says that the other side has gone
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(status) == INTERRUPTED and early in said, (words, status, said)


def a_crash_has_a_code_of_its_own(lab):
    child = start_long_run(lab)
    child.send_signal(signal.SIGABRT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == CRASH, child.returncode
    assert "crashed" in said, said


def the_trace_is_lines_with_time_and_node(lab):
    path = lab.write("kill.scn", "nodes 5\nfor 30s\nat 5s kill n1\n")
    out = lab.run("run", "--trace", path).stdout
    assert re.search(r"^ +\d+\.\d{6} s  n0 +INFO +memberlist: Suspect n1 has failed", out, re.M), out[:2000]


def a_recording_is_replayed_with_the_same_hash(lab):
    path = lab.write("kill.scn", "nodes 8\nfor 1m\nat 5s kill n1\nat 20s restart n5\n")
    recorded = lab.run("run", "--record", "n5=" + lab.path("n5.rec"), path).stdout
    replay = lab.run("replay", lab.path("n5.rec"))
    recorded_hash = re.search(r"trace hash is ([0-9a-f]{16})", recorded).group(1)
    assert replay.returncode == GOOD and recorded_hash in replay.stdout, replay.stdout
    assert "decided the same" in replay.stdout
    assert lab.run("run", "--record", "n9=" + lab.path("x"), path).returncode == REFUSED
    assert lab.run("replay", path).returncode == REFUSED


def a_swarm_counts_seeds_and_events(lab):
    done = lab.run("swarm", "--seeds", "20", "--from", "100")
    assert done.returncode == GOOD, done.stdout
    assert re.search(r"20 seeds, \d+ engine events, 0 failed", done.stdout), done.stdout
    again = lab.run("swarm", "--seeds", "20", "--from", "100", "--jobs", "1")
    assert done.stdout.splitlines()[-1] == again.stdout.splitlines()[-1], (done.stdout, again.stdout)


def a_failing_scenario_is_shrunk_to_what_matters(lab):
    seed = lab.run("swarm", "--show", "3").stdout
    path = lab.write("long.scn", seed + "for 5m\nat 40s kill n0\nnever trace suspicion_expired\n")
    assert lab.run("run", path).returncode == WRONG
    done = lab.run("shrink", "--runs", "300", path)
    assert done.returncode == GOOD, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert len(lines) < 20 and "never trace suspicion_expired" in lines, done.stdout
    assert lab.run("run", lab.write("short.scn", done.stdout)).returncode == WRONG
    assert lab.run("shrink", lab.write("good.scn", "nodes 3\nfor 5s\n")).returncode == WRONG


def replicated_state_is_put_through_faults(lab):
    done = lab.run("state", "--nodes", "8", "--keys", "12", "--seeds", "4")
    assert done.returncode == GOOD, done.stdout + done.stderr
    assert re.search(r"4 seeds, \d+ writes, 0 failed", done.stdout), done.stdout
    seen = json.loads(lab.run("state", "--nodes", "8", "--keys", "12", "--seeds", "4", "--json").stdout)
    assert "crashes" in json.dumps(seen), seen
    story = lab.run("state", "--nodes", "8", "--keys", "12", "--show", "2")
    assert story.returncode == GOOD and "All is well" in story.stdout, story.stdout[-500:]
    assert re.search(r"n\d writes key-\d+ \(w\d+, .*having seen nothing", story.stdout), story.stdout[:500]
    assert lab.run("state", "--nodes", "2").returncode == REFUSED


def aggregates_are_within_two_percent_under_loss_and_churn(lab):
    words = ("aggregate", "--nodes", "150", "--time", "1m", "--churn", "4%", "--json")
    done = lab.run(*words)
    assert done.returncode == GOOD, done.stderr
    rows = json.loads(done.stdout)["tables"]["answers"]
    for mode, row in zip(("exact", "estimate"), rows):
        assert row["mode"] == mode and row["within"] < 20 and row["answers"] > 500, row
        assert row["rank_worst"] < 2 and row["mean_worst"] < 2 and row["count_worst"] < 3, row
    assert lab.run(*words).stdout == done.stdout
    wrong = lab.run("aggregate", "--mode", "exect")
    assert wrong.returncode == 1 and "--mode: exact, estimate or both." in wrong.stderr, wrong.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bruit-sim", required=True)
    program = os.path.abspath(parser.parse_args().bruit_sim)
    stories = [help_is_asked_for_with_one_dash_or_two, exit_codes_tell_what_kind_of_thing_was_found,
               a_mistake_has_file_line_and_nearest_word,
               what_a_run_is_made_of_comes_first, json_is_json, a_run_that_does_not_fit_says_so_at_once,
               what_does_not_fit_is_told_before_it_starts, flags_may_stand_behind_the_file,
               what_cannot_be_is_refused_before_it_starts, the_advice_of_tune_can_be_followed,
               ctrl_c_prints_what_was_found_so_far, in_a_terminal_a_bar_shows_how_long_and_ctrl_c_ends_it,
               a_crash_has_a_code_of_its_own,
               the_trace_is_lines_with_time_and_node, a_recording_is_replayed_with_the_same_hash,
               a_swarm_counts_seeds_and_events, a_failing_scenario_is_shrunk_to_what_matters,
               replicated_state_is_put_through_faults,
               aggregates_are_within_two_percent_under_loss_and_churn]
    for story in stories:
        lab = Lab(program)
        story(lab)
        lab.folder.cleanup()
        print("ok", story.__name__.replace("_", " "))


if __name__ == "__main__":
    main()
