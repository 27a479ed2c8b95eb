#!/usr/bin/python3
"""The storms of 46-storm.t.

    storm.py kills COUNT SEED    kill -9 again and again in the middle of commands
    storm.py edits COUNT SEED    another program edits the nat table between our changes

Each client has addresses of its own and one command under way, so after a crash only that one may
be done or not; whatever was acknowledged must be there.
"""
import collections
import copy
import os
import random
import re
import subprocess
import sys
import threading
import time

from appliance import (PATIENCE, PLAN, STATE, Daemon, ask, compare, eipctl, exposed,
                       kernel_problems, point, rules, run)

POOL = "20.251.48."
STATIC = {f"s-{n}": f"192.168.6.{100 + n}" for n in range(1, 6)}
MACS = {name: f"02:00:00:00:01:{n:02x}" for n, name in enumerate(STATIC)}
MACS.update({f"d-{n}": f"02:00:00:00:02:{n:02x}" for n in range(1, 4)})


# ---- clients

class Client(threading.Thread):
    """Sends commands until the daemon is gone or stop is set. `state` is what was acknowledged,
    `maybe` what it is if the command under way was done."""

    def __init__(self, name, seed, state):
        super().__init__(name=name)
        self.random = random.Random(seed)
        self.state, self.maybe = state, None
        self.stop = threading.Event()
        self.problems, self.acknowledged, self.last = [], 0, None

    def send(self, words, after):
        """`after`: the state if it is done; None: it must be refused. Whether it was done."""
        self.last, self.maybe = " ".join(words), after
        answer = ask(*words)
        self.acknowledged += 1
        # a daemon that is told to end refuses what is not done yet
        if "eipd is stopping" in answer.get("error", ""):
            after = None
        if answer["ok"] != (after is not None):
            self.problems.append(f"{self.last}: {answer}")
        if answer["ok"] and after is not None:
            self.state = after
        self.maybe = self.last = None
        return answer["ok"]

    def run(self):
        try:
            while not self.stop.is_set():
                self.command()
        except (OSError, EOFError):
            pass

    def settle(self, now):
        """After a restart: what is there must be one of the two."""
        wanted = [self.state] + ([self.maybe] if self.maybe is not None else [])
        problems = [] if now in wanted else \
            [f"{self.name}: under way: {self.last}", f"{self.name}: is     {now}"] + \
            [f"{self.name}: wanted {one}" for one in wanted]
        self.state, self.maybe, self.last = now, None, None
        problems, self.problems = self.problems + problems, []
        return problems

    def again(self):
        """A thread runs once."""
        client = type(self)(self.name, self.random.random(), self.state)
        client.own = self.own
        return client


class Addresses(Client):
    """Binds, moves, unbinds, forwards. State: {address: VM or {"PORT/PROTOCOL": [VM, to]}}"""

    def command(self):
        address, vm = self.random.choice(self.own), self.random.choice(list(STATIC))
        verb = self.random.choice(["bind", "bind", "unbind", "move", "move", "add", "add", "del"])
        after = copy.deepcopy(self.state)
        has = after.get(address)
        if verb == "bind":
            if has is None or has == vm:
                after[address] = vm
            else:
                after = None
            self.send(["ip", "bind", vm, address], after)
        elif verb == "unbind":
            if isinstance(has, dict):
                after = None
            else:
                after.pop(address, None)
            self.send(["ip", "unbind", address], after)
        elif verb == "move":
            if isinstance(has, dict):
                after = None
            else:
                after[address] = vm
            self.send(["ip", "move", address, vm], after)
        else:
            port = self.random.choice(["80/tcp", "53/udp", "8000-8009/tcp"])
            to = 8080 if port == "80/tcp" else int(re.match(r"\d+", port)[0])
            words = ["forward", verb, f"{address}:{port}"]
            if verb == "add":
                words.append(f"{vm}:{to}")
                if self.random.random() < 0.3:
                    words.append("--source")
                target = [vm, to, words[-1] == "--source"]
                if isinstance(has, str) or (has and has.get(port, target) != target):
                    after = None
                else:
                    after.setdefault(address, {})[port] = target
            elif isinstance(has, dict) and port in has:
                del has[port]
                if not has:
                    del after[address]
            self.send(words, after)


class Plan(Client):
    """Changes the plan, by its file and by command. State: {"vms": {name: ip}, "bound": {…}}"""

    broken = False # the file is

    def write(self, vms, more=""):
        text = "# the plan of the storm\n"
        for name, ip in {**STATIC, **vms}.items():
            text += f"{MACS[name]},{name},{ip} # {name} stays what it is\n"
        with open(PLAN + ".edit", "w", encoding="ascii") as file:
            file.write(text + more)
        os.rename(PLAN + ".edit", PLAN)
        self.broken = bool(more)

    def without(self, state, name):
        del state["vms"][name]
        state["bound"] = {a: vm for a, vm in state["bound"].items() if vm != name}

    def command(self):
        name, address = self.random.choice(["d-1", "d-2", "d-3"]), self.random.choice(self.own)
        verb = self.random.choice(["bind", "bind", "bind", "file", "file", "file", "spoil", "vm"])
        ip = f"192.168.6.{self.random.randrange(10) * 3 + 150 + int(name[2:])}"
        after = copy.deepcopy(self.state)
        if self.broken and verb != "bind":
            verb = "file"
        if verb == "bind":
            if name in after["vms"] and after["bound"].get(address, name) == name:
                after["bound"][address] = name
            else:
                after = None
            self.send(["ip", "bind", name, address], after)
        elif verb == "spoil":
            self.write(self.state["vms"], "nonsense\n")
            self.send(["reload"], None)
        elif verb == "vm" and name in after["vms"]:
            self.without(after, name)
            self.send(["vm", "del", name], after)
        elif verb == "vm":
            after["vms"][name] = ip
            self.send(["vm", "add", name, "--mac", MACS[name], "--ip", ip], after)
        else:
            if name in after["vms"] and self.random.random() < 0.5:
                self.without(after, name)
            else:
                after["vms"][name] = ip
            self.write(after["vms"])
            # the file is there: a start goes by it, whether the reload came to its end or not
            self.state = copy.deepcopy(after)
            self.send(["reload"], after)

    def file_problems(self):
        """What was acknowledged is in the file too, and its comments are."""
        if self.broken:
            return []
        with open(PLAN, encoding="ascii") as file:
            text = file.read()
        found = dict(re.findall(r"^[0-9a-f:]+,([ds]-\d),([0-9.]+)", text, re.M))
        wanted = {**STATIC, **self.state["vms"]}
        return compare(wanted.items(), found.items(), "plan file") + \
            [f"plan file: the comment of {name} is gone" for name in STATIC
             if f"# {name} stays" not in text]

    def again(self):
        client = super().again()
        client.broken = self.broken
        return client


def actual(clients):
    """What the daemon says each client has."""
    ips = {one["address"]: one["vm"] for one in eipctl("ip", "list") if one["vm"]}
    vms = {vm["name"]: vm["ip"] for vm in eipctl("vm", "list")}
    has = collections.defaultdict(dict)
    for f in eipctl("forward", "list"):
        address, port = f["forward"].split(":")
        has[address][port] = [f["vm"], f["to"], f["source"]]
    for address, vm in ips.items():
        has[address] = vm
    states = []
    for client in clients:
        own = {a: has[a] for a in client.own if a in has}
        if isinstance(client, Plan):
            own = {"vms": {n: ip for n, ip in vms.items() if n not in STATIC}, "bound": own}
        states.append(own)
    return states, {n: ip for n, ip in vms.items() if n in STATIC}


def clients_new(seed, with_plan):
    clients = []
    for n in range(3):
        client = Addresses(f"client {n}", f"{seed}/{n}", {})
        client.own = [f"{POOL}{100 + n * 3 + i}" for i in range(3)]
        clients.append(client)
    if with_plan:
        client = Plan("planner", f"{seed}/plan", {"vms": {}, "bound": {}})
        client.own = [f"{POOL}109", f"{POOL}110"]
        clients.append(client)
    return clients


# ---- kills

# A crash between two of these is what a crash can leave behind.
SYSCALLS = {"rename": 6, "fsync": 8, "unlink": 6, "flock": 6, "setsockopt": 30, "write": 20,
            "sendmsg": 60, "sendto": 12, "close": 60, "openat": 30}


def kill_somewhere(daemon, dice):
    """Begins when the clients do. Half of the kills come at a time, half at a system call."""
    if dice.random() < 0.5:
        return None, dice.random() * 0.4
    name = dice.choice(list(SYSCALLS))
    number = dice.randint(1, SYSCALLS[name])
    tracer = subprocess.Popen(
        ["strace", "-o", "/dev/null", "-p", str(daemon.process.pid), "-e", "trace=" + name, "-e",
         f"inject={name}:signal=KILL:when={number}"], stderr=subprocess.PIPE, text=True)
    for line in tracer.stderr:
        if "attached" in line:
            break
    return (tracer, f"{name} {number}"), 1.0


def leave_litter(dice):
    """Files that a writer that was killed could have left: good ones, half ones, empty ones."""
    macs = list(MACS.items())
    bindings = "# eipd bindings, version 1; eipd writes it: edit it only while eipd is stopped\n" + \
        "".join(f"bind {POOL}{100 + n} {name} {mac} eth0:{n + 1}\n"
                for n, (name, mac) in enumerate(macs[:5]))
    plan = f"{MACS['s-1']},s-1,192.168.6.77\n"
    for path, text in ((STATE + "/bindings", bindings), (STATE + "/plan.last-good", plan),
                       (PLAN, plan)):
        with open(path + ".eipd-new", "w", encoding="ascii") as file:
            file.write(text[:dice.choice([0, len(text) // 2, len(text)])])


def kills(daemon, count, seed):
    dice = random.Random(seed)
    clients, foreign = clients_new(seed, True), rules_of_others()
    wrong = collections.defaultdict(list)
    at_call = restarts_killed = acknowledged = pending = done = 0
    slowest = 0.0
    if not daemon.start():
        point(False, "the daemon starts")
        return
    for turn in range(count):
        watcher, pause = kill_somewhere(daemon, dice)
        for client in clients:
            client.start()
        try:
            daemon.process.wait(pause) # the moment is the point here
            at_call += 1
        except subprocess.TimeoutExpired:
            pass
        daemon.kill()
        if watcher:
            watcher[0].terminate()
            watcher[0].communicate()
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join()
        when = f"kill {turn} ({watcher[1] if watcher else f'{pause:.3f} s'})"
        acknowledged += sum(client.acknowledged for client in clients)
        pending += sum(client.maybe is not None for client in clients)

        wrong["bare"] += [f"{when}: {a}" for a in exposed()]
        if dice.random() < 0.4:
            leave_litter(dice)
        if dice.random() < 0.25:
            daemon.launch()
            time.sleep(dice.random() * 0.1) # again the moment is the point
            daemon.kill()
            restarts_killed += 1
        begun = time.monotonic()
        if not daemon.start():
            daemon.kill()
            point(False, f"{when}: the daemon starts again")
            return
        slowest = max(slowest, time.monotonic() - begun)

        states, static = actual(clients)
        wrong["kernel"] += [f"{when}: {p}" for p in kernel_problems(foreign)]
        for client, state in zip(clients, states):
            wrong["lost"] += [f"{when}: {p}" for p in client.settle(state)]
        wrong["lost"] += [f"{when}: {p}" for p in compare(STATIC.items(), static.items(), "VMs")]
        planner = clients[-1]
        wrong["lost"] += [f"{when}: {p}" for p in planner.file_problems()]
        status = eipctl("status")
        if bool(status["plan"]["error"]) != planner.broken:
            wrong["plan"].append(f"{when}: broken: {planner.broken}, status: {status['plan']}")
        if status["nat"]["repaired"]:
            wrong["repaired"].append(f"{when}: {status['nat']}")
        wrong["damaged"] += [f"{when}: {name}" for name in os.listdir(STATE) if "damaged" in name]
        clients = [client.again() for client in clients]
        done += 1
    daemon.process.terminate()
    if daemon.process.wait(PATIENCE):
        wrong["kernel"].append("no clean stop at the end")
    print(f"{done} kills, {at_call} of them at a system call, {restarts_killed} more in a start; "
          f"{acknowledged} commands acknowledged, {pending} under way when it was killed; "
          f"slowest start {slowest * 1000:.0f} ms")
    point(done == count and acknowledged > count, f"{count} kills in the middle of commands")
    for key, sentence in (
            ("kernel", "after each restart the kernel has what the lists say, nothing twice"),
            ("lost", "no acknowledged command is lost, none is done by half, no *.eipd-new file counts"),
            ("bare", "no address is ever on the card without its rules, not even between"),
            ("plan", "a spoiled plan is told, and the last good one serves"),
            ("repaired", "nothing is taken for a change by others"),
            ("damaged", "no state file is ever damaged")):
        point(not wrong[key], sentence, wrong[key])


# ---- edits by others

def rules_of_others():
    return [line for line in rules() if line.startswith("-A ") and "EIPD-" not in line]


class Editor(threading.Thread):
    """What another program does with the nat table; `has` is what must be there of it."""

    def __init__(self, count, seed, clients):
        super().__init__()
        self.count, self.random, self.clients = count, random.Random(seed), clients
        self.has = {"PREROUTING": [], "POSTROUTING": [], "FOREIGN": []}
        self.failed, self.done, self.number = [], 0, 0

    def rule(self, chain):
        self.number += 1
        n, packets = self.number, self.random.randrange(1000)
        one, two = n // 250, n % 250 + 1
        match, target = {
            "PREROUTING": (f"-d 203.{one}.113.{two}/32", f"DNAT --to-destination 10.9.{one}.{two}"),
            "POSTROUTING": (f"-s 10.9.{one}.{two}/32 -o eth0", "MASQUERADE"),
            "FOREIGN": (f"-s 10.8.{one}.{two}/32", "RETURN")}[chain]
        return f"{match} -c {packets} {packets * 60} -j {target}"

    def iptables(self, *words, stdin=None):
        done = subprocess.run(words, input=stdin, text=True, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            self.failed.append(" ".join(words) + ": " + done.stderr.strip())
        return not done.returncode

    def edit(self, chain, has, verb):
        table = ("iptables-legacy", "-w", "-t", "nat")
        if verb == "delete" and has:
            rule = self.random.choice(has)
            bare = re.sub(r" -c \d+ \d+", "", rule)
            if self.iptables(*table, "-D", chain, *bare.split()):
                has.remove(rule)
        elif verb == "replace" and chain == "FOREIGN" and has:
            place, rule = self.random.randrange(len(has)), self.rule(chain)
            if self.iptables(*table, "-R", chain, str(place + 1), *rule.split()):
                has[place] = rule
        elif verb == "restore":
            new = [self.rule(chain) for _ in range(3)]
            text = "*nat\n" + "".join(f"-A {chain} {rule}\n" for rule in new) + "COMMIT\n"
            if self.iptables("iptables-legacy-restore", "-w", "--noflush", "--counters",
                             stdin=re.sub(r"(-A \S+)(.*?) -c (\d+) (\d+)", r"[\3:\4] \1\2", text)):
                has += new
        elif verb == "insert":
            rule = self.rule(chain)
            if self.iptables(*table, "-I", chain, "1", *rule.split()):
                has.insert(0, rule)
        else:
            rule = self.rule(chain)
            if self.iptables(*table, "-A", chain, *rule.split()):
                has.append(rule)

    def run(self):
        # until both have had their turn, but not for ever
        end = time.monotonic() + 2 * PATIENCE
        while self.done < self.count or (time.monotonic() < end and
                                         sum(c.acknowledged for c in self.clients) < 20):
            chain = self.random.choice(list(self.has))
            has = self.has[chain]
            verb = "delete" if len(has) > 30 else self.random.choice(
                ["append", "insert", "delete", "delete", "replace", "restore"])
            self.edit(chain, has, verb)
            self.done += 1


def edits(daemon, count, seed):
    clients = clients_new(seed, True)
    run("iptables-legacy", "-w", "-t", "nat", "-N", "FOREIGN")
    before = rules_of_others()
    if not daemon.start():
        point(False, "the daemon starts")
        return
    editor = Editor(count, f"{seed}/editor", clients)
    for thread in clients + [editor]:
        thread.start()
    editor.join()
    for client in clients:
        client.stop.set()
    for client in clients:
        client.join()
    acknowledged = sum(client.acknowledged for client in clients)
    print(f"{editor.done} edits by others, {acknowledged} commands at the same time")
    point(acknowledged >= 20 and not editor.failed, "both get their turn", editor.failed)

    listing = run("iptables-legacy", "-w", "20", "-t", "nat", "-v", "-S").splitlines()
    problems = []
    for chain, has in editor.has.items():
        fixed = [line.split(" ", 2)[2] for line in before if line.startswith(f"-A {chain} ")]
        got = [line.split(" ", 2)[2] for line in listing
               if line.startswith(f"-A {chain} ") and "EIPD-" not in line]
        got = [rule for rule in got if re.sub(r" -c \d+ \d+", "", rule) not in fixed]
        problems += compare(has, got, chain)
        if got != has and not compare(has, got, chain):
            problems.append(f"{chain}: another order")
    point(not problems, "no rule of others is lost or doubled, nor its place and counters", problems)
    foreign = before + [re.sub(r" -c \d+ \d+", "", f"-A {chain} {rule}")
                        for chain, has in editor.has.items() for rule in has]
    problems = kernel_problems(foreign)
    point(not problems, "no rule of ours is, nor is an address", problems)
    problems = []
    for client, state in zip(clients, actual(clients)[0]):
        if not client.is_alive():
            problems += client.settle(state)
    point(not problems, "every command did what it said", problems)
    repaired = eipctl("status")["nat"]["repaired"]
    point(repaired == 0, f"nothing of it is taken for a change of ours (repaired: {repaired})")
    daemon.process.terminate()
    daemon.process.wait(PATIENCE)


def main(kind, count, seed):
    daemon = Daemon()
    try:
        {"kills": kills, "edits": edits}[kind](daemon, int(count), seed)
    finally:
        daemon.kill()
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
