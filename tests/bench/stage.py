"""The stage of the benchmark: network namespaces, cores, processes and what the kernel says that
they used. It knows no server and no measure.

           NAME-out              NAME-hv: the server                  NAME-vm
        ┌─────────────┐     ┌──────────────────────────┐     ┌─────────────────────┐
        │        eth0 ├─────┤ eth0     br0        vnet ├─────┤ eth0: load, flows   │
        │ 20.251.48.1 │     │ 20.251.48.10  10.0.0.1/8 │     │ 10.200.0.1 or none  │
        └─────────────┘     └──────────────────────────┘     └─────────────────────┘

Each server has a stage of its own, so that all of them run at the same time, idle but for the one
that is asked, and a round of the measure goes over all of them.
"""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build")
TOOLS = os.path.join(BUILD, "bench")

BRIDGE = "10.0.0.1"   # of the server on br0, a /8
RELAY = "10.200.0.1"  # of perfdhcp, which is always a relay
OUTER = "20.251.48.10"
OUTSIDE = "20.251.48.1"

CORES = sorted(os.sched_getaffinity(0))
LOAD_CORE = CORES[0]
SERVER_CORE = CORES[-1]

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """A server or a tool did not do what the measure needs; the text goes into the notes."""


def run(*command, **options):
    """The command's standard output."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True,
               "stdin": None if "input" in options else subprocess.DEVNULL, **options}
    done = subprocess.run([str(word) for word in command], check=False, **options)
    if done.returncode:
        last = (done.stderr or "").strip().splitlines()[-3:]
        raise Failure(f"{os.path.basename(str(command[0]))}: exit status {done.returncode}: "
                      + "; ".join(last))
    return done.stdout


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)


def pinned(core):
    """Before a command: on that core, and hardly held up by what else goes on there."""
    return ["taskset", "-c", str(core), "nice", "-n", "-20"]


# ---- what the kernel accounts for

def find_cgroups():
    """Where a group of version 2 can be made, or None. A group also counts children that are
    gone."""
    with open("/proc/mounts", encoding="utf8") as mounts:
        places = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    for place in places:
        probe = f"{place}/bench-{os.getpid()}"
        with contextlib.suppress(OSError):
            os.mkdir(probe)
            os.rmdir(probe)
            return place
    return None


CGROUPS = find_cgroups()


def threads(pid):
    try:
        return [f"/proc/{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


class Process:
    """A server in the namespace of a stage's hypervisor, with all of its children."""

    # Into the group first: /sys is another one inside. Whatever servers tell the system's log
    # while they are driven at their limit goes nowhere.
    IN_GROUP = '[ -z "$1" ] || echo $$ >"$1/cgroup.procs"; shift; exec "$@"'
    SILENT = '[ ! -e /dev/log ] || mount --bind /dev/null /dev/log; exec "$@"'

    def __init__(self, stage, command):
        self.group = CGROUPS and f"{CGROUPS}/{stage.hv}"
        if self.group:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.group)
        self.log = f"{stage.directory}/output"
        with open(self.log, "wb") as out:
            self.child = subprocess.Popen(
                ["sh", "-c", self.IN_GROUP, "sh", self.group or "", "ip", "netns", "exec", stage.hv,
                 "sh", "-c", self.SILENT, "sh", *pinned(SERVER_CORE), *command],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=stage.directory,
                start_new_session=True)

    def pids(self):
        if not self.group:
            return [self.child.pid]
        with open(f"{self.group}/cgroup.procs", encoding="utf8") as procs:
            return [int(line) for line in procs]

    def cpu(self):
        """Seconds of CPU that it has used so far."""
        if self.group:
            with open(f"{self.group}/cpu.stat", encoding="utf8") as stat:
                return int(stat.readline().split()[1]) / 1e6
        total = 0
        for thread in threads(self.child.pid):
            with open(f"{thread}/schedstat", encoding="utf8") as stat:
                total += int(stat.read().split()[0])
        return total / 1e9

    def memory(self):
        """{"private", "dirty", "resident"} in kilobytes."""
        keys = {"private": ("Private_Clean:", "Private_Dirty:"), "dirty": ("Private_Dirty:",),
                "resident": ("Rss:",)}
        total = dict.fromkeys(keys, 0)
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup", encoding="utf8") as smaps:
                for line in smaps:
                    words = line.split()
                    for name, lines in keys.items():
                        total[name] += int(words[1]) if words[0] in lines else 0
        return total

    def settle(self):
        """Until it has nothing to do any more."""
        before = -1.0
        for _ in range(1200):
            now = self.cpu()
            if now - before < 0.0003:
                return
            before = now
            time.sleep(0.1)

    def last_words(self):
        with open(self.log, encoding="utf8", errors="replace") as log:
            return "; ".join(log.read().strip().splitlines()[-2:])[-300:]

    def check(self):
        if self.child.poll() is not None:
            raise Failure(f"it ended with status {self.child.returncode}: {self.last_words()}")

    def send(self, number):
        self.child.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        if self.child.poll() is None:
            self.send(number)
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        if not self.group or not os.path.isdir(self.group):
            return
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for _ in range(100):
            try:
                os.rmdir(self.group)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)


# ---- namespaces

class Stage:
    """The picture above, to be used by `with`."""

    def __init__(self, name):
        prefix = f"bench-{os.getpid()}-{name}"
        self.hv, self.vm, self.out = f"{prefix}-hv", f"{prefix}-vm", f"{prefix}-out"
        self.directory = tempfile.mkdtemp(prefix=f"eipd-bench.{os.getpid()}.")
        self.server = None

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        for name in self.hv, self.vm, self.out:
            run("ip", "netns", "add", name)
            run("ip", "netns", "exec", name, "sh", "-c",
                "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6\n"
                "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6\n"
                "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter\n"
                "echo 0 >/proc/sys/net/ipv4/conf/default/rp_filter\n"
                "ip link set lo up")
        run("ip", "-n", self.hv, "-batch", "-", input=f"""
            link add br0 type bridge mcast_snooping 0
            address add {BRIDGE}/8 dev br0
            link add vnet type veth peer name eth0 netns {self.vm}
            link set vnet master br0 up
            link set br0 up
            link add eth0 type veth peer name eth0 netns {self.out}
            address add {OUTER}/24 dev eth0
            link set eth0 up
            route add default via {OUTSIDE}""")
        run("ip", "-n", self.vm, "link", "set", "eth0", "up")
        run("ip", "-n", self.out, "-batch", "-", input=f"""
            address add {OUTSIDE}/24 dev eth0
            link set eth0 up
            route add default via {OUTER}""")

    def __exit__(self, *_):
        if self.server:
            self.server.stop(signal.SIGKILL)
        for name in self.hv, self.vm, self.out:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
        for name in os.listdir(self.directory):
            if os.path.ismount(self.path(name)):
                subprocess.run(["umount", self.path(name)], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf8") as out:
            out.write(text)
        return self.path(name)

    def start(self, command):
        self.server = Process(self, command)
        return self.server

    def mac(self, interface, namespace=None):
        links = json.loads(run("ip", "-n", namespace or self.hv, "-j", "link", "show", "dev",
                               interface))
        return links[0]["address"]

    def load_command(self, *words):
        return ["ip", "netns", "exec", self.vm, *pinned(LOAD_CORE), f"{TOOLS}/load", *(str(word) for word in words)]

    def load(self, *words):
        """What tests/bench/load.c measured."""
        return json.loads(run(*self.load_command(*words, "eth0")))

    def wait_for_offer(self, seconds):
        """Seconds until the server answers."""
        start = time.monotonic()
        while True:
            self.server.check()
            try:
                run(*self.load_command("-f", 0.5, "-r", 50, "eth0"))
                return time.monotonic() - start
            except Failure:
                if time.monotonic() - start > seconds:
                    self.server.check()
                    raise Failure(f"no OFFER within {seconds} s") from None


@contextlib.contextmanager
def inside(namespace):
    """This process and what it starts, in that network namespace."""
    with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{namespace}", "rb") as there:
        if LIBC.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            LIBC.setns(home.fileno(), CLONE_NEWNET)
