"""What is measured of NAT: a binding made and taken away, thousands at once, and what a new
connection costs. Beside eipd stand the commands of the patent (a sub-interface and two rules), and
what an administrator would write today.
"""
import contextlib
import functools
import json
import os
import socket
import subprocess
import time

from room import Room
from servers import EIPD, Vm, find, plan_of
from stage import (BRIDGE, LOAD_CORE, OUTSIDE, SERVER_CORE, TOOLS, Failure, Stage, inside, pinned,
                   run, wait_for)

SAMPLE = 64    # virtual machines that really are there, spread over all that are bound
DISCARD = 9    # the port of one-way flows
ECHO = 7
START = 60     # seconds until all rules must be there


def public(number):
    return f"20.252.{number >> 8}.{number & 255}"


def rules(numbers, verb="-A"):
    """The patent's."""
    return "".join(
        f"{verb} PREROUTING -d {public(n)}/32 -j DNAT --to-destination {Vm(n).ip}\n"
        f"{verb} POSTROUTING -s {Vm(n).ip}/32 -j SNAT --to-source {public(n)}\n"
        for n in numbers)


def elements(numbers, verb="add"):
    """Of the two maps; none for no numbers."""
    numbers = list(numbers)
    if not numbers:
        return ""
    there = ", ".join(f"{public(n)} : {Vm(n).ip}" for n in numbers)
    back = ", ".join(f"{Vm(n).ip} : {public(n)}" for n in numbers)
    if verb == "delete":
        there = ", ".join(public(n) for n in numbers)
        back = ", ".join(Vm(n).ip for n in numbers)
    return f"{verb} element ip nat there {{ {there} }}\n{verb} element ip nat back {{ {back} }}\n"


NFT_TABLE = """
table ip nat {
	map there { type ipv4_addr : ipv4_addr; }
	map back { type ipv4_addr : ipv4_addr; }
	chain prerouting { type nat hook prerouting priority dstnat; dnat to ip daddr map @there; }
	chain postrouting {
		type nat hook postrouting priority srcnat; oifname "eth0" snat to ip saddr map @back;
	}
}
"""


# ---- who makes bindings

class Binder:
    """Has bindings in the kernel of a stage's hypervisor."""
    programs = ()

    def __init__(self, name):
        self.name = name

    def is_here(self):
        return all(find(program) for program in self.programs)

    def fill(self, stage, numbers):
        """These are bound from now on."""
        run("ip", "-n", stage.hv, "-batch", "-", input="".join(
            f"address add {public(n)}/32 dev eth0 label eth0:{n + 1}\n" for n in numbers))
        run("ip", "netns", "exec", stage.hv, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        with inside(stage.hv):
            self.fill_rules(stage, numbers)

    def fill_rules(self, stage, numbers):
        raise NotImplementedError

    def commands(self, stage, number):
        """(commands of a bind, commands of an unbind)"""
        raise NotImplementedError

    def timed(self, stage, number):
        """(milliseconds of a bind, milliseconds of an unbind)"""
        with inside(stage.hv):
            return tuple(timed_commands(commands) for commands in self.commands(stage, number))


SILENT = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]


def timed_commands(commands):
    start = time.monotonic()
    for command in commands:
        pid = os.posix_spawn(find(command[0]), command, os.environ, file_actions=SILENT)
        if os.waitpid(pid, 0)[1]:
            raise Failure("failed: " + " ".join(command))
    return (time.monotonic() - start) * 1e3


def address_commands(number):
    if find("ifconfig"):
        label = f"eth0:{number + 1}"
        return (["ifconfig", label, public(number), "netmask", "255.255.255.255", "up"],
                ["ifconfig", label, "down"])
    return tuple(["ip", "address", verb, f"{public(number)}/32", "dev", "eth0"]
                 for verb in ("add", "del"))


class Patent(Binder):
    programs = ("iptables-legacy", "iptables-legacy-restore")

    def fill_rules(self, stage, numbers):
        text = "*nat\n" + rules(numbers) + "COMMIT\n"
        run("iptables-legacy-restore", input=text)

    def commands(self, stage, number):
        there, back = address_commands(number)
        result = []
        for address, verb in (there, "-A"), (back, "-D"):
            result.append([address] + [["iptables-legacy", "-t", "nat", *line.split()]
                                       for line in rules([number], verb).splitlines()])
        return result


class Restore(Patent):
    def commands(self, stage, number):
        result = []
        for verb, address in zip(("-A", "-D"), ("add", "del")):
            file = stage.write(f"restore{verb}", "*nat\n" + rules([number], verb) + "COMMIT\n")
            result.append([["ip", "address", address, f"{public(number)}/32", "dev", "eth0"],
                           ["iptables-legacy-restore", "--noflush", file]])
        return result


class NftMap(Binder):
    programs = ("nft",)

    def fill_rules(self, stage, numbers):
        run("nft", "-f", "-", input=NFT_TABLE + elements(numbers))

    def commands(self, stage, number):
        result = []
        for verb, address in ("add", "add"), ("delete", "del"):
            file = stage.write(f"nft-{verb}", elements([number], verb))
            result.append([["ip", "address", address, f"{public(number)}/32", "dev", "eth0"],
                           ["nft", "-f", file]])
        return result


class EipdBinder(Binder):
    """By its socket, as programs do it, or by eipctl; without the disk it is as durable as the
    others are."""

    def __init__(self, name, by_eipctl=False, on_disk=True):
        super().__init__(name)
        self.by_eipctl, self.on_disk = by_eipctl, on_disk

    def is_here(self):
        return EIPD.path() is not None

    def fill(self, stage, numbers):
        numbers = list(numbers)
        os.makedirs(stage.path("state"))
        if not self.on_disk:
            # it goes with the stage
            run("mount", "-t", "tmpfs", "none", stage.path("state"))
        stage.write("state/bindings", "# eipd bindings, version 1\n" + "".join(
            f"bind {public(n)} {Vm(n).name} {Vm(n).mac} eth0:{n + 1}\n" for n in numbers))
        EIPD.start(stage, plan_of(max(numbers, default=0) + 2))
        wait_for(lambda: bound(stage) == len(numbers), START, f"{len(numbers)} bindings")
        stage.server.settle()

    def timed(self, stage, number):
        words = (["ip", "bind", Vm(number).name, public(number)], ["ip", "unbind", public(number)])
        if self.by_eipctl:
            eipctl = os.path.join(os.path.dirname(EIPD.path()), "eipctl")
            return tuple(timed_commands([[eipctl, "-s", stage.path("run/eipd.sock"), *some]])
                         for some in words)
        return tuple(timed_request(stage, *some) for some in words)


def request(stage, *words):
    """eipd's answer."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(START)
        wire.connect(stage.path("run/eipd.sock"))
        wire.sendall(json.dumps({"command": words}).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            data = wire.recv(65536)
            if not data:
                raise Failure(f"{' '.join(words)}: no answer")
            answer += data
    answer = json.loads(answer)
    if not answer["ok"]:
        raise Failure(f"{' '.join(words)}: {answer['error']}")
    return answer["result"]


def timed_request(stage, *words):
    start = time.monotonic()
    request(stage, *words)
    return (time.monotonic() - start) * 1e3


def bound(stage):
    stage.server.check()
    with contextlib.suppress(OSError, Failure):
        return request(stage, "status")["nat"]["bound"]
    return None


BINDERS = [
    EipdBinder("eipd"),
    EipdBinder("eipd, by eipctl", by_eipctl=True),
    EipdBinder("eipd, state not on disk", on_disk=False),
    Patent("the patent's commands"),
    Restore("iptables-legacy-restore"),
    NftMap("nft, a map"),
]
IN_MEMORY = BINDERS[2]
FLOW_BINDERS = [BINDERS[0], BINDERS[3], BINDERS[5]]


def here(figures, section, binders):
    for binder in binders:
        if not binder.is_here():
            figures.note(section, binder.name, None, "is not here")
    return [binder for binder in binders if binder.is_here()]


# ---- binding

def kernel_alone(stage):
    """Milliseconds to read and write the stage's nat table as it is; see replace.c."""
    got = json.loads(run("ip", "netns", "exec", stage.hv, *pinned(SERVER_CORE),
                         f"{TOOLS}/replace", 3))
    return got["read"] + got["write"]


def bind(profile, figures):
    """A public address bound and unbound, with others bound already"""
    for size in profile.bind_sizes:
        # one in the middle is left out, to be bound and unbound
        free = size // 2
        with Room(figures, "bind", size, here(figures, "bind", BINDERS)) as room:
            room.each(lambda binder, stage: binder.fill(
                stage, [n for n in range(size + 1) if n != free]))

            def step(binder, stage):
                there, back = binder.timed(stage, free)
                room.keep("bind", binder, there)
                room.keep("unbind", binder, back)
                if binder is IN_MEMORY:
                    room.keep("kernel", binder, kernel_alone(stage))
            for _ in range(profile.bind_runs):
                room.each(step)
            room.report()


def eipd_in_one_reload(stage, count, with_addresses=True, asking=()):
    """(milliseconds, the rules as iptables-legacy-save has them, what `asking` wrote)"""
    EIPD.write_plan(stage, plan_of(1))
    stage.start([EIPD.path(), "-f", "-c", EIPD.write_conf(stage, **{"auto-bind": "yes"})])
    wait_for(lambda: bound(stage) == 1, START, "eipd")
    if not with_addresses:
        # they wait for their interface
        run("ip", "-n", stage.hv, "link", "delete", "eth0")
        stage.server.settle()
    EIPD.write_plan(stage, plan_of(count))
    with contextlib.ExitStack() as stack:
        if asking:
            watching = stack.enter_context(subprocess.Popen(
                asking, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True))
            stack.callback(watching.kill)
            time.sleep(0.5)
        took = timed_request(stage, "reload")
        said = watching.communicate()[0] if asking else None
    if bound(stage) != count:
        raise Failure(f"auto-bind bound {bound(stage)} of {count}")
    with inside(stage.hv):
        saved = run("iptables-legacy-save", "-t", "nat")
    stage.server.stop()
    return took, saved, said


def bulk_of_eipd(size, keep):
    """The rules."""
    with Stage("eipd") as stage:
        took, saved, _ = eipd_in_one_reload(stage, size)
        keep("bulk", "eipd", took)
    with Stage("eipd") as stage:
        keep("bulk", "eipd, the rules alone",
             eipd_in_one_reload(stage, size, with_addresses=False)[0])
    with Stage("eipd") as stage:
        asking = stage.load_command("-r", 1000, "-t", 0.5 + size / 2000, "eth0")
        keep("bulk_gap", "eipd",
             json.loads(eipd_in_one_reload(stage, size, asking=asking)[2])["gap"] / 1e3)
    return saved


def bulk(profile, figures):
    """Many public addresses bound in one reload with auto-bind"""
    for size in profile.bulk_sizes:
        print(f"    bulk: {size:,}", flush=True)
        values = {}

        def keep(measure, name, value):
            values.setdefault((measure, name), []).append(value)
        for _ in range(profile.runs):
            saved = bulk_of_eipd(size, keep)
            with Stage("restore") as stage:
                file = stage.write("saved", saved)
                batch = stage.write("batch", "".join(
                    f"address add {public(n)}/32 dev eth0 label eth0:{n + 1}\n"
                    for n in range(size)))
                with inside(stage.hv):
                    rules_alone = timed_commands([["iptables-legacy-restore", file]])
                    addresses = timed_commands([["ip", "-batch", batch]])
                keep("bulk", "iptables-legacy-restore of the same rules", rules_alone)
                keep("bulk", "the same, and ip -batch of the addresses", rules_alone + addresses)
            if find("nft"):
                with Stage("nft") as stage:
                    file = stage.write("nft", NFT_TABLE + elements(range(size)))
                    with inside(stage.hv):
                        keep("bulk", "nft -f, a map", timed_commands([["nft", "-f", file]]))
        for (measure, name), figs in values.items():
            figures.add(measure, name, size, figs)


# ---- new connections

class Flows:
    """A stage with bindings, of which SAMPLE lead to a machine that is there."""

    def __init__(self, binder, stage, size):
        self.binder, self.stage = binder, stage
        count = min(size, SAMPLE)
        self.sample = [i * size // count for i in range(count)]
        binder.fill(stage, range(size))
        mac = stage.mac("eth0", stage.vm)
        run("ip", "-n", stage.vm, "-batch", "-", input="".join(
            f"address add {Vm(n).ip}/8 dev eth0\n" for n in self.sample)
            + f"route add default via {BRIDGE}\n")
        run("ip", "-n", stage.hv, "-batch", "-", input="".join(
            f"neighbour replace {Vm(n).ip} lladdr {mac} dev br0 nud permanent\n"
            for n in self.sample)
            + f"neighbour replace {OUTSIDE} lladdr {stage.mac('eth0', stage.out)} dev eth0 "
              "nud permanent\n")
        for name in stage.vm, stage.out:
            with inside(name):
                run("iptables-legacy", "-t", "raw", "-A", "PREROUTING", "-p", "udp", "--dport",
                    DISCARD, "-j", "DROP")
        self.inward = stage.write("inward", "".join(
            f"{OUTSIDE} {public(n)}\n" for n in self.sample))
        self.outward = stage.write("outward", "".join(
            f"{Vm(n).ip} {OUTSIDE}\n" for n in self.sample))
        self.echo = None

    def tool(self, namespace, core, *words):
        return ["ip", "netns", "exec", namespace, *pinned(core), f"{TOOLS}/flows",
                *(str(word) for word in words)]

    def arrived(self, namespace):
        links = json.loads(run("ip", "-n", namespace, "-j", "-s", "link", "show", "dev", "eth0"))
        return links[0]["stats64"]["rx"]["packets"]

    def cost(self, inward, count):
        """Nanoseconds of a core for a new connection."""
        stage = self.stage
        here, there = (stage.out, stage.vm) if inward else (stage.vm, stage.out)
        mac = stage.mac("eth0" if inward else "br0")
        pairs = self.inward if inward else self.outward
        run("ip", "netns", "exec", stage.hv, "conntrack", "-F")
        before = self.arrived(there)
        got = json.loads(run(*self.tool(here, LOAD_CORE, "flood", "eth0", mac, pairs, DISCARD,
                                        count)))
        time.sleep(0.05)
        came = self.arrived(there) - before
        if came < 0.98 * count:
            raise Failure(f"only {came} of {count} flows came through")
        return got["ns"]

    def latency(self, count):
        """{"p50", "p99"} of a connection from outside, there and back."""
        stage = self.stage
        run("ip", "netns", "exec", stage.hv, "conntrack", "-F")
        echo = subprocess.Popen(self.tool(stage.vm, SERVER_CORE, "echo", ECHO),
                                stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        try:
            echo.stdout.readline()
            got = json.loads(run(*self.tool(stage.out, LOAD_CORE, "ping", self.inward, ECHO,
                                            count)))
        finally:
            echo.kill()
            echo.wait()
        if got["lost"] > count // 100:
            raise Failure(f"{got['lost']} of {count} flows had no answer")
        return got


def measure_flows(room, profile, flows, binder, stage):
    room.keep("inward", binder, flows[stage].cost(True, profile.flow_count))
    room.keep("outward", binder, flows[stage].cost(False, profile.flow_count))
    got = flows[stage].latency(profile.flow_count // 20)
    room.keep("flow_p50", binder, got["p50"])
    room.keep("flow_p99", binder, got["p99"])


def flows(profile, figures):
    """What a new connection through NAT costs"""
    binders = here(figures, "flows", FLOW_BINDERS)
    with contextlib.ExitStack() as stack:
        # all sizes are there in each round, as it is they that are compared
        rooms = [stack.enter_context(Room(figures, "flows", size, binders))
                 for size in profile.flow_sizes]
        there = {}
        for room in rooms:
            room.each(lambda binder, stage, size=room.size: there.update(
                {stage: Flows(binder, stage, size)}))
        for _ in range(profile.flow_runs):
            for room in rooms:
                room.each(functools.partial(measure_flows, room, profile, there))
        for room in rooms:
            room.report()
