"""Command lines side by side: running them, ironing out what nobody can hold still, and demanding one answer.

A comparison runs four pairs: serf asks a real agent, serf asks ours, bruit asks a real agent, bruit asks ours. The
first, the real one, is the measure: exit code, stdout and stderr of the other three must be the same to the byte.
"""
import concurrent.futures
import difflib
import os
import re
import signal
import subprocess

from support import Failure, die_with_parent

STAMP = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ")


# -------------------------------------------------------------------------------------- pairs and comparing

class Pair:
    """One of the two programs, and the agent it asks."""

    def __init__(self, lab, program, agent):
        self.lab, self.program, self.agent = lab, program, agent

    def __str__(self):
        return "%s asks %s" % (os.path.basename(self.lab.binaries[self.program]), self.agent)

    def run(self, words, environment=None):
        """Exit code, stdout, stderr."""
        words = [words[0], "-rpc-addr=" + self.agent.rpc_text, *words[1:]]
        return run(self.lab, self.program, words, environment)


class Incomplete(Failure):
    """Gossip has lost a query for somebody, which nothing in the protocol repairs."""


def run(lab, program, words, environment=None):
    done = subprocess.run([lab.binaries[program], *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          env=dict(os.environ, **(environment or {})))
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def pairs_of(lab, real, ours):
    """The four, the real pair first. An agent of either kind for each program, or the same for both."""
    real, ours = (agents if isinstance(agents, list) else [agents] * 2 for agents in (real, ours))
    return [Pair(lab, "real", real[0]), Pair(lab, "real", ours[0]), Pair(lab, "ours", real[1]),
            Pair(lab, "ours", ours[1])]


def side_by_side(function, items, jobs=4):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(function, items))


def plain(text):
    return text


def compare(pairs, case, words, code, normal=plain, says="", whole=None, tries=6, environment=None):
    """Runs the words at all pairs at once and demands one answer, with this exit code, that says so.

    `words` is a list, or a function that makes one for a pair. `normal` irons out what may differ. `whole` is a pattern
    of the complete answer: one without it is asked for again, so many times.
    """
    def answer(pair):
        asked = words(pair) if callable(words) else words
        for _ in range(tries):
            code, out, err = pair.run(asked, environment)
            if whole is None or re.search(whole, out):
                return code, normal(out), normal(err)
        raise Incomplete("%s: %s, and gets, %d times, no complete answer: %d, %r, %r" %
                         (case, pair, tries, code, out, err))
    demand_one(case, dict(zip(map(str, pairs), side_by_side(answer, pairs))), code, says)


def demand_one(case, answers, code, says=""):
    """The first of the answers is the measure."""
    (name, measure), *others = answers.items()
    if measure[0] != code or says not in measure[1]:
        raise Failure("%s: %s, and gets exit code %d and %r, not %d and %r" % (case, name, *measure[:2], code, says))
    for other, got in others:
        if got != measure:
            raise Failure("%s: %s\n%s" % (case, other, difference(name, measure, got)))


def difference(name, measure, got):
    """The lines in which two answers differ; '-' is the measure."""
    texts = [["exit code %d" % code] + ["stdout: " + repr(line) for line in out.split("\n")] +
             ["stderr: " + repr(line) for line in err.split("\n")] for code, out, err in (measure, got)]
    return "\n".join("    " + line for line in difflib.unified_diff(*texts, "where " + name, "here", n=1, lineterm=""))


# -------------------------------------------------------------------------------------- what may differ, ironed out

def any_order(text):
    """Rows and answers come in the order of a Go map, or of the network; the last one has no padding."""
    return "\n".join(sorted(line.rstrip(" ,") for line in text.split("\n")))


def any_rows(text):
    """Rows of members in any order, and the tags of each; JSON objects of members in any order."""
    if text.startswith("{"):
        return "\n".join(re.sub(r",$", "", block) for block in sorted(re.split(r"\n(?=    [{}]|  ])", text)))
    return any_order("\n".join(any_tags(line) for line in text.split("\n")))


def any_tags(line):
    """Tags change places within their column; what pads the columns stays where it is."""
    return "".join(",".join(sorted(column.split(","))) for column in re.split("( {2,})", line))


def no_usage(text):
    """The usage is cut down to its first words."""
    return re.sub(r"Usage: \S+ (\S+)(.*\n)*", r"Usage: PROGRAM \1", text)


def no_times(text):
    return any_order(re.sub(r"\d+\.\d+ (m?s)", r"T \1", re.sub(r"\d+\.\d+ sec", "T sec", text)))


def no_figures(text):
    """info: who it is, which program, how many of everything. What the lines are called, and all else, stays."""
    text = re.sub(r'\b((name|version|kind)"?)( = |: ")[^"\n]*', r"\1\3WHICH", text)
    return re.sub(r'(= |: ")\d+\b', r"\1N", text)


# -------------------------------------------------------------------------------------- monitors

class Monitor:
    """A running `monitor` command and what it has written."""

    def __init__(self, lab, program, agent, *flags):
        self.name = "monitor %s of %s by %s" % (" ".join(flags), agent, program)
        argv = [lab.binaries[program], "monitor", "-rpc-addr=" + agent.rpc_text, *flags]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        self.output = b""
        os.set_blocking(self.process.stdout.fileno(), False)
        lab.watcher.add(self.process.stdout, self.take)
        lab.kept.append(self)

    def take(self, data):
        self.output += data

    @property
    def has_ended(self):
        return self.process.poll() is not None and b"crashed.\n" in self.output

    def lines(self):
        return self.output.decode("utf-8", "replace").split("\n")

    def log(self):
        """The lines of the log, without their times."""
        return [STAMP.sub("", line, 1) for line in self.lines()[:-1] if STAMP.match(line)]

    def events(self):
        """Each event as the sorted list of its fields: serf prints them in any order."""
        text = "\n".join(line for line in self.lines()[:-1] if not STAMP.match(line))
        return [sorted(event.strip("\n").split("\n")) for event in text.split("Event Info:")[1:]]

    def shows(self, level, *texts):
        """A line of this level that is one of the texts, or begins with it and goes on about details."""
        starts = ["[%s] serf: %s" % (level, text) for text in texts]
        return any((line + " ").startswith(start + " ") for line in self.log() for start in starts)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)
