#!/usr/bin/env python3
"""Replays the recorded configurations of real Serf agents (tests/vectors/serf/config) against `bruit agent`.

    tests/agent/config_cases.py --bruit build/release/bruit [--only TEXT] [--verbose]

Each case has files, a command line, what the real agent said and how it ended. Ours must end with the same exit code
and say the same lines: notices and details in the same order, log lines as a set, since the real agent's come from
many goroutines. What differs on purpose is in the tables below, each with its reason; nothing else may.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(os.path.dirname(HERE), "vectors", "serf", "config")
PATIENCE = 30.0

# Cases that cannot be the same, and what must hold instead: a line we say, and the exit code.
OTHERWISE = {
    "config-unknown-flag": ("flag provided but not defined: -zzz", 1, "one sentence instead of the whole usage"),
    "config-validate-names": ("==> mDNS interface specified without enabling mDNS discovery", 1,
                              "newer Serf has these keys, and so have we; the case was recorded with an older one"),
}
# The words behind these are a library's (docs/wire/serf-agent.md section 3.2): ours has others.
LIBRARY = ["Error decoding '@/a.json': invalid character", "Invalid network interface: ", "Syslog setup failed: "]
# What the people who recorded did to the agent meanwhile, and where goroutines raced: the last are those of a retry
# that came during a leave.
NOISE = ["agent.ipc: Accepted client", "agent.ipc: Client sending commands before auth", "failed to start user query",
         "agent: Received event: member-leave", "agent: Received event: member-update",
         "Serf can't Join after Leave or Shutdown",
         " is gone (incarnation "]  # a record of our own at DEBUG
# The file as it was changed before the hangup.
RELOADS = {
    "config-sighup-badjson": "{bad",
    "config-sighup-badlevel": '{"tags": {"x": "2"}, "log_level": "zip"}',
    "config-sighup-reload": '{"tags": {"x": "2"}, "log_level": "debug", "event_handlers": ["member-update=echo hi"]}',
}


def free_port(family, address):
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Case:
    def __init__(self, vector, index, bruit, folder):
        self.name, self.vector, self.bruit = vector["name"], vector, bruit
        self.net = "127.%d.%d." % (100 + os.getpid() % 100, index + 1)
        self.folder = os.path.join(folder, self.name)
        self.port = 0
        self.text, self.arrived = "", threading.Condition()

    def words(self):
        words = [re.sub(r"\b127\.0\.(4|10)\.", self.net, word).replace("@", self.folder)
                 for word in self.vector["args"]]
        # These cases bind 127.0.0.1:7946 and [::1]:7946, which others on this machine may use.
        if "-iface" in words:
            self.port = free_port(socket.AF_INET, "127.0.0.1")
            words += ["-bind", "0.0.0.0:%d" % self.port]
        if "[::1]:7946" in words:
            self.port = free_port(socket.AF_INET6, "::1")
            words[words.index("[::1]:7946")] = "[::1]:%d" % self.port
        return words

    def read(self):
        for line in self.process.stdout:
            with self.arrived:
                self.text += line
                self.arrived.notify_all()

    def wait_for(self, text, patience=PATIENCE, times=1):
        deadline = time.monotonic() + patience
        with self.arrived:
            while self.text.count(text) < times and self.process.poll() is None and time.monotonic() < deadline:
                self.arrived.wait(0.1)
            return text in self.text

    def run(self):
        os.makedirs(self.folder)
        for path, text in self.vector["files"].items():
            os.makedirs(os.path.dirname(os.path.join(self.folder, path)), exist_ok=True)
            with open(os.path.join(self.folder, path), "w", encoding="utf-8") as file:
                file.write(text)
        self.process = subprocess.Popen([self.bruit, "agent"] + self.words(), stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, cwd=self.folder, text=True, errors="replace")
        reader = threading.Thread(target=self.read, daemon=True)
        reader.start()
        try:
            refused = self.name in OTHERWISE
            if not self.vector["outcome"]["exited_by_itself"] and not refused:
                self.drive()
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = "none: it did not end"
        finally:
            if self.process.poll() is None:
                self.process.kill()
        reader.join(5)
        return code

    def drive(self):
        """What was done to the real agent: wait, perhaps reload, then a signal."""
        self.wait_for("agent: Received event: member-join")
        if self.name in RELOADS:
            with open(os.path.join(self.folder, "a.json"), "w", encoding="utf-8") as file:
                file.write(RELOADS[self.name])
            self.process.send_signal(signal.SIGHUP)
            self.wait_for("Reloading configuration...")
            wanted = [line for line in self.vector["outcome"]["console"].split("\n") if "script output" in line]
            self.wait_for(wanted[0].split("] ")[1] if wanted else "EventMemberUpdate", 6.0 if wanted else 1.0)
        if self.name.startswith("config-tagsfile-"):
            address = self.vector["args"][3].replace("127.0.4.", self.net)
            subprocess.run([self.bruit, "tags", "-rpc-addr", address, "-set", "role=db", "-delete", "x"], check=True,
                           stdout=subprocess.DEVNULL)
            self.wait_for("EventMemberUpdate")
        if self.name == "config-retry-max-0":
            self.wait_for(", retrying in 1s", times=3)  # as many as were recorded before the signal
        self.process.send_signal(signal.SIGTERM if "sigterm" in self.name else signal.SIGINT)
        if self.name == "config-sigint-twice":
            self.wait_for("requesting graceful leave")
            self.process.send_signal(signal.SIGINT)

    def said(self):
        text = self.text.replace(self.folder, "@").replace("Bruit agent", "Serf agent")
        text = re.sub(r"\b127\.%s\.%s\." % tuple(self.net.split(".")[1:3]), "127.0.4.", text)
        if self.port:
            text = text.replace(":%d'" % self.port, ":7946'")
        if "-node" not in self.vector["args"]:
            text = text.replace(" %s " % socket.gethostname(), " vm ").replace("'%s'" % socket.gethostname(), "'vm'")
            text = text.replace("Update: %s\n" % socket.gethostname(), "Update: vm\n")
        return re.sub(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", "TIME", text)

    def compare(self, code):
        """Returns what is wrong, or ""."""
        outcome = self.vector["outcome"]
        if self.name in OTHERWISE:
            line, expected, _ = OTHERWISE[self.name]
            return "" if line in self.text and code == expected else "code %d, said:\n%s" % (code, self.text)
        if self.name.startswith("config-tagsfile-") and not outcome["exited_by_itself"]:
            with open(os.path.join(self.folder, "t"), encoding="utf-8") as file:
                if file.read() != '{\n  "role": "db"\n}':
                    return "the tags file has something else"
        recorded = outcome["console"].replace("127.0.10.", "127.0.4.")
        differences = compare_lines(recorded, self.said())
        if code != outcome["exit_code"]:
            differences.insert(0, "exit code %d instead of %d" % (code, outcome["exit_code"]))
        return "\n".join(differences)


def split(text):
    """Notices and details in order, and the log lines."""
    notices, lines = [], []
    for line in text.split("\n"):
        if any(word in line for word in NOISE):
            continue
        (lines if re.match(r"\s*TIME \[", line) else notices).append(line)
    return notices, lines


def is_same(recorded, ours):
    for words in LIBRARY:
        if words in recorded:
            at = recorded.index(words) + (0 if "invalid character" in words else len(words))
            head = recorded[:at] + ("Error decoding '@/a.json': " if "invalid character" in words else "")
            return ours.startswith(head)
    return ours == recorded or ours.startswith(recorded + ": ")  # and what to do about it


def compare_lines(recorded, ours):
    differences = []
    expected, expected_log = split(recorded)
    got, got_log = split(ours)
    for index in range(max(len(expected), len(got))):
        want = expected[index] if index < len(expected) else "(nothing)"
        have = got[index] if index < len(got) else "(nothing)"
        if not is_same(want, have):
            differences.append("expected %r, got %r" % (want, have))
            break
    for line in expected_log:
        if line not in got_log:
            differences.append("missing: %s" % line)
    differences += ["surprising: %s" % line for line in got_log if line not in expected_log]
    return differences


# conformance: agent 1-4, 12, 14, 17
def every_recorded_configuration_ends_and_says_the_same(options):
    vectors = []
    for path in sorted(glob.glob(os.path.join(VECTORS, "*.json"))):
        with open(path, encoding="utf-8") as file:
            vectors.append(json.load(file))
    failed = passed = 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        cases = [Case(vector, index, os.path.abspath(options.bruit), folder) for index, vector in enumerate(vectors)
                 if options.only in vector["name"]]
        for case, code in zip(cases, pool.map(Case.run, cases)):
            wrong = case.compare(code)
            failed, passed = failed + bool(wrong), passed + (not wrong)
            note = OTHERWISE[case.name][2] if case.name in OTHERWISE else ""
            if wrong or note or options.verbose:
                print("%-4s %s%s" % ("FAIL" if wrong else "ok", case.name, " (%s)" % note if note else ""))
            if wrong:
                print("    " + wrong.replace("\n", "\n    "))
            if options.verbose and wrong:
                print("    | " + case.text.replace("\n", "\n    | "))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


def main():
    parser = argparse.ArgumentParser(description="recorded configurations against bruit agent")
    parser.add_argument("--bruit", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--verbose", action="store_true")
    return every_recorded_configuration_ends_and_says_the_same(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
