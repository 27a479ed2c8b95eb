#!/usr/bin/python3
"""kill -9 at every system call that changes something, one after the other, for 53-torture.t.

    torture.py POINTS STEPPER    0: every point there is, and then kills in the restart as well

First the scenario is gone through undisturbed: what kernel, files and lists have between its steps
is what counts as right, and how many calls a step makes is known from then on. Then, for each
point: what was before the step, the step with a kill at one of its calls, a look at what is left, a
restart; and all must be as before the step or as after it, in kernel, files and lists alike: after,
if the client was told that it is done, and before, if it was refused.
"""
import collections
import json
import mmap
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

from appliance import (PATIENCE, PLAN, STATE, T, Daemon, addresses, ask, compare, exposed,
                       kernel_problems, point, rules, run)
from guest import DISCOVER, Guest

LOOK = 0.005   # seconds
SETTLE = 10    # a daemon at rest makes no call, and wants no processor, for so many looks
NAMES = ("vm-001", "vm-002", "vm-003", "vm-004")
MAC = {name: f"d0:0d:8e:9f:42:{0x88 + n:02x}" for n, name in enumerate(NAMES)}
IP = {name: f"192.168.6.{243 + n}" for n, name in enumerate(NAMES)}
FWD_MASK = "/sys/class/net/vnet1/brport/group_fwd_mask" # which link-local frames the bridge takes


class Shared:
    """The stepper's memory."""

    def __init__(self, path):
        self.path = path

    def clear(self, kill_at=0):
        with open(self.path, "wb") as file:
            file.write(struct.pack("QQ32s", 0, kill_at, b""))
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 48)

    @property
    def count(self):
        return struct.unpack_from("Q", self.memory, 0)[0]

    @property
    def name(self):
        return self.memory[16:48].rstrip(b"\0").decode()

    def arm(self, ahead):
        """The daemon dies at its `ahead`th call from now on."""
        struct.pack_into("Q", self.memory, 8, self.count + ahead)


# ---- what is there

def text_of(path):
    try:
        with open(path, encoding="utf8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def files():
    found = {name: text_of(f"{STATE}/{name}")
             for name in ("bindings", "isolated", "plan.last-good")}
    found["plan"] = text_of(PLAN)
    return found


def nft_table():
    """Its blocks without counters' values, whatever order they were made in."""
    listing = subprocess.run(["nft", "list", "table", "bridge", "eipd"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, check=False).stdout
    listing = re.sub(r"packets \d+ bytes \d+", "", listing)
    # the elements of a map have no order
    listing = re.sub(r"elements = \{(.*?)\}",
                     lambda m: " ".join(sorted(re.split(r",\s*", m[1].strip()))), listing,
                     flags=re.S)
    return sorted(" ".join(block.split()) for block in listing.split("\n\t}\n"))


def nat_rules():
    """In their order; that of the chains means nothing."""
    lines = rules()
    return sorted(line for line in lines if line.startswith("-N")) + \
        [line for line in lines if line.startswith("-A")]


def kernel():
    with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as file:
        forwarding = file.read().strip()
    return {"nat": nat_rules(), "addresses": sorted(addresses()), "nft": nft_table(),
            "forwarding": forwarding, "link-local": text_of(FWD_MASK)}


def lists():
    """What eipd says: all but what time changes."""
    vms, ips, forwards = (ask(what, "list")["result"] for what in ("vm", "ip", "forward"))
    return {"vms": [[vm[key] for key in ("name", "mac", "ip", "public", "isolated", "forwards")]
                    for vm in vms],
            "ips": [[ip[key] for key in ("address", "state", "vm", "label")] for ip in ips],
            "forwards": [f["forward"] + " " + f["vm"] for f in forwards]}


def everything():
    return {**kernel(), **files(), **lists()}


def differences(wanted, got):
    return [f"{key}: {problem}" for key in wanted if wanted[key] != got[key]
            for problem in (compare(map(str, wanted[key]), map(str, got[key]), "")
                            if isinstance(wanted[key], list) else
                            [f"is {got[key]!r}, wanted {wanted[key]!r}"]) or [f"order: {got[key]}"]]


# ---- the scenario

def write_plan(*lines):
    with open(PLAN + ".edit", "w", encoding="ascii") as file:
        file.write("# the plan of the torture\n" + "".join(line + "\n" for line in lines))
    give_to_owner(PLAN + ".edit")
    os.rename(PLAN + ".edit", PLAN)


def give_to_owner(*paths):
    """To whom the plan's directory belongs, which is the daemon's user."""
    owner = os.stat(os.path.dirname(PLAN))
    for path in paths:
        os.chown(path, owner.st_uid, owner.st_gid)


def line_of(name, ip=None):
    return f"{MAC[name]},{name},{ip or IP[name]} # stays what it is"


class World:
    """The daemon under the stepper."""

    def __init__(self, stepper):
        self.daemon, self.shared = Daemon(), Shared(T + "/stepper.memory")
        self.stepper = stepper
        self.guest, self.patience = None, PATIENCE

    def start(self, kill_at=0):
        self.shared.clear(kill_at)
        return self.daemon.start(self.stepper, self.shared.path)

    def kill(self):
        if self.daemon.process and self.daemon.process.poll() is None:
            # the stepper goes last, when all of its threads are gone
            for pid in children(self.daemon.process.pid):
                os.kill(pid, signal.SIGKILL)
            self.daemon.process.wait(PATIENCE)

    def terminate(self):
        for pid in children(self.daemon.process.pid):
            os.kill(pid, signal.SIGTERM)

    def at_rest(self):
        """Or dead."""
        last, looks = None, 0
        while self.alive() and looks < SETTLE:
            looks = 0 if last != self.shared.count or self.works() else looks + 1
            last = self.shared.count
            time.sleep(LOOK) # nothing tells that nothing comes

    def works(self):
        """A thread of it runs, or would if it had a processor."""
        try:
            for pid in children(self.daemon.process.pid):
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/stat", encoding="utf8") as file:
                        state = file.read().rsplit(") ", 1)[1][0]
                    if state not in "SZX":
                        return True
            return False
        except (FileNotFoundError, ProcessLookupError):  # one of them has just ended
            return True

    def alive(self):
        return self.daemon.process.poll() is None


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


class Step:
    """One command, and the calls that it takes. `after_only`: what it is about is on the disk
    before the daemon hears of it, so a restart goes by it."""
    after_only = starts = False

    def __init__(self, *words, refused=False):
        self.words, self.refused = words, refused
        self.name = " ".join(words)

    def prepare(self, world):
        pass

    def act(self, world):
        """True: done; False: refused; None: no answer."""
        try:
            return ask(*self.words)["ok"]
        except (OSError, EOFError):
            return None


class Reload(Step):
    after_only = True

    def __init__(self, *lines):
        super().__init__("reload")
        self.lines = lines

    def prepare(self, world):
        write_plan(*self.lines)


class Lease(Step):
    def __init__(self):
        super().__init__("lease")

    def act(self, world):
        # a daemon that is killed answers nothing; nobody waits for it
        return world.guest.lease(patience=world.patience) == IP["vm-001"] or None


class LeaseWritten(Lease):
    """A lease, until the file has it."""

    def __init__(self):
        super().__init__()
        self.name = "lease file"

    def prepare(self, world):
        if os.path.exists(STATE + "/leases"):
            os.unlink(STATE + "/leases")

    def act(self, world):
        told = super().act(world)
        end = time.monotonic() + 15
        while told and world.alive() and not text_of(STATE + "/leases") and time.monotonic() < end:
            time.sleep(0.01)
        return told


class Start(Step):
    starts = True

    def __init__(self, kernel_is_empty):
        super().__init__("start, the kernel " + ("empty" if kernel_is_empty else "in order"))
        self.kernel_is_empty = kernel_is_empty

    def prepare(self, world):
        world.kill()
        if self.kernel_is_empty:
            clear_kernel()


class Stop(Step):
    def __init__(self):
        super().__init__("stop")

    def act(self, world):
        world.terminate()
        try:
            world.daemon.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass


def delete_table():
    subprocess.run(["nft", "delete", "table", "bridge", "eipd"], stderr=subprocess.DEVNULL,
                   check=False)


def clear_kernel():
    lines = rules()
    for line in lines:
        if line.startswith("-A ") and "EIPD-" in line and not line.startswith("-A EIPD-"):
            run("iptables-legacy", "-w", "10", "-t", "nat", "-D", *line.split()[1:])
    for verb in ("-F", "-X"):
        for line in lines:
            if line.startswith("-N EIPD-"):
                run("iptables-legacy", "-w", "10", "-t", "nat", verb, line.split()[1])
    for address, length, label in addresses():
        if re.fullmatch("eth0:[0-8].*", label):
            run("ip", "addr", "del", f"{address}/{length}", "dev", "eth0")
    delete_table()


def scenario(thorough):
    one, two, three, four = NAMES
    steps = [
        Start(kernel_is_empty=True),
        Step("ip", "bind", one, "20.251.48.99"),
        Step("ip", "bind", two),
        Step("ip", "bind", two, "20.251.48.99", refused=True),
        Step("ip", "move", "20.251.48.99", two),
        Step("forward", "add", "20.251.48.105:80/tcp", f"{one}:8000", "--source"),
        Step("vm", "add", three, "--mac", MAC[three], "--ip", IP[three]),
        Step("ip", "bind", three, "20.251.48.102"),
        Lease(),
        Step("vm", "isolate", one, "--allow", "192.168.6.200"),
        Start(kernel_is_empty=False),
        Start(kernel_is_empty=True),
        # vm-001 has another address, vm-003 and its public one go, vm-004 comes
        Reload(line_of(one, "192.168.6.99"), line_of(two), line_of(four)),
        Step("vm", "rejoin", one),
        Step("vm", "del", two),
        Step("forward", "del", "20.251.48.105:80/tcp"),
        Reload(line_of(one), line_of(two)),
        Step("ip", "bind", one, "20.251.48.110"),
        Step("ip", "unbind", "20.251.48.110"),
        Lease(),
        Stop(),
    ]
    return steps + [LeaseWritten()] if thorough else steps


def isolation_underway(old, new):
    """The file of isolation while a change goes on: as it is wanted, but for what is found out by
    looking at ports and written before the answer; what they let pass before is kept until then."""
    old, new = [(text or "").splitlines() for text in (old, new)]
    return sorted({line for line in new if not line.startswith(("seen ", "mask "))} |
                  {line for line in old if line.startswith("mask ") or
                   line.startswith("seen ") and line in new})


# ---- the undisturbed run

class Reference:
    """A step with what was before and after it, and at rest between, and how many calls it made."""

    def __init__(self, step, number):
        self.step, self.saved = step, f"{T}/saved-{number}"

    def save(self):
        shutil.copytree(STATE, self.saved)
        shutil.copy2(PLAN, self.saved + "/plan")

    def bring_back(self):
        shutil.rmtree(STATE)
        shutil.copytree(self.saved, STATE)
        give_to_owner(STATE, *(entry.path for entry in os.scandir(STATE)))
        shutil.move(STATE + "/plan", PLAN)
        # without its file, who is isolated in the kernel stays so; and only the file knows what the
        # port let pass before
        if not self.before["isolated"]:
            delete_table()
        with open(FWD_MASK, "w", encoding="ascii") as file:
            file.write(self.before["link-local"])


def rehearse(world, steps, foreign):
    """The references of the steps; what is wrong with them."""
    problems, references = [], []
    # the bridge learns where the guest is, once for all runs
    world.guest.send(DISCOVER)
    world.start()
    for number, step in enumerate(steps):
        reference = Reference(step, number)
        world.at_rest()
        reference.before = everything()
        reference.save()
        step.prepare(world)
        reference.nat = [nat_rules()]
        begun = 0 if step.starts else world.shared.count
        told = step.act(world) if not step.starts else world.start()
        world.at_rest()
        # in one commit
        reference.nat.append(nat_rules())
        reference.calls = world.shared.count - begun
        # a stop that gives back what ports let pass forgets it, until the start that follows
        reference.rest = files()
        if not world.alive():
            world.start()
        reference.after = everything()
        if bool(told) == step.refused and not isinstance(step, Stop):
            problems.append(f"{step.name}: told {told}")
        problems += [f"after {step.name}: {p}" for p in kernel_problems(foreign)]
        references.append(reference)
    return references, problems


# ---- the points

class Torture:
    def __init__(self, world, references):
        self.world, self.references = world, references
        self.wrong = collections.defaultdict(list)
        self.names = collections.Counter()
        self.killed = self.late = self.answered = self.in_restart = 0
        self.is_at = None  # what is known to be there, from the look after the last restart

    def look_at_remains(self, when, reference):
        """What is there between kill and restart: each thing whole, none of it bare."""
        old, new = reference.before, reference.after
        self.wrong["bare"] += [f"{when}: {a}" for a in exposed()]
        for name, text in files().items():
            if text in (old[name], new[name], reference.rest[name]):
                continue
            if name != "isolated" or not text or not text.endswith("\n") or \
                    sorted(text.splitlines()) != isolation_underway(old[name], new[name]):
                self.wrong["half"].append(f"{when}: {name}: {text!r}")
        if nat_rules() not in reference.nat:
            self.wrong["half"].append(f"{when}: nat: {nat_rules()}")

    def judge(self, when, reference, told):
        """After the restart."""
        now = everything()
        allowed = [reference.after] if told or reference.step.after_only else \
            [reference.before] if told is False else [reference.before, reference.after]
        if now not in allowed:
            self.wrong["lost"].append(f"{when}: told {told}:")
            for one in allowed:
                self.wrong["lost"] += ["  " + p[:160] for p in differences(one, now)] + ["or:"]
        status = ask("status")["result"]
        if status["nat"]["repaired"] or not status["nat"]["in_sync"] or status["plan"]["error"]:
            self.wrong["status"].append(f"{when}: {status}")
        self.wrong["status"] += [f"{when}: {name}" for name in os.listdir(STATE)
                                 if "damaged" in name]
        for line in (text_of(STATE + "/leases") or "").splitlines():
            if not re.match(r"\d+ [0-9a-f:]{17} [0-9.]+ vm-\d+ \*", line):
                self.wrong["half"].append(f"{when}: leases: {line!r}")
        self.is_at = now

    def restart(self, when, kill_at=0):
        """kill_at: it is killed again on the way, before it is started once more."""
        if kill_at and not self.world.start(kill_at):
            self.in_restart += 1
            self.wrong["bare"] += [f"{when}: {a}" for a in exposed()]
        self.world.kill()
        if not self.world.start():
            self.world.kill()
            self.wrong["restart"].append(f"{when}: it does not start again: " +
                                         (text_of(T + "/daemon.err") or "")[-400:])
            return False
        return True

    def point(self, reference, number, kill_at=0):
        """False: there is no going on."""
        world, step = self.world, reference.step
        if self.is_at != reference.before or not world.alive():
            world.kill()
            reference.bring_back()
            if not self.restart(f"before {step.name}"):
                return False
            world.at_rest()
        step.prepare(world)
        if step.starts:
            told = world.start(number) or None
        else:
            world.shared.arm(number)
            told = step.act(world)
        world.at_rest()
        self.killed += not world.alive()
        # a call that did not come this time: killed at rest, then
        self.late += world.alive()
        self.answered += told is not None
        world.kill()
        name = world.shared.name or "at rest"
        self.names[name] += 1
        when = f"{step.name}, call {number} ({name})" + (f", restart {kill_at}" if kill_at else "")
        self.look_at_remains(when, reference)
        if not self.restart(when, kill_at):
            return False
        self.judge(when, reference, told)
        return True

    def run(self, points):
        return all(self.point(*one) for one in points)


def choose(references, wanted):
    """`wanted` points, evenly over all; or all, and a kill in the restart after each third."""
    every = [(reference, number) for reference in references
             for number in range(1, reference.calls + 1)]
    if wanted:
        return [every[i * len(every) // wanted] for i in range(wanted)], len(every)
    starts = max(reference.calls for reference in references if reference.step.starts)
    again = [(*one, 1 + n * 7 % starts) for n, one in enumerate(every) if n % 3 == 0]
    return every + again, len(every)


def main(wanted, stepper):
    foreign = [line for line in rules() if line.startswith("-A ") and "EIPD-" not in line]
    world = World(stepper)
    with open("/sys/class/net/br0/address", encoding="ascii") as file:
        world.guest = Guest("guest1", MAC["vm-001"], "192.168.6.22", file.read().strip())
    write_plan(line_of("vm-001"), line_of("vm-002"))
    try:
        references, problems = rehearse(world, scenario(not wanted), foreign)
        point(not problems, "the scenario goes through undisturbed", problems)
        points, every = choose(references, wanted)
        torture, world.patience = Torture(world, references), 0.1
        began = time.monotonic()
        complete = torture.run(points)
        took = time.monotonic() - began
    finally:
        world.kill()
    print(f"{len(points)} kill points ({every} calls of {len(references)} steps), "
          f"{torture.killed} killed at their call, {torture.late} at rest behind it, "
          f"{torture.in_restart} once more in the restart; {torture.answered} times the client had "
          f"its answer; {took:.0f} s")
    print("calls: " + json.dumps(dict(torture.names.most_common())))
    point(complete and torture.killed > len(points) * 0.8, f"{len(points)} kills, each survived",
          torture.wrong["restart"])
    for key, sentence in (
            ("lost", "kernel, files and lists are as before or after, and as the client was told"),
            ("half", "no file and no table is ever changed by half"),
            ("bare", "no address is ever on the card without its rules"),
            ("status", "after the restart all is in order, nothing is taken for others' doing")):
        point(not torture.wrong[key], sentence, torture.wrong[key])
    print("done")


main(int(sys.argv[1]), sys.argv[2])
