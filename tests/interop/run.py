#!/usr/bin/env python3
"""Runs the tests of bruit among real Serf agents.

    tests/interop/run.py                      all but the long ones, against build/release/bruit
    BRUIT=/usr/bin/serf tests/interop/run.py  the rehearsal: serf plays our part too, so the tests themselves are tested
    tests/interop/run.py --only PATTERN       those whose name contains it (or matches it as a regular expression)
    tests/interop/run.py --long --list        what there is

Every test is a process of its own, with its own addresses, so several run side by side; those whose subject is time
itself run alone, afterwards. The last line is `N passed, N failed`; the exit code is 0 when nothing failed.
"""
import argparse
import glob
import importlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
sys.modules.setdefault("run", sys.modules[__name__])

import support  # noqa: E402  (the path above comes first)

SKIPPED = 77        # the exit code of a test process that cannot run here, as automake has it
LOG_LINES = 20      # of each agent, in the output of a failure


def main():
    options = parse_options()
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    if options.one:
        run_one(options)
    tests = [test for test in support.TESTS if matches(test, options)]
    if options.list:
        for test in tests:
            print(test.name + (" (long)" if test.is_long else "") + (" (alone)" if test.is_alone else ""))
        return 0
    return Runner(options, tests).run()


def parse_options():
    parser = argparse.ArgumentParser(description="bruit among real Serf agents")
    parser.add_argument("--bruit", default=os.environ.get("BRUIT") or "build/release/bruit", metavar="PATH",
                        help="our program (environment BRUIT; default build/release/bruit)")
    parser.add_argument("--serf", default=os.environ.get("SERF") or "serf", metavar="PATH",
                        help="the real one (environment SERF; default: serf in PATH)")
    parser.add_argument("--only", metavar="PATTERN", help="run only tests whose name contains this")
    parser.add_argument("--long", action="store_true", help="run the long tests too")
    parser.add_argument("--jobs", type=int, default=6, help="how many tests run side by side (default 6)")
    parser.add_argument("--list", action="store_true", help="list the tests and stop")
    parser.add_argument("--verbose", action="store_true", help="show the steps of tests that pass, too")
    parser.add_argument("--require-serf", action="store_true", help="without serf, or namespaces, fail instead of skip")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.bruit = find_program(options.bruit)
    options.serf = find_program(options.serf)
    return options


def find_program(name):
    """A path is taken from here or from the top of the tree; a bare name is looked up in PATH."""
    top = os.path.join(HERE, "..", "..")
    for path in (name, os.path.join(top, name)) if "/" in name else ():
        if os.access(path, os.X_OK):
            return os.path.abspath(path)
    found = None if "/" in name else shutil.which(name)
    # Debian keeps some programs where only root's PATH looks.
    if found is None and "/" not in name and os.access("/usr/sbin/" + name, os.X_OK):
        found = "/usr/sbin/" + name
    return found


def matches(test, options):
    if test.is_long and not options.long:
        return False
    return options.only is None or options.only in test.name or re.search(options.only, test.name) is not None


# --------------------------------------------------------------------------------------- one test, in its process

def run_one(options):
    """Runs one test and ends the process: 0, 77 when it cannot run here, 1 when it failed."""
    support.die_with_parent()
    test = next(test for test in support.TESTS if test.name == options.one)
    lab = None
    try:
        if test.area in ("network", "discover"):
            # Before the first thread: a process with threads cannot get a user namespace.
            test.arguments = dict(test.arguments, network=support.Network())
        lab = support.Lab({"real": options.serf, "ours": options.bruit})
        test.function(lab, **test.arguments)
        if test.area in support.STORIES:
            lab.nobody_complained(test.talk)
        code = 0
    except support.Skip as reason:
        print("skip: %s" % reason)
        code = SKIPPED
    except support.Failure as failure:
        print("\n%s: %s" % (where(failure), failure))
        code = 1
    except Exception:
        traceback.print_exc(file=sys.stdout)
        code = 1
    if lab:
        lab.close()
        if code == 1:
            lab.last_words(LOG_LINES)
    sys.stdout.flush()
    os._exit(code)


def where(failure):
    """The line of the test that the failure came from."""
    frames = traceback.extract_tb(failure.__traceback__)
    ours = [frame for frame in frames if os.path.basename(frame.filename).startswith("test_")]
    frame = (ours or frames)[-1]
    return "%s:%d" % (os.path.basename(frame.filename), frame.lineno)


# ------------------------------------------------------------------------------------------------------------ all tests

class Job:
    """A test that runs: its process, and what it has written so far."""

    def __init__(self, test, options):
        self.test, self.started, self.output, self.is_late = test, time.monotonic(), b"", False
        argv = [sys.executable, os.path.join(HERE, "run.py"), "--one", test.name, "--bruit", options.bruit]
        argv += ["--serf", options.serf] if options.serf else []
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        os.set_blocking(self.process.stdout.fileno(), False)

    @property
    def seconds(self):
        return time.monotonic() - self.started


class Runner:
    def __init__(self, options, tests):
        self.options, self.tests = options, tests
        self.selector = selectors.DefaultSelector()
        self.jobs = []
        self.passed = self.failed = self.skipped = 0

    def run(self):
        try:
            self.run_all()
        except KeyboardInterrupt:
            print("interrupted")
            self.failed += 1
        finally:
            for job in self.jobs:
                os.killpg(job.process.pid, signal.SIGKILL)
                job.process.wait()
        if self.skipped:
            print("%d skipped (reasons above)" % self.skipped)
        print("%d passed, %d failed" % (self.passed, self.failed))
        return 1 if self.failed else 0

    def run_all(self):
        if self.options.bruit is None:
            print("FAIL  there is no bruit to test: build it, or name it with --bruit or BRUIT")
            self.failed += 1
            return
        if not self.tests:
            print("FAIL  no story is called that: --list names them, with --long all of them")
            self.failed += 1
            return
        if self.options.require_serf and self.options.serf is None:
            print("FAIL  serf is required and not installed: apt-get install serf")
            self.failed += 1
        ready = [test for test in self.tests if self.can_run(test)]
        # The longest first, so that the end is not one test everybody waits for.
        beside = sorted((test for test in ready if not test.is_alone), key=lambda test: -test.seconds_max)
        self.work(beside, max(1, self.options.jobs))
        self.work([test for test in ready if test.is_alone], 1)

    def can_run(self, test):
        if test.needs_serf and self.options.serf is None:
            return self.skip(test, "serf is not installed (apt-get install serf)")
        if test.is_ours_only and support.is_serf(self.options.bruit):
            return self.skip(test, "says nothing when serf plays our part")
        return True

    def skip(self, test, reason):
        self.skipped += 1
        print("skip           %s: %s" % (test.name, reason), flush=True)
        return False

    def work(self, waiting, limit):
        waiting = list(waiting)
        while waiting or self.jobs:
            while waiting and len(self.jobs) < limit:
                job = Job(waiting.pop(0), self.options)
                self.jobs.append(job)
                self.selector.register(job.process.stdout, selectors.EVENT_READ, job)
            for key, _ in self.selector.select(0.5):
                self.read(key.data)
            for job in self.jobs:
                if job.seconds > job.test.seconds_max * support.PATIENCE and not job.is_late:
                    job.is_late = True
                    os.killpg(job.process.pid, signal.SIGKILL)

    def read(self, job):
        data = os.read(job.process.stdout.fileno(), 65536)
        if data:
            job.output += data
            return
        self.selector.unregister(job.process.stdout)
        job.process.stdout.close()
        self.jobs.remove(job)
        self.finish(job, job.process.wait())

    def finish(self, job, code):
        text = job.output.decode("utf-8", "replace").rstrip()
        took = "%6.1f s" % job.seconds
        if code == SKIPPED and not (self.options.require_serf and "network namespaces" in text):
            self.skipped += 1
            print("skip  %s  %s: %s" % (took, job.test.name, text.rpartition("skip: ")[2]), flush=True)
            return
        if code == 0:
            self.passed += 1
            print("ok    %s  %s" % (took, job.test.name), flush=True)
        else:
            self.failed += 1
            late = " (killed: over %d s)" % job.test.seconds_max if job.is_late else ""
            print("FAIL  %s  %s%s" % (took, job.test.name, late), flush=True)
        if code != 0 or self.options.verbose:
            print("\n".join("    " + line for line in text.split("\n")), flush=True)


if __name__ == "__main__":
    sys.exit(main())
