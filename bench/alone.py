#!/usr/bin/env python3
"""What needs neither peers nor sockets: the engine alone (engine.c), and what the program weighs.

    bench/alone.py
"""
import argparse
import os
import re
import subprocess
import tempfile

import common
from common import progress

LINE = re.compile(r"(\w+) +([\w+]+) +([\d.]+) (\S+) \(([\d.]+)-([\d.]+)\)$")


def engine(options):
    """The lines of engine.c, by case and variant."""
    process = common.spawn([common.tool(options, "engine"), "0.05" if options.quick else "0.5"], common.cores()[0],
                           stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    common.end(process)
    result = {"cases": {}, "memory": {}}
    for line in out.splitlines():
        match = LINE.match(line)
        words = line.split()
        if match:
            case, variant, median, _, smallest, largest = match.groups()
            result["cases"]["%s %s" % (case, variant)] = {"median": float(median), "min": float(smallest),
                                                          "max": float(largest)}
        elif words[0] == "memory":
            result["memory"][words[1]] = float(words[2])
        elif words[0] == "allocs":
            result["allocations"] = int(words[2])
        progress(line)
    return result


def program(options):
    """Size of the stripped program, and the shared libraries it starts with."""
    path = os.path.join(options.build, "bruit")
    with tempfile.TemporaryDirectory() as folder:
        stripped = os.path.join(folder, "bruit")
        subprocess.run(["strip", "-o", stripped, path], check=True)
        size = os.path.getsize(stripped)
    dump = subprocess.run(["objdump", "-p", path], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {"bytes": size, "libraries": re.findall(r"NEEDED +(\S+)", dump)}


def main():
    parser = common.paths(argparse.ArgumentParser(description=__doc__,
                                                  formatter_class=argparse.RawDescriptionHelpFormatter))
    options = parser.parse_args()
    result = engine(options)
    result["program"] = program(options)
    progress("program: %(bytes)d bytes stripped, needs %(libraries)s" % result["program"])
    common.save(options.out, "alone", result, "bench/alone.py")


if __name__ == "__main__":
    main()
