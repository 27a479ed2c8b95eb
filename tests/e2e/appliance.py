#!/usr/bin/python3
"""eipd as storm.py, torture.py and soak.py see it: starts and kills it, asks it, and compares what
it says with what the kernel has. They run in the hypervisor's namespace, and print points for lib.sh.

The environment has EIPD, EIPCTL, CONF, SOCKET, STATE, PLAN and T.
"""
import collections
import json
import os
import re
import socket
import subprocess
import sys
import time

EIPD, EIPCTL, CONF = os.environ["EIPD"], os.environ["EIPCTL"], os.environ["CONF"]
SOCKET, STATE, PLAN, T = (os.environ[key] for key in ("SOCKET", "STATE", "PLAN", "T"))
FOREIGN_ADDRESSES = [("20.251.48.10", "eth0"), ("20.251.48.200", "eth0:9")]
PATIENCE = 60 # seconds; a busy machine may need many


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=60).stdout


def eipctl(*words):
    return json.loads(run(EIPCTL, "-s", SOCKET, "-j", *words))


def rules():
    return run("iptables-legacy", "-w", "20", "-t", "nat", "-S").splitlines()


def addresses():
    links = json.loads(run("ip", "-j", "-4", "addr", "show", "dev", "eth0"))
    return [(a["local"], a["prefixlen"], a["label"]) for a in links[0]["addr_info"]]


def point(good, sentence, problems=()):
    print("ok -" if good else "not ok -", sentence)
    for line in "\n".join(problems).splitlines()[:40]:
        print("#", line)
    sys.stdout.flush()


# ---- the daemon

class Daemon:
    process = None

    def launch(self, *before):
        """`before`: words of the command line that stand before eipd's."""
        # not detached: a kill then needs no pid file, which may not be there yet
        with open(T + "/daemon.err", "a", encoding="utf8") as err:
            self.process = subprocess.Popen([*before, EIPD, "-f", "-c", CONF], stdout=err,
                                            stderr=err, stdin=subprocess.DEVNULL)

    def start(self, *before):
        self.launch(*before)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if ask("status")["ok"]:
                    return True
            except (OSError, EOFError):
                time.sleep(0.005)
        return False

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


def ask(*words):
    """The daemon's answer; EOFError or OSError where there was none."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(PATIENCE)
        s.connect(SOCKET)
        s.sendall(json.dumps({"command": words}).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            data = s.recv(65536)
            if not data:
                raise EOFError
            answer += data
    return json.loads(answer)


# ---- what the kernel must have

def compare(wanted, got, what):
    """Doubled is as wrong as missing."""
    wanted, got = collections.Counter(wanted), collections.Counter(got)
    return [f"{what}: missing: {one}" for one in (wanted - got).elements()] + \
           [f"{what}: too many: {one}" for one in (got - wanted).elements()]


def kernel_problems(foreign):
    """Kernel against ip list, vm list and forward list."""
    vms = {vm["name"]: vm for vm in eipctl("vm", "list")}
    ips = {one["address"]: one for one in eipctl("ip", "list")}
    bound = {a: one["vm"] for a, one in ips.items() if one["vm"]}
    forwards = eipctl("forward", "list")
    shared_addresses = {f["address"] for f in forwards}
    forwards = [f for f in forwards if not vms[f["vm"]]["isolated"]]
    # nobody reaches an isolated one by its addresses
    cut_off = {a for a, vm in bound.items() if vms[vm]["isolated"]} | \
        shared_addresses - {f["address"] for f in forwards}
    dnat, snat, problems = [], {}, []
    for address, vm in bound.items():
        if address in cut_off:
            continue
        dnat.append(f"-d {address}/32 -j DNAT --to-destination {vms[vm]['ip']}")
    for f in forwards:
        ports = str(f["port"]) if f["last"] == f["port"] else f"{f['port']}:{f['last']}"
        dnat.append(f"-d {f['address']}/32 -p {f['protocol']} -m {f['protocol']} --dport {ports} "
                    f"-j DNAT --to-destination {vms[f['vm']]['ip']}"
                    + (f":{f['to']}" if f["to"] != f["port"] else ""))
    for vm in vms.values():
        own = [a for a in vm["public"] if bound.get(a) == vm["name"]]
        shared = [f["address"] for f in forwards if f["vm"] == vm["name"] and f["source"]]
        if (own or shared) and not vm["isolated"]:
            snat[vm["ip"]] = own[:1] or shared
        problems += compare([a for a, name in bound.items() if name == vm["name"]], own,
                            f"public addresses of {vm['name']}")

    lines, ours, others = rules(), [], []
    for line in lines:
        if not line.startswith("-A "):
            continue
        (ours if "EIPD-" in line else others).append(line)
    jumps = [line for line in ours if re.match(r"-A [A-Z]+ ", line)]
    problems += compare([f"-A {c} -j EIPD-{c}" for c in ("PREROUTING", "OUTPUT", "POSTROUTING")],
                        jumps, "jumps")
    problems += compare(foreign, others, "rules of others")
    leaves = [line.split(" ", 2)[2] for line in ours if line not in jumps]
    problems += compare(dnat * 2, [leaf for leaf in leaves if "-j DNAT" in leaf], "DNAT rules")
    seen = []
    for leaf in leaves:
        if "-j DNAT" in leaf or re.search(r"-j EIPD-", leaf):
            continue
        m = re.match(r"-s (\S+)/(\d+) -o (eth0|br0)( -m conntrack --ctstate DNAT)? -j SNAT "
                     r"--to-source (\S+)$", leaf)
        if not m:
            problems.append("not a rule of ours: " + leaf)
        elif m[2] == "32" and m[5] not in snat.get(m[1], []):
            problems.append(f"SNAT of {m[1]}: {leaf}; wanted {snat.get(m[1])}")
        elif m[2] == "32" and m[3] == "eth0":
            seen.append(m[1])
    problems += compare(list(snat), seen, "SNAT rules")
    problems += [f"twice: {line}" for line, n in collections.Counter(lines).items()
                 if n > 1 and line not in foreign]

    wanted = [(a, 32, one["label"]) for a, one in ips.items()
              if one["state"] == "bound" and a not in cut_off]
    problems += compare(wanted, [a for a in addresses() if (a[0], a[2]) not in FOREIGN_ADDRESSES],
                        "addresses")
    problems += compare(FOREIGN_ADDRESSES, [(a[0], a[2]) for a in addresses()
                                            if (a[0], a[2]) in FOREIGN_ADDRESSES],
                        "addresses of others")
    problems += compare(shared_addresses,
                        [a for a, one in ips.items() if one["state"] == "bound" and not one["vm"]],
                        "shared addresses")
    with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as file:
        if file.read() != "1\n":
            problems.append("packets are not forwarded")
    return problems


def exposed():
    """Addresses of ours that no rule stands before: the host's own services would answer."""
    named = set(re.findall(r"^-A EIPD-PREROUTING -d (\S+)/32 ", "\n".join(rules()), re.M))
    return [a for a, _, label in addresses()
            if (a, label) not in FOREIGN_ADDRESSES and a not in named]
