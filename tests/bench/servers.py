"""The DHCP servers of the benchmark, each a row: how its plan is written, how it is started, how
it takes over a changed plan. All of them get the same plan, one hour of lease, and no log line an
exchange where they can be told so.
"""
import json
import os
import shutil
import signal

from stage import BRIDGE, BUILD, TOOLS, run

POOL = "20.252.0.0/17"


class Vm:
    """Number N of every plan; load.c and perfdhcp know these MACs."""

    def __init__(self, number):
        self.mac = f"02:00:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        self.name = f"vm-{number:06d}"
        self.ip = f"10.{16 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"


def plan_of(count, changed=(), to=96):
    """`changed`: numbers that have another address than usual; which, says `to`."""
    vms = [Vm(number) for number in range(count)]
    for number in changed:
        vms[number].ip = f"10.{to + number // 62500}.{number // 250 % 250}.{1 + number % 250}"
    return vms


def find(program):
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    return shutil.which(program, path=path)


class Server:
    """What they have in common."""
    program = None
    package = None
    restarts = False  # takes a plan over by being started anew
    sections = None   # where it is measured; None: everywhere
    env = {}

    def __init__(self, name):
        self.name = name

    def path(self):
        """Of the program; None: it is not here."""
        return find(self.program)

    def copy(self, stage):
        """The program under another name, which AppArmor lets read our files."""
        if not os.path.exists(stage.path(self.program)):
            shutil.copy(self.path(), stage.path(self.program))
        return stage.path(self.program)

    def version(self):
        return ""

    def write_plan(self, stage, vms):
        raise NotImplementedError

    def command(self, stage, for_relay):
        """That starts it in the foreground."""
        raise NotImplementedError

    def start(self, stage, vms, for_relay=False):
        self.write_plan(stage, vms)
        return self.launch(stage, for_relay)

    def launch(self, stage, for_relay=False):
        """With the plan that is written."""
        return stage.start(["env", *self.environment(stage), *self.command(stage, for_relay)])

    def environment(self, stage):
        return [f"{key}={value.format(stage=stage.directory)}" for key, value in self.env.items()]

    def reload(self, stage):
        """Has the plan that is written taken over; does not wait for it."""
        if not self.restarts:
            stage.server.send(signal.SIGHUP)
            return
        stage.server.stop()
        self.launch(stage)


class Eipd(Server):
    keys = {
        "daemon": {"state-dir": "{stage}/state", "run-dir": "{stage}/run",
                   "log": "{stage}/eipd.log"},
        "inner": {"bridge": "br0"},
        "outer": {"interface": "eth0", "pool": POOL, "probe": "no"},
        "plan": {"file": "{stage}/network.conf"},
        "dhcp": {"log": "{stage}/lease.log"},
        "nat": {"auto-bind": "no"},
    }

    def __init__(self, name, path):
        super().__init__(name)
        self.file = path

    def path(self):
        return self.file if os.path.exists(self.file) else None

    def version(self):
        return run(self.file, "-V").strip()

    def write_plan(self, stage, vms):
        stage.write("network.conf", "".join(f"{vm.mac},{vm.name},{vm.ip}\n" for vm in vms))

    def write_conf(self, stage, **nat):
        text = ""
        for section, keys in self.keys.items():
            keys = {**keys, **(nat if section == "nat" else {})}
            text += f"[{section}]\n" + "".join(
                f"{key} = {value.format(stage=stage.directory)}\n" for key, value in keys.items())
        return stage.write("eipd.conf", text)

    def command(self, stage, for_relay):
        return [self.file, "-f", "-c", self.write_conf(stage)]


class Dnsmasq(Server):
    program = "dnsmasq"

    def __init__(self, name, lease_file):
        super().__init__(name)
        self.lease_file = lease_file
        if lease_file:
            # a variant that differs only where leases are given
            self.sections = ("dhcp", "storm")

    def version(self):
        return run(self.path(), "--version").splitlines()[0].split("  ")[0]

    def write_plan(self, stage, vms):
        stage.write("hosts", "".join(f"{vm.mac},{vm.name},{vm.ip}\n" for vm in vms))

    def command(self, stage, for_relay):
        leases = f"--dhcp-leasefile={stage.path('leases')}" if self.lease_file \
            else "--leasefile-ro"
        return [self.path(), "--keep-in-foreground", "--conf-file=/dev/null", "--port=0",
                "--user=root", "--group=root", "--interface=br0", "--bind-interfaces", "--no-ping",
                "--dhcp-range=10.0.0.0,static,255.0.0.0,1h", "--dhcp-authoritative",
                f"--dhcp-hostsfile={stage.path('hosts')}", "--dhcp-lease-max=1000000",
                "--quiet-dhcp", f"--pid-file={stage.path('pid')}",
                f"--log-facility={stage.path('log')}", leases]


class Udhcpd(Server):
    program = "udhcpd"
    restarts = True

    def version(self):
        return run("busybox").splitlines()[0].split(" (")[0]

    def write_plan(self, stage, vms):
        stage.write("udhcpd.conf", f"""
start 10.254.0.1
end 10.254.0.200
max_leases 200
interface br0
lease_file {stage.path('leases')}
pidfile {stage.path('pid')}
option subnet 255.0.0.0
option router {BRIDGE}
option lease 3600
""" + "".join(f"static_lease {vm.mac} {vm.ip}\n" for vm in vms))
        stage.write("leases", "")

    def command(self, stage, for_relay):
        return [self.path(), "-f", stage.path("udhcpd.conf")]


class Dhcpd(Server):
    program = "dhcpd"
    restarts = True

    def version(self):
        return "ISC dhcpd " + run("sh", "-c", f"{self.path()} --version 2>&1").strip() \
            .removeprefix("isc-dhcpd-")

    def write_plan(self, stage, vms):
        stage.write("dhcpd.conf", f"""
authoritative;
ddns-update-style none;
default-lease-time 3600;
max-lease-time 3600;
subnet 10.0.0.0 netmask 255.0.0.0 {{ option routers {BRIDGE}; }}
""" + "".join(f"host {vm.name} {{ hardware ethernet {vm.mac}; fixed-address {vm.ip}; }}\n"
              for vm in vms))
        stage.write("leases", "")

    def command(self, stage, for_relay):
        return [self.copy(stage), "-4", "-f", "-q", "-cf", stage.path("dhcpd.conf"), "-lf",
                stage.path("leases"), "-pf", stage.path("pid"), "br0"]


class Kea(Server):
    program = "kea-dhcp4"
    env = {"KEA_PIDFILE_DIR": "{stage}", "KEA_LOCKFILE_DIR": "{stage}"}

    def version(self):
        return "Kea " + run(self.path(), "-v").strip()

    def write_plan(self, stage, vms):
        stage.write("reservations.json", json.dumps(
            [{"hw-address": vm.mac, "ip-address": vm.ip, "hostname": vm.name} for vm in vms]))

    def command(self, stage, for_relay):
        reservations = stage.path("reservations.json")
        # by a raw socket it would answer the client behind the relay, not the relay
        kind = "udp" if for_relay else "raw"
        stage.write("kea.json", f"""{{ "Dhcp4": {{
"interfaces-config": {{ "interfaces": [ "br0" ], "dhcp-socket-type": "{kind}" }},
"lease-database": {{ "type": "memfile", "persist": true, "name": "{stage.path('leases.csv')}",
                    "lfc-interval": 0 }},
"valid-lifetime": 3600, "authoritative": true, "host-reservation-identifiers": [ "hw-address" ],
"subnet4": [ {{ "id": 1, "subnet": "10.0.0.0/8",
    "option-data": [ {{ "name": "routers", "data": "{BRIDGE}" }} ],
    "reservations": <?include "{reservations}"?> }} ],
"loggers": [ {{ "name": "kea-dhcp4", "severity": "WARN",
               "output_options": [ {{ "output": "stderr" }} ] }} ]
}} }}
""")
        return [self.copy(stage), "-c", stage.path("kea.json")]


class Reflector(Server):
    restarts = True

    def path(self):
        return f"{TOOLS}/reflector"

    def write_plan(self, stage, vms):
        pass

    def command(self, stage, for_relay):
        return [self.path(), "br0", BRIDGE]


REFLECTOR = Reflector("bare reflector")
EIPD = Eipd("eipd", f"{BUILD}/eipd")
SERVERS = [
    EIPD,
    Eipd("eipd, static", f"{BUILD}/static/eipd"),
    Dnsmasq("dnsmasq, no lease file", lease_file=False),
    Dnsmasq("dnsmasq, lease file", lease_file=True),
    Udhcpd("busybox udhcpd"),
    Dhcpd("ISC dhcpd"),
    Kea("Kea"),
]


def present(section=None):
    return [server for server in SERVERS
            if server.path() and (not server.sections or section in server.sections)]


def missing():
    return [server for server in SERVERS if not server.path()]


def keep_only(names):
    """Of the servers, ours and those that one of the names is a part of."""
    SERVERS[:] = [server for server in SERVERS
                  if server is EIPD or any(name in server.name for name in names)]
