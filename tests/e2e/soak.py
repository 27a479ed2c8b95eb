#!/usr/bin/python3
"""All at once, for minutes, and every answer is looked at; for 55-soak.t.

    soak.py SECONDS SEED

The clients of storm.py bind, move, unbind, forward and change the plan; beside them VMs are isolated
and rejoin, guests take, renew and give back leases, followers and readers come and go, strangers
flood the bridge, another program spoils the kernel's tables, and SIGHUPs arrive. That goes on for
some seconds; then all is quiet and the kernel must be what the model says, or the daemon is killed or
ended in the middle of it, and must be so after its restart. The last part is the life of one process,
whose memory and descriptors must stay what they were.
"""
import collections
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import storm
from appliance import (PATIENCE, SOCKET, T, Daemon, addresses, ask, compare, eipctl, exposed,
                       kernel_problems, point, rules)
from guest import ACK, DISCOVER, OFFER, REQUEST, Guest, option

SERVER = "192.168.6.22"
GUESTS = {name: f"guest{n}" for n, name in enumerate(storm.MACS, 1)}
WARM = 3000    # commands and leases until a process has all that it keeps, the last events among it
GROWTH = 512   # kB that it may grow after that, from the least to the least; in a shorter life,
YOUNG = 2560   # it may grow by so much
counts = collections.Counter()  # of operations, by kind
wrong = collections.defaultdict(list)


# ---- clients of the socket

class Counted:
    """What it sends is counted, done or refused."""

    def send(self, words, after):
        done = super().send(words, after)
        counts[" ".join(words[:1 if words[0] == "reload" else 2]) +
               (", to be refused" if after is None else "")] += 1
        return done


class Addresses(Counted, storm.Addresses):
    pass


class Planner(Counted, storm.Plan):
    """Remembers which plans may have been in force when, for those who ask the DHCP server."""

    def __init__(self, *words):
        super().__init__(*words)
        # (plan, until when it may have been in force); the last ones without an end
        self.versions = [(self.state["vms"], float("inf"))]

    def in_force_since(self, then):
        """The plans of which any may have been in force at some time since then."""
        return [vms for vms, until in self.versions if until >= then]

    def put(self, vms):
        """It is or will be, and so is what was before it."""
        self.versions = self.versions[-200:] + [(dict(vms), float("inf"))]

    def put_last(self):
        """The one that was put last is in force, and none of the others any more."""
        now = time.monotonic()
        self.versions = [(vms, min(until, now)) for vms, until in self.versions[:-1]] + \
            self.versions[-1:]

    def write(self, vms, more=""):
        if not more:
            self.put(vms)
        super().write(vms, more)

    def send(self, words, after):
        if after is not None:
            self.put(after["vms"])
        if super().send(words, after):
            self.put_last()

    def settle(self, now):
        problems = super().settle(now)
        self.put(self.state["vms"])
        self.put_last()
        return problems

    def again(self):
        client = super().again()
        client.versions = self.versions
        return client


class Isolation(Counted, storm.Client):
    """Isolates and rejoins. State: {VM: who is allowed}"""

    def command(self):
        name, after = self.random.choice(self.own), dict(self.state)
        if self.random.random() < 0.5:
            allowed = self.random.sample(["192.168.6.200/32", "10.0.0.0/8"], self.random.randrange(3))
            after[name] = allowed
            words = ["vm", "isolate", name]
            for one in allowed:
                words += ["--allow", one]
            self.send(words, after)
        else:
            after.pop(name, None)
            self.send(["vm", "rejoin", name], after)
        time.sleep(0.05)


class Reader(threading.Thread):
    """Asks for lists; follows events for a moment; connects and goes away."""

    def __init__(self, seed):
        super().__init__()
        self.random, self.stop = random.Random(seed), threading.Event()

    def connected(self, text):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(SOCKET)
            s.sendall(text)
            time.sleep(self.random.random() * 0.1)

    def run(self):
        while not self.stop.is_set():
            try:
                kind = self.random.choice(["list", "list", "follow", "half", "garbage"])
                if kind == "follow":
                    self.connected(b'{"command":["events","--follow"]}\n')
                elif kind == "half":
                    self.connected(b'{"command":["ip","bi')
                elif kind == "garbage":
                    self.connected(bytes(range(11, 256)) + b"\n")
                else:
                    words = self.random.choice([("status",), ("vm", "list"), ("ip", "list"),
                                                ("lease", "list"), ("metrics",), ("events",)])
                    answer = ask(*words)
                    if not answer["ok"]:
                        wrong["answers"].append(f"{' '.join(words)}: {answer}")
                counts["read: " + kind] += 1
            except (OSError, EOFError):
                time.sleep(0.02)


# ---- guests

class Guests(threading.Thread):
    """Leases, renewals, releases of some VMs. Its model: `leases`, {VM: since when}, which is only
    looked at for the static ones, as the others come and go with the plan."""

    def __init__(self, seed, planner, machines, leases):
        super().__init__()
        self.random, self.stop = random.Random(seed), threading.Event()
        self.away = threading.Event()  # the daemon: nobody answers
        self.planner, self.machines, self.leases = planner, machines, leases
        self.touched = {}  # when a lease was last asked for or given back

    def wanted(self, name, since):
        """Which addresses it may be given; None: no answer."""
        if name in storm.STATIC:
            return {storm.STATIC[name]}
        return {vms.get(name) for vms in self.planner.in_force_since(since)}

    def exchange(self, name, kind, options=b"", renewing=False):
        """(type, address) of the answer, or None; the daemon may be away."""
        since, answer = time.monotonic(), None
        guest = self.machines[name]
        xid = guest.send(kind, options, renewing)
        self.touched[name] = since
        # whoever may be in no plan need not be answered
        end = since + (0.1 if None in self.wanted(name, since) else PATIENCE)
        while not answer and not self.away.is_set() and time.monotonic() < end:
            answer = guest.answer(xid, 0.1)
        given = socket.inet_ntoa(answer[1]) if answer else None
        # a NAK is the answer to one that has lost its address
        nak = answer is not None and answer[0] not in (OFFER, ACK)
        counts["NAK"] += nak
        wanted = self.wanted(name, since)
        if nak and name in storm.STATIC or answer and not nak and given not in wanted or \
                not answer and None not in wanted and not self.away.is_set():
            wrong["dhcp"].append(f"{name}, message {kind}: {answer and answer[0]} {given}; "
                                 f"wanted {wanted}")
        return None if nak else answer

    def lease(self, name):
        offer = self.exchange(name, DISCOVER)
        if not offer:
            return
        guest = self.machines[name]
        ack = self.exchange(name, REQUEST, option(54, guest.server) + option(50, offer[1]))
        if ack and ack[0] == ACK:
            guest.address = ack[1]
            self.leases.setdefault(name, time.monotonic())
            counts["lease"] += 1

    def run(self):
        while not self.stop.is_set():
            name = self.random.choice(list(self.machines))
            guest = self.machines[name]
            verb = self.random.choice(["lease", "renew", "renew", "renew", "release"])
            if verb == "lease" or not any(guest.address):
                self.lease(name)
            elif verb == "renew":
                if self.exchange(name, REQUEST, renewing=True):
                    self.leases.setdefault(name, time.monotonic())
                    counts["renewal"] += 1
                elif name not in storm.STATIC:
                    guest.address = bytes(4)
            else:
                guest.release()
                guest.address = bytes(4)
                self.leases.pop(name, None)
                self.touched[name] = time.monotonic()
                counts["release"] += 1
            time.sleep(self.random.random() * 0.004)


# ---- others at the kernel

class Vandal(threading.Thread):
    """Another program, or a hand that slips, once or twice a second."""

    TABLE = ("iptables-legacy", "-w", "20", "-t", "nat")

    def __init__(self, seed, daemon, foreign):
        super().__init__()
        self.random, self.stop = random.Random(seed), threading.Event()
        self.daemon_process, self.foreign = daemon.process, foreign
        self.failed = []

    def call(self, *words):
        done = subprocess.run(words, text=True, stderr=subprocess.PIPE, check=False)
        return done.returncode == 0

    def flush(self):
        self.call(*self.TABLE, "-F")
        for line in self.foreign:  # its own, it puts back
            self.call(*self.TABLE, *line.split())

    def delete_rule(self):
        ours = [line for line in rules() if line.startswith("-A ") and "EIPD-" in line]
        if ours:
            self.call(*self.TABLE, "-D", *self.random.choice(ours).split()[1:])

    def insert_rule(self):
        self.call(*self.TABLE, "-I", "EIPD-PREROUTING", "-s", "10.9.9.7", "-j", "ACCEPT")

    def delete_address(self):
        ours = [a for a in addresses() if re.fullmatch("eth0:[0-8].*", a[2])]
        if ours:
            self.call("ip", "addr", "del", f"{self.random.choice(ours)[0]}/32", "dev", "eth0")

    def forwarding_off(self):
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
            file.write("0")

    def flush_nft(self):
        self.call("nft", "flush", "ruleset")

    def delete_nft(self):
        self.call("nft", "delete", "table", "bridge", "eipd")

    def sighup(self):
        if self.daemon_process.poll() is None:
            self.daemon_process.send_signal(signal.SIGHUP)

    VERBS = (flush, delete_rule, insert_rule, delete_address, forwarding_off, flush_nft, delete_nft,
             sighup)

    def run(self):
        while not self.stop.wait(self.random.random() * 1.2):
            verb = self.random.choice(self.VERBS)
            verb(self)
            counts["foreign: " + verb.__name__] += 1


# ---- what is looked at

def private(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def lines_of_log():
    with open(T + "/eipd.log", encoding="utf8", errors="replace") as file:
        return sum(1 for _ in file)


def commits_at_rest(pid):
    """(how often it read the table, how often it wrote it) in a time of two resyncs or more."""
    path = T + "/soak.strace"
    tracer = subprocess.Popen(["strace", "-f", "-e", "trace=setsockopt,getsockopt", "-o", path, "-p",
                               str(pid)], stderr=subprocess.PIPE, text=True)
    for line in tracer.stderr:
        if "attached" in line:
            break
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(0.1)
        with open(path, encoding="utf8") as file:
            text = file.read()
        if text.count("SO_GET_ENTRIES") >= 2:
            break
    tracer.terminate()
    tracer.communicate()
    return text.count("SO_GET_ENTRIES"), text.count("SO_SET_REPLACE")


def log_allowed():
    """Lines that what happened may have, where the level is warning."""
    per = {"vm isolate": 1, "vm rejoin": 1, "NAK": 1, "reload, to be refused": 3,
           "foreign: sighup": 3, "kill -9": 6, "restart": 6}
    return 50 + sum(number * per.get(kind, 2 if kind.startswith("foreign") else 0)
                    for kind, number in counts.items())


class Soak:
    def __init__(self, seed):
        self.dice, self.seed = random.Random(seed), seed
        self.daemon = Daemon()
        self.foreign = storm.rules_of_others()
        self.clients = []
        for n in range(3):
            client = Addresses(f"client {n}", f"{seed}/{n}", {})
            client.own = [f"{storm.POOL}{100 + n * 3 + i}" for i in range(3)]
            self.clients.append(client)
        self.isolation = Isolation("isolation", f"{seed}/isolation", {})
        self.isolation.own = ["s-4", "s-5"]
        self.planner = Planner("planner", f"{seed}/plan", {"vms": {}, "bound": {}})
        self.planner.own = [f"{storm.POOL}109", f"{storm.POOL}110"]
        with open("/sys/class/net/br0/address", encoding="ascii") as file:
            mac = file.read().strip()
        self.machines = {name: Guest(interface, storm.MACS[name], SERVER, mac)
                         for name, interface in GUESTS.items()}
        self.leases = {}
        self.round = 0
        self.marks = []
        self.acknowledged = 0

    # ---- a round

    def all_clients(self):
        return self.clients + [self.isolation, self.planner]

    def begin(self):
        self.round += 1
        seed = f"{self.seed}/{self.round}"
        static = {name: guest for name, guest in self.machines.items() if name in storm.STATIC}
        moving = {name: guest for name, guest in self.machines.items() if name not in static}
        self.guests = Guests(seed + "/static", self.planner, static, self.leases)
        self.others = [self.guests, Guests(seed + "/moving", self.planner, moving, {}),
                       Reader(seed + "/reader 1"), Reader(seed + "/reader 2")]
        self.undisturbed = self.dice.random() < 0.3
        if not self.undisturbed:
            self.others.append(Vandal(seed + "/vandal", self.daemon, self.foreign))
        for thread in self.all_clients() + self.others:
            thread.start()

    def end(self):
        for thread in self.all_clients() + self.others:
            thread.stop.set()
        for thread in self.all_clients() + self.others:
            thread.join()
        self.acknowledged += sum(client.acknowledged for client in self.all_clients())

    def again(self):
        self.clients = [client.again() for client in self.clients]
        self.isolation, self.planner = self.isolation.again(), self.planner.again()

    def settle(self, when):
        """What the daemon says is what the model says."""
        clients = self.clients + [self.planner]
        states, static = storm.actual(clients)
        for client, state in zip(clients, states):
            wrong["answers"] += [f"{when}: {p}" for p in client.settle(state)]
        isolated = {}
        for vm in eipctl("vm", "list"):
            if vm["isolated"]:
                isolated[vm["name"]] = eipctl("vm", "show", vm["name"])["allow"]
        wrong["answers"] += [f"{when}: {p}" for p in self.isolation.settle(isolated)]
        wrong["answers"] += [f"{when}: {p}" for p in
                             compare(storm.STATIC.items(), static.items(), "VMs")]
        wrong["answers"] += [f"{when}: {p}" for p in self.planner.file_problems()]
        status = eipctl("status")
        if bool(status["plan"]["error"]) != self.planner.broken:
            wrong["answers"].append(f"{when}: broken: {self.planner.broken}, status: {status['plan']}")

    def settle_leases(self, when, unsure_since):
        """Those of the static VMs, but for what was under way or not written yet when it ended."""
        have = {one["name"] for one in eipctl("lease", "list") if one["name"] in storm.STATIC}
        for name in storm.STATIC:
            leased = self.leases.get(name)
            if self.guests.touched.get(name, 0.0) < unsure_since and \
                    (leased is not None) != (name in have):
                wrong["leases"].append(f"{when}: {name}: model {leased}, list {sorted(have)}")
        for name in storm.STATIC:
            if name not in have:
                self.leases.pop(name, None)
            else:
                self.leases.setdefault(name, time.monotonic())

    def kernel(self, when):
        """What others did is mended soon; then nothing is written any more."""
        end = time.monotonic() + PATIENCE
        while (problems := kernel_problems(self.foreign) + self.nft_problems()) and \
                time.monotonic() < end:
            time.sleep(0.1)
        wrong["kernel"] += [f"{when}: {p}" for p in problems]

    def nft_problems(self):
        there = subprocess.run(["nft", "list", "table", "bridge", "eipd"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False).returncode == 0
        return [] if there == bool(self.isolation.state) else \
            [f"table bridge eipd is {'' if there else 'not '}there; isolated: {self.isolation.state}"]

    def frames(self, when):
        """Frames of an isolated VM come out nowhere, those of the others do."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5)) as taker:
            taker.bind((GUESTS["s-1"], 0x88b5))
            for name in storm.STATIC:
                if name == "s-1":
                    continue
                token = os.urandom(8)
                with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as giver:
                    giver.bind((GUESTS[name], 0))
                    giver.send(self.machines["s-1"].mac + self.machines[name].mac + b"\x88\xb5" +
                               token.ljust(46, b"\0"))
                cut_off, came = name in self.isolation.state, False
                end = time.monotonic() + (0.1 if cut_off else PATIENCE)
                while not came and (left := end - time.monotonic()) > 0 and \
                        select.select([taker], [], [], left)[0]:
                    came = token in taker.recv(2048)
                if came == cut_off:
                    wrong["kernel"].append(f"{when}: a frame of {name}, isolated: {cut_off}, "
                                           f"arrived: {came}")

    # ---- how a round ends

    def quiet(self, when):
        self.end()
        # a SIGHUP that came last is heard of before what is asked next
        self.settle(when)
        self.settle_leases(when, float("inf"))
        self.kernel(when)
        self.frames(when)
        repaired = eipctl("status")["nat"]["repaired"]
        reads, writes = commits_at_rest(self.daemon.process.pid)
        if not reads or writes or eipctl("status")["nat"]["repaired"] != repaired:
            wrong["rest"].append(f"{when}: {reads} resyncs, {writes} commits, repaired {repaired}, "
                                 f"then {eipctl('status')['nat']['repaired']}")
        self.mark()
        counts["checkpoint"] += 1

    def killed(self, when, how):
        self.daemon.process.send_signal(how)
        ended = time.monotonic()
        self.daemon.process.wait(PATIENCE)
        for thread in self.others:
            if isinstance(thread, Guests):
                thread.away.set()
        self.end()
        if self.undisturbed:
            wrong["kernel"] += [f"{when}: {a} is on the card without its rules" for a in exposed()]
        if not self.daemon.start():
            raise SystemExit(f"{when}: the daemon does not start again")
        self.settle(when)
        self.settle_leases(when, ended - (5 if how == signal.SIGKILL else 1))
        self.kernel(when)
        self.frames(when)
        counts["kill -9" if how == signal.SIGKILL else "restart"] += 1

    def mark(self):
        pid = self.daemon.process.pid
        self.marks.append((time.monotonic() - self.began, pid, private(pid), descriptors(pid),
                           self.acknowledged, sum(counts[k] for k in ("lease", "renewal", "release"))))

    def run(self, seconds):
        if not self.daemon.start():
            raise SystemExit("the daemon does not start")
        self.began = time.monotonic()
        self.mark()
        last_life = self.began + seconds * 0.4
        end = self.began + seconds
        length = min(8.0, max(1.5, seconds / 6))
        while (now := time.monotonic()) < end or not counts["checkpoint"]:
            if self.round:
                self.again()
            self.begin()
            how = self.dice.choice([signal.SIGKILL, signal.SIGTERM, None]) if now < last_life else None
            if not self.round > 1:
                how = signal.SIGKILL
            time.sleep(length * (self.dice.random() if how else 1.0)) # the moment is the point
            when = f"round {self.round}, {now - self.began:.0f} s"
            if how:
                self.killed(f"{when}, {how.name}", how)
            else:
                self.quiet(when)
        self.daemon.process.terminate()
        self.daemon.process.wait(PATIENCE)


def table(soak):
    print(f"seed {soak.seed}; {soak.round} rounds, {time.monotonic() - soak.began:.0f} s")
    for kind, number in sorted(counts.items()):
        print(f"{number:9d}  {kind}")
    print(f"{'seconds':>9} {'process':>9} {'private kB':>11} {'descriptors':>12} {'commands':>9} "
          f"{'DHCP':>9}")
    step = max(1, len(soak.marks) // 12)
    for n, (at, pid, memory, open_files, commands, leases) in enumerate(soak.marks):
        if n % step == 0 or n == len(soak.marks) - 1:
            print(f"{at:9.0f} {pid:9d} {memory:11d} {open_files:12d} {commands:9d} {leases:9d}")
    print(f"wrong answers: {sum(map(len, wrong.values()))}; lines of the log: {lines_of_log()}")


def main(seconds, seed):
    soak = Soak(seed)
    try:
        soak.run(seconds)
    finally:
        soak.daemon.kill()
    table(soak)
    for key, sentence in (
            ("answers", "every answer is what the model says, after restarts too"),
            ("dhcp", "every VM is given the address of the plan, and no other"),
            ("leases", "the leases are those that were taken and not given back"),
            ("kernel", "at each checkpoint the kernel is what the lists say"),
            ("rest", "at rest nothing is written")):
        point(not wrong[key], sentence, wrong[key])
    last = [mark for mark in soak.marks if mark[1] == soak.marks[-1][1]]
    warm = [mark for mark in last if sum(mark[4:]) >= sum(last[0][4:]) + WARM]
    # what an answer of the moment takes comes and goes; a leak stays
    third = len(warm) // 3
    first, then = (warm[:third], warm[-third:]) if third else (last[:1], last[-1:])
    grown = min(mark[2] for mark in then) - min(mark[2] for mark in first)
    # sanitizers keep what is freed, and look for what is lost at the end
    point(grown <= (GROWTH if third else YOUNG) or "SANITIZED" in os.environ, f"the memory of the last process has grown by "
          f"{grown} kB in {then[-1][0] - first[0][0]:.0f} s")
    files = sorted({mark[3] for mark in last})
    point(files[-1] - files[0] <= 2, f"it has as many descriptors as ever: {files}")
    told = log_allowed()
    point(lines_of_log() <= told, f"the log has {lines_of_log()} lines, for what may have {told}")
    print("done")


main(float(sys.argv[1]), sys.argv[2])
