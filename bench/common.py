"""What every experiment here stands on: child processes that die with us, the kernel's counters, figures with spread.

CPU is what the scheduler accounts to a process's threads (/proc/PID/task/*/schedstat), in nanoseconds: user and system
time together. Everything stays on 127.0.0.0/8, and only processes that were started here are ended here.
"""
import atexit
import ctypes
import json
import mmap
import os
import platform
import resource
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

now = time.monotonic

# ----------------------------------------------------------------------------------------------------- child processes

_children = set()


def spawn(argv, core=None, **options):
    """A child that does not outlive us, on one core if wished."""
    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if core is not None:
            os.sched_setaffinity(0, {core})
    process = subprocess.Popen(argv, preexec_fn=prepare, close_fds=True, **options)
    _children.add(process)
    return process


def end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    _children.discard(process)


@atexit.register
def _end_all():
    for process in list(_children):
        end(process)


for _signal in (signal.SIGTERM, signal.SIGINT):
    signal.signal(_signal, lambda *_: sys.exit(130))


def allow_files(count):
    """Hundreds of agents' pipes and sockets need more descriptors than the usual soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def cores():
    """The core that receivers run on, and the one for whoever feeds them."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[1 % len(usable)]


# --------------------------------------------------------------------------------------------------- kernel's counters


def cpu_seconds(pid):
    total = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/schedstat" % (pid, thread)) as f:
                total += int(f.read().split()[0])
        except OSError:
            pass  # a thread that has just ended
    return total / 1e9


def memory(pid):
    """KiB: all that is resident, and what of it no other process shares."""
    out = {}
    with open("/proc/%d/smaps_rollup" % pid) as f:
        for line in f:
            key = line.split(":")[0]
            if key in ("Rss", "Private_Dirty", "Private_Clean"):
                out[key] = int(line.split()[1])
    return {"rss": out["Rss"], "private": out["Private_Dirty"] + out["Private_Clean"]}


def machine_busy():
    """Seconds of CPU that anybody on the machine has used, stolen time included."""
    with open("/proc/stat") as f:
        v = list(map(int, f.readline().split()[1:]))
    return (sum(v[:3]) + sum(v[5:8])) / TICKS


def udp_socket(ip, port):
    """Bytes queued and packets dropped at the UDP socket bound there; None when there is none."""
    wanted = "%08X:%04X" % (struct.unpack("<I", socket.inet_aton(ip))[0], port)
    with open("/proc/net/udp") as f:
        for line in f:
            v = line.split()
            if len(v) > 12 and v[1] == wanted:
                return int(v[4].split(":")[1], 16), int(v[-1])
    return None


class Tap:
    """Counts the packets of one 127.x network on the loopback interface, in a process of its own.

    A packet socket with a filter in the kernel: other traffic is not counted, our own timing not disturbed. It needs
    root, and costs the kernel a little, so CPU is measured while no tap is open.
    """
    def __init__(self, network, but_not_port):
        self.counts = mmap.mmap(-1, 4096)
        s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        prefix = 127 << 8 | network
        code = [(0x20, 0, 0, 0xFFFFF004), (0x15, 5, 0, 4),     # the copy that goes out: skip
                (0x28, 0, 0, 16), (0x15, 2, 0, prefix),        # destination, or
                (0x28, 0, 0, 12), (0x15, 0, 1, prefix),        # source (TCP's replies)
                (6, 0, 0, 64), (6, 0, 0, 0)]
        program = b"".join(struct.pack("HBBI", *c) for c in code)
        buffer = ctypes.create_string_buffer(program)
        s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", len(code), ctypes.addressof(buffer)))  # SO_ATTACH_FILTER
        s.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)          # SO_RCVBUFFORCE
        s.bind(("lo", 0x0800))
        self.pid = os.fork()
        if self.pid == 0:
            try:
                LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                self._count(s, but_not_port)
            finally:
                os._exit(1)
        s.close()

    def _count(self, s, but_not_port):
        udp = udp_bytes = tcp_bytes = 0
        packet = bytearray(64)
        while True:
            if s.recv_into(packet) < 28:
                continue
            size = packet[2] << 8 | packet[3]
            ports = (packet[20] << 8 | packet[21], packet[22] << 8 | packet[23])
            if packet[9] == socket.IPPROTO_UDP:
                udp += 1
                udp_bytes += size - 28
            elif packet[9] == socket.IPPROTO_TCP and but_not_port not in ports:
                tcp_bytes += size
            struct.pack_into("3Q", self.counts, 0, udp, udp_bytes, tcp_bytes)

    def run(self, seconds):
        """Packets, their payload and TCP bytes a second."""
        first, start = struct.unpack_from("3Q", self.counts, 0), now()
        time.sleep(seconds)
        last, passed = struct.unpack_from("3Q", self.counts, 0), now() - start
        return {k: (b - a) / passed for k, a, b in zip(("udp", "udp_bytes", "tcp_bytes"), first, last)}

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


# ------------------------------------------------------------------------------------------------------------- figures


def figure(values):
    """Median, smallest, largest, how many; and each, in order."""
    values = [round(v, 9) for v in values if v is not None]
    if not values:
        return {"n": 0}
    return {"n": len(values), "median": statistics.median(values), "min": min(values), "max": max(values),
            "each": values}


def share(values):
    """As figure, without each: for the many agents of one cluster."""
    out = figure(values)
    out.pop("each", None)
    return out


def machine():
    """Where, and with what, a result was measured."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as f:
        memory_gib = int(f.readline().split()[1]) / 1024 / 1024
    return {"processor": model, "cores": os.cpu_count(), "memory_gib": round(memory_gib), "kernel": platform.release(),
            "system": _first_line(["sh", "-c", ". /etc/os-release; echo $PRETTY_NAME"]),
            "compiler": _first_line(["cc", "--version"]), "python": platform.python_version(),
            "when": time.strftime("%Y-%m-%d %H:%M"), "peers": ", ".join((
                "serf " + _version("serf"), "memberlist " + _version("golang-github-hashicorp-memberlist-dev"),
                _first_line(["/usr/bin/go", "version"])))}


def _version(package):
    return _first_line(["dpkg-query", "-Wf", "${Version}", package])


def _first_line(argv):
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.split("\n", 1)[0]


_start = (now(), machine_busy())


def neighbours():
    """Cores that others on this machine have used since we began: the CPU time that neither we nor our children had."""
    own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(0.0, (machine_busy() - _start[1] - own) / (now() - _start[0]))


def save(out, name, result, command):
    """Writes OUT/NAME.json: the result with the machine it was measured on and the command that does it again."""
    os.makedirs(out, exist_ok=True)
    result = dict(result, machine=machine(), command=command, quick="--quick" in sys.argv,
                  neighbours=round(neighbours(), 2), seconds=round(now() - _start[0]))
    with open(os.path.join(out, name + ".json"), "w") as f:
        json.dump(result, f, indent=1)
        f.write("\n")


def progress(text):
    print("%s  %s" % (time.strftime("%H:%M:%S"), text), flush=True)


def paths(parser):
    """The options that every experiment has."""
    build = os.environ.get("BRUIT_BUILD", os.path.join(HERE, "..", "build", "release"))
    parser.add_argument("--build", default=build, help="where bruit was built (default build/release)")
    parser.add_argument("--out", default=os.path.join(HERE, "..", "build", "bench"), help="where results go")
    parser.add_argument("--quick", action="store_true", help="one tenth of the work: shows that it runs, no more")
    return parser


def tool(options, name):
    """A benchmark program: ours from the build, the Go ones from where bench/run put them."""
    return os.path.join(options.build, "bench", name)
