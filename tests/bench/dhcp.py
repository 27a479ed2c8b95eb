"""What is measured of the DHCP servers: cost, rate and latency of an exchange; a boot storm; a
reload; memory and size; the time to the first answer.
"""
import contextlib
import json
import os
import re
import subprocess
import time

from room import Room
from servers import REFLECTOR, find, plan_of, present
from stage import BRIDGE, LOAD_CORE, RELAY, SERVER_CORE, Failure, pinned, run

# So many clients ask, spread over the plan: the kernel's table of neighbours, into which dnsmasq
# puts each, has room for two of it.
CLIENTS = 400
RATE = 1000     # exchanges a second where the CPU is counted
PATIENCE = 120  # seconds until a server must answer after its start
LOSS = 0.001
TOO_LONG = 5000  # milliseconds; a reload that takes longer is done once, and a storm of twice that


class Servers(Room):
    """At work, with a plan."""

    def start(self, for_relay=False):
        vms = plan_of(self.size)

        def step(server, stage):
            server.start(stage, vms, for_relay)
            if for_relay:
                avalanche(stage, 1)
            elif self.size and server is not REFLECTOR:
                stage.wait_for_offer(PATIENCE)
            stage.server.settle()
        self.each(step)


# ---- exchanges

class Exchanges(Servers):
    """With CLIENTS of the plan's machines."""

    def __init__(self, profile, figures, size):
        super().__init__(figures, "dhcp", size, [REFLECTOR, *present("dhcp")])
        self.profile, self.clients = profile, min(size, CLIENTS)
        self.capacity, self.window = {}, {}

    def load(self, stage, *words):
        got = stage.load("-n", self.size, "-k", self.clients, *words)
        if got["done"] < got["begun"]:
            # what is still queued there belongs to this measure, not to the next one
            with contextlib.suppress(Failure):
                run(*stage.load_command("-f", 30, "-r", 2, "eth0"))
        return got

    def warm_up(self, server, stage):
        """Each client takes its lease; then how many exchanges a second there can be about."""
        alone = stage.load("-w", 1, "-c", 20, "-t", 2)
        slow = alone["done"] < RATE / 10 * alone["seconds"]
        if alone["done"] > RATE * alone["seconds"]:
            before = stage.server.cpu()
            got = self.load(stage, "-r", RATE, "-c", self.clients, "-t", 5)
            if got["done"] == got["begun"]:
                self.keep("first", server, (stage.server.cpu() - before) / got["done"] * 1e6)
        elif not slow:
            self.load(stage, "-w", 2, "-c", self.clients, "-t", 5)
        self.window[server] = ("-w", 2, "-t", 2) if slow else ("-w", 32, "-t", 0.3)
        self.capacity[server] = 0
        self.full(server, stage)

    def full(self, server, stage):
        """As many exchanges as it does, with so many under way at any time."""
        before = stage.server.cpu()
        got = self.load(stage, *self.window[server])
        if not got["done"]:
            raise Failure("no exchange came to its end")
        self.keep("cpu_full", server, (stage.server.cpu() - before) / got["done"] * 1e6)
        self.capacity[server] = max(self.capacity[server], got["done"] / got["seconds"])

    def cost(self, server, stage):
        """Of an exchange at RATE; of one that cannot keep up, as fast as it can."""
        keeps_up = self.capacity[server] > 1.2 * RATE
        before = stage.server.cpu()
        got = self.load(stage, *(("-r", RATE) if keeps_up else ("-w", 2)), "-t",
                        self.profile.seconds)
        if not got["done"]:
            return
        self.keep("cpu", server, (stage.server.cpu() - before) / got["done"] * 1e6)
        if keeps_up and got["done"] >= 0.99 * got["begun"]:
            self.keep("p50", server, got["p50"])
            self.keep("p99", server, got["p99"])
        else:
            self.note(server, f"does not do {RATE} exchanges a second: its CPU time is of as many "
                      "as it does")

    def try_rate(self, server, stage, rate):
        """(the rate that it kept or 0, seconds of CPU a second)"""
        for _ in range(2):  # a moment of bad luck is no limit
            before = stage.server.cpu()
            got = self.load(stage, "-r", max(int(rate), 1), "-t", self.profile.step)
            used = (stage.server.cpu() - before) / got["seconds"]
            if got["done"] and got["done"] >= got["begun"] * (1 - LOSS):
                return got["done"] / got["seconds"], used
        return 0.0, 0.0

    def highest_rate(self, server, stage):
        """By bisection between a rate that was kept and one that was not."""
        low = high = used = 0.0
        rate, step = 0.8 * self.capacity[server], 0
        while step < self.profile.steps or (not low and step < 2 * self.profile.steps):
            got = self.try_rate(server, stage, rate)
            if got[0]:
                low, used = got
            else:
                high = rate
            rate = (low + high) / 2 if high else 1.4 * low
            step += 1
        if low:
            self.keep("rate", server, low)
            self.keep("busy", server, used * 100)


def dhcp(profile, figures):
    """CPU, highest rate and latency of a four-way exchange"""
    for size in profile.dhcp_sizes:
        with Exchanges(profile, figures, size) as room:
            room.start()
            room.each(room.warm_up)
            for _ in range(profile.runs):
                room.each(room.cost)
                room.each(room.full)
                room.each(room.highest_rate)
            room.report()


# ---- boot storm

def avalanche(stage, count):
    """Seconds until perfdhcp has had as many clients served."""
    got = subprocess.run(
        ["ip", "netns", "exec", stage.vm, *pinned(LOAD_CORE), find("perfdhcp"), "-4", "-l", "eth0",
         "-b", "mac=02:00:00:00:00:00", "-R", str(count), "--scenario", "avalanche", BRIDGE],
        check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=PATIENCE, cwd=stage.directory).stdout
    took = re.search(r"It took (\d+):(\d+):([\d.]+) to provision", got)
    if not took:
        raise Failure("perfdhcp: " + "; ".join(got.strip().splitlines()[-2:]))
    hours, minutes, seconds = took.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def storm(profile, figures):
    """A boot storm: all clients at once (perfdhcp, avalanche)"""
    if not find("perfdhcp"):
        figures.note("storm", "perfdhcp", None, "is not here")
        return
    for size in profile.storm_sizes:
        with Servers(figures, "storm", size, present("storm")) as room:
            for stage in room.stages.values():
                run("ip", "-n", stage.vm, "address", "add", f"{RELAY}/8", "dev", "eth0")
            room.start(for_relay=True)

            slow = set()

            def step(server, stage):
                if server in slow:
                    return
                took = avalanche(stage, size)
                room.keep("storm", server, took)
                if took * 1e3 > 2 * TOO_LONG:
                    slow.add(server)
            for _ in range(profile.storm_runs):
                room.each(step)
            room.report()


# ---- reload

def watch_reload(server, stage, vms):
    """(milliseconds until client 0 is offered its new address, longest gap meanwhile)"""
    server.write_plan(stage, vms)
    watching = subprocess.Popen(
        stage.load_command("-n", len(vms), "-k", min(len(vms), CLIENTS), "-r", RATE, "-t", PATIENCE,
                           "-x", vms[0].ip, "eth0"),
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        time.sleep(0.5)
        asked = time.monotonic_ns()
        server.reload(stage)
        got = json.loads(watching.communicate()[0])
    finally:
        watching.kill()
    if not got["changed"]:
        raise Failure(f"the changed plan was not in force within {PATIENCE} s")
    return (got["changed"] - asked) / 1e6, got["gap"] / 1e3


def reload(profile, figures):
    """A changed plan is taken over while clients go on asking"""
    # other addresses each, as not all go back in between
    changes = [("", lambda size: plan_of(size, [0])),
               ("_all", lambda size: plan_of(size, range(size), to=160))]
    for size in profile.reload_sizes:
        with Servers(figures, "reload", size, present("reload")) as room:
            room.start()

            def step(server, stage):
                for suffix, change in changes[:1] if server.restarts else changes:
                    # there, and back again
                    for vms in (change(size), plan_of(size)) * profile.reload_runs:
                        took, gap = watch_reload(server, stage, vms)
                        room.keep("reload" + suffix, server, took)
                        room.keep("gap" + suffix, server, gap)
                        stage.server.settle()
                        if took > TOO_LONG:
                            break
                if server.restarts:
                    room.note(server, "cannot reload: it is started anew")
            room.each(step)
            room.report()


# ---- memory and size, the first answer

def libraries(path):
    """Bytes of the shared libraries that the program loads, but libc's."""
    if "statically" in run("sh", "-c", f"ldd {path} 2>&1 || :"):
        return 0
    total = 0
    for line in run("sh", "-c", f"ldd {path} 2>/dev/null || :").splitlines():
        words = line.split()
        if len(words) > 2 and words[1] == "=>" and not re.match(r"lib(c|m|pthread)\.so", words[0]):
            total += os.path.getsize(os.path.realpath(words[2]))
    return total


def program_size(stage, path):
    """As it would be installed: without symbols."""
    stripped = stage.path("stripped")
    run("strip", "-s", "-o", stripped, os.path.realpath(path))
    return os.path.getsize(stripped)


def memory(profile, figures):
    """Memory with a plan, after its machines have asked; size of the program"""
    for server in present("memory"):
        # what was built a moment ago and is not on the disk yet would count as changed by the server
        with open(os.path.realpath(server.path()), "rb") as program:
            os.fsync(program.fileno())
    for size in profile.memory_sizes:
        with Servers(figures, "memory", size, present("memory")) as room:
            room.start()

            def step(server, stage):
                if size:
                    stage.load("-n", size, "-k", min(size, CLIENTS), "-w", 2, "-c",
                               min(size, CLIENTS), "-t", 10)
                for measure, kilobytes in stage.server.memory().items():
                    room.keep(measure, server, kilobytes)
            room.each(step)
            room.report()
    with Servers(figures, "memory", None, present("memory")) as room:
        for server, stage in room.stages.items():
            room.keep("binary", server, program_size(stage, server.path()) / 1024)
            room.keep("libraries", server, libraries(server.path()) / 1024)
        room.report()


def first(profile, figures):
    """From the exec of the server to its first OFFER"""
    for size in profile.first_sizes:
        with Servers(figures, "first", size, present("first")) as room:
            vms = plan_of(size)

            def step(server, stage):
                server.write_plan(stage, vms)
                command = server.command(stage, False)
                got = run("env", *server.environment(stage),
                          *stage.load_command("-f", PATIENCE, "-n", size, "eth0", stage.hv,
                                              SERVER_CORE, *command), cwd=stage.directory)
                room.keep("offer", server, json.loads(got)["first"] / 1e3)
            for _ in range(profile.first_runs):
                room.each(step)
            room.report()
