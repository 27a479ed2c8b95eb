#!/usr/bin/python3
"""Frames of every kind, sent raw from any corner of the stage, and where they come out.

    frames.py table WORLD LABEL <ROWS      a point for each row, then `done`
    frames.py stream WORLD PER-SECOND <ROWS  sends the rows over and over until SIGTERM, then prints
                                           how many were sent and which of them arrived where
    frames.py ping WORLD CALLER>ADDRESS…   ten pings a second each until SIGTERM, then prints for
                                           each how many were sent and how many are lost
    frames.py hex WORLD FROM KIND TO       prints a frame

WORLD is a file of corners: `NAME SEGMENT NAMESPACE INTERFACE MAC IP`, the segment inner or outer
(`-` for what a corner does not have: one without a namespace only lends its addresses). The corner
`host` is the host's bridge, `door` its side to the outer network: by these two goes what is meant
for the other segment.

A row of `table` is `FROM KINDS TO | EXPECTED`, one of `stream` is without the last part; kinds and
targets are lists with commas. A kind may be changed: icmp/mac=lan has the source MAC of the corner
lan, /ip=lan its source IP, /sha=lan its MAC as the ARP sender only, /to=lan its MAC as destination.

Expected are names: it arrives there (and perhaps elsewhere, as a bridge may flood), `only` and
names: there, and nowhere else, `never` and names: not there, or `nobody`. For a name may stand
`target`. What arrives is what a packet socket at the far end of the wire sees, at the host what
its bridge hands up to it; corners on one interface are one place, known by the first name. The
sender is a place too, for answers of the DHCP server.
"""
import ctypes
import os
import select
import signal
import socket
import struct
import sys
import time

from matrix import checksum, echo_request, enter

LOOK = 0.05      # seconds of one look for what has come
SETTLE = 5       # if so many looks find nothing, nothing more will come
PATIENCE = 20.0  # seconds for what is to come
BROADCAST = b"\xff" * 6
MARK = os.urandom(4)  # begins the token of each frame of this process
OUTGOING = 4  # PACKET_OUTGOING
ETH_ALL = 3
# what the host may take from a port, past the bridge: IPv4, ARP, IPv6, LLDP, 802.1X, LACP
ETH_OF_PORTS = (0x0800, 0x0806, 0x86dd, 0x88cc, 0x888e, 0x8809)
stopped = False


class Corner:
    def __init__(self, name, segment, namespace, interface, mac, ip):
        self.name, self.segment, self.interface = name, segment, interface
        self.namespace = None if namespace == "-" else namespace
        self.mac = None if mac == "-" else bytes.fromhex(mac.replace(":", ""))
        self.ip = socket.inet_aton(ip) if ip != "-" else None
        if self.mac:
            self.ip6 = (b"\xfe\x80" + bytes(6) + bytes([self.mac[0] ^ 2]) + self.mac[1:3]
                        + b"\xff\xfe" + self.mac[3:])


class World:
    def __init__(self, path):
        self.corners = {}
        self.sockets = {}
        with open(path, encoding="ascii") as file:
            for line in file:
                corner = Corner(*line.split())
                self.corners[corner.name] = corner
        self.place_of = {}  # (namespace, interface): the first name
        for corner in self.corners.values():
            if corner.namespace:
                self.place_of.setdefault((corner.namespace, corner.interface), corner.name)

    def place(self, corner):
        return self.place_of[corner.namespace, corner.interface]

    def open(self, corner, protocol=0):
        enter(corner.namespace)
        # of one kind: those of all interfaces, once no bridge has taken them
        of_kind = socket.htons(protocol) if protocol in ETH_OF_PORTS else 0
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, of_kind)
        made.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        if not of_kind:
            made.bind((corner.interface, protocol))
        if protocol == ETH_ALL and corner.name != "host":
            index = socket.if_nametoindex(corner.interface)
            made.setsockopt(263, 1, struct.pack("iHH8s", index, 1, 0, b""))  # promiscuous
        made.setblocking(False)
        return made

    def send(self, corner, frame):
        """Whether it could be sent: the interface may be gone and come back."""
        key = corner.namespace, corner.interface
        try:
            if key not in self.sockets:
                self.sockets[key] = self.open(corner)
            self.sockets[key].send(frame)
            return True
        except OSError:
            gone = self.sockets.pop(key, None)
            if gone:
                gone.close()
            return False


# ---- what frames are made of

def ethernet(p, kind, payload, to=None):
    return (p.to or to or p.hop) + p.mac + struct.pack("!H", kind) + payload


def ipv4(p, protocol, payload, source=None, target=None):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), p.number & 0xffff, 0, 64,
                       protocol, 0, source or p.ip, target or p.target.ip)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def summed(source, target, protocol, segment, at):
    """The segment with its checksum, which covers the addresses too."""
    pseudo = source + target + struct.pack("!BBH", 0, protocol, len(segment))
    if len(source) == 16:
        pseudo = source + target + struct.pack("!IHBB", len(segment), 0, 0, protocol)
    text = pseudo + segment + b"\0" * (len(segment) % 2)
    return segment[:at] + struct.pack("!H", checksum(text)) + segment[at + 2:]


def udp(p, sport, dport, payload, source=None, target=None):
    segment = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    source, target = source or p.ip, target or p.target.ip
    return ipv4(p, 17, summed(source, target, 17, segment, 6), source, target)


def tcp(p):
    segment = struct.pack("!HHIIBBHHH", p.port, 8000, p.number, 0, 0x50, 2, 8192, 0, 0) + p.token
    return ipv4(p, 6, summed(p.ip, p.target.ip, 6, segment, 16))


def icmp(p):
    return ipv4(p, 1, echo_request(p.number & 0xffff, p.token))


def arp(p, operation, sender_ip, target_mac, target_ip):
    # the token is in the padding
    return (struct.pack("!HHBBH", 1, 0x800, 6, 4, operation) + (p.sha or p.mac) + sender_ip
            + target_mac + target_ip + p.token).ljust(46, b"\0")


def icmp6(p, kind, body, target, ours=None):
    source = ours or p.ip6
    message = summed(source, target, 58, struct.pack("!BBH", kind, 0, 0) + body, 2)
    return struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + source + target + message


def token_option(p):
    return b"\xfd\x02" + p.token.ljust(14, b"\0")  # experimental, two units of eight octets


def solicitation(p):
    group = bytes.fromhex("ff0200000000000000000001ff") + p.target.ip6[13:]
    message = icmp6(p, 135, bytes(4) + p.target.ip6 + b"\x01\x01" + p.mac + token_option(p), group)
    return ethernet(p, 0x86dd, message, b"\x33\x33" + group[12:])


def advertisement(p):
    """Of the address of /ip=, at the sender's MAC."""
    message = icmp6(p, 136, b"\x20\0\0\0" + p.claimed.ip6 + b"\x02\x01" + p.mac + token_option(p),
                    p.target.ip6, p.claimed.ip6)
    return ethernet(p, 0x86dd, message)


def router_advertisement(p):
    nodes = bytes.fromhex("ff020000000000000000000000000001")
    return ethernet(p, 0x86dd, icmp6(p, 134, struct.pack("!BBHII", 64, 0, 1800, 0, 0)
                                     + token_option(p), nodes), b"\x33\x33\0\0\0\1")


def bootp(p, operation, message, ciaddr=bytes(4), yiaddr=bytes(4), options=b""):
    # The client identifier has the token; our server returns it.
    chaddr = p.source.mac if operation == 1 else p.target.mac
    return (struct.pack("!BBBBIHH4s4s8s6s202s4s", operation, 1, 6, 0, p.number, 0, 0, ciaddr,
                        yiaddr, b"", chaddr, b"", bytes.fromhex("63825363"))
            + bytes([53, 1, message, 61, 9, 255]) + p.token + options + b"\xff").ljust(300, b"\0")


def dhcp(p, message, ciaddr=bytes(4), options=b"", unicast=False):
    payload = bootp(p, 1, message, ciaddr=ciaddr, options=options)
    if unicast:
        return ethernet(p, 0x800, udp(p, 68, 67, payload))
    source = p.ip if p.claimed is not p.source else ciaddr
    return ethernet(p, 0x800, udp(p, 68, 67, payload, source, BROADCAST[:4]), BROADCAST)


def offer(p, to):
    options = bytes.fromhex("3604") + p.ip + bytes.fromhex("330400000e100304") + p.ip
    payload = bootp(p, 2, 2, yiaddr=socket.inet_aton("192.168.6.77"), options=options)
    return ethernet(p, 0x800, udp(p, 67, 68, payload, target=BROADCAST[:4]), to)


def requested(p):
    return b"\x32\x04" + p.source.ip + b"\x36\x04" + p.target.ip


KINDS = {
    "icmp": lambda p: ethernet(p, 0x800, icmp(p)),
    "tcp": lambda p: ethernet(p, 0x800, tcp(p)),
    "udp": lambda p: ethernet(p, 0x800, udp(p, p.port, 8000, p.token)),
    "udp-all": lambda p: ethernet(p, 0x800, udp(p, p.port, 8000, p.token,
                                                target=BROADCAST[:4]), BROADCAST),
    # what only looks like DHCP: the ports are right, the server is another
    "udp-68-67": lambda p: ethernet(p, 0x800, udp(p, 68, 67, p.token)),
    "icmp-from-0": lambda p: ethernet(p, 0x800, ipv4(p, 1, echo_request(p.number & 0xffff, p.token),
                                                     bytes(4))),
    "arp": lambda p: ethernet(p, 0x806, arp(p, 1, p.ip, bytes(6), p.target.ip), BROADCAST),
    "arp-unicast": lambda p: ethernet(p, 0x806, arp(p, 1, p.ip, bytes(6), p.target.ip)),
    "arp-probe": lambda p: ethernet(p, 0x806, arp(p, 1, bytes(4), bytes(6), p.target.ip),
                                    BROADCAST),
    "arp-announce": lambda p: ethernet(p, 0x806, arp(p, 1, p.ip, bytes(6), p.ip), BROADCAST),
    "arp-reply": lambda p: ethernet(p, 0x806, arp(p, 2, p.ip, p.target.mac, p.target.ip)),
    "arp-reply-all": lambda p: ethernet(p, 0x806, arp(p, 2, p.ip, BROADCAST, p.ip), BROADCAST),
    "rarp": lambda p: ethernet(p, 0x8035, arp(p, 3, p.ip, p.mac, p.target.ip), BROADCAST),
    "ping6": lambda p: ethernet(p, 0x86dd, icmp6(p, 128, struct.pack("!HH", 1, p.number & 0xffff)
                                                 + p.token, p.target.ip6)),
    "ns6": solicitation,
    "na6": advertisement,
    "ra6": router_advertisement,
    "raw": lambda p: ethernet(p, 0x88b5, p.token.ljust(46, b"\0")),
    "raw-all": lambda p: ethernet(p, 0x88b5, p.token.ljust(46, b"\0"), BROADCAST),
    # IEEE 802.2: a length where the type would be
    "llc": lambda p: ethernet(p, 46, (b"\xaa\xaa\x03\0\0\0\x88\xb5" + p.token).ljust(46, b"\0")),
    "bpdu": lambda p: ethernet(p, 46, (b"\x42\x42\x03" + bytes(35) + p.token).ljust(46, b"\0"),
                               bytes.fromhex("0180c2000000")),
    "lldp": lambda p: ethernet(p, 0x88cc, p.token.ljust(46, b"\0"), bytes.fromhex("0180c200000e")),
    "eapol": lambda p: ethernet(p, 0x888e, p.token.ljust(46, b"\0"), bytes.fromhex("0180c2000003")),
    "lacp": lambda p: ethernet(p, 0x8809, p.token.ljust(46, b"\0"), bytes.fromhex("0180c2000002")),
    "vlan": lambda p: ethernet(p, 0x8100, b"\0\x0a\x08\0" + icmp(p)),
    # identifier 0 is a priority tag: hosts take it as if there were none
    "vlan0": lambda p: ethernet(p, 0x8100, b"\xe0\0\x08\0" + icmp(p)),
    "vlan-arp": lambda p: ethernet(p, 0x8100, b"\0\0\x08\x06" + arp(p, 1, p.ip, bytes(6),
                                                                   p.target.ip), BROADCAST),
    "qinq": lambda p: ethernet(p, 0x88a8, b"\0\x0a\x81\0\0\x0b\x08\0" + icmp(p)),
    "pppoe": lambda p: ethernet(p, 0x8864, struct.pack("!BBHHH", 0x11, 0, 1, len(icmp(p)) + 2, 0x21)
                                + icmp(p)),
    "discover": lambda p: dhcp(p, 1),
    "request": lambda p: dhcp(p, 3, options=requested(p)),
    "renew": lambda p: dhcp(p, 3, ciaddr=p.source.ip, unicast=True),
    "rebind": lambda p: dhcp(p, 3, ciaddr=p.source.ip),
    "offer": lambda p: offer(p, None),
    "offer-all": lambda p: offer(p, BROADCAST),
}


class Probe:
    """One frame: who sends what to whom."""
    count = 0

    def __init__(self, world, source, kind, target):
        Probe.count += 1
        self.number = Probe.count
        self.token = MARK + struct.pack("!I", self.number)
        self.port = 20000 + (self.number + os.getpid()) % 40000
        self.source, self.target = world.corners[source], world.corners[target]
        self.text = f"{source} {kind} to {target}"
        kind, *changes = kind.split("/")
        change = {key: world.corners[name] for key, name in (c.split("=") for c in changes)}
        self.claimed = change.get("ip", self.source)
        self.mac = change.get("mac", self.source).mac
        self.ip, self.ip6 = self.claimed.ip, self.source.ip6
        self.sha = change["sha"].mac if "sha" in change else None
        self.to = change["to"].mac if "to" in change else None
        if self.source.segment == "outer":
            self.hop = world.corners["door"].mac
        else:
            inner = self.target.segment == "inner"
            self.hop = (self.target if inner else world.corners["host"]).mac
        self.frame = KINDS[kind](self)
        self.arrived = {}  # place: how often


def is_answer(data):
    """An echo reply, or an error that quotes what was sent."""
    kind = data[12:14]
    if kind == b"\x08\0" and data[23] == 1:
        return data[14 + (data[14] & 15) * 4] in (0, 3, 5, 11)
    return kind == b"\x86\xdd" and data[20] == 58 and data[54] in (1, 129)


def from_dhcp_server(data):
    return data[12:14] == b"\x08\0" and data[23] == 17 and data[34:36] == b"\0\x43"


class Watch:
    """Packet sockets at all places, and which probe came to which."""

    def __init__(self, world):
        self.poll = select.poll()
        self.places = {}
        self.world = world
        self.probes = {}
        self.host_mac = world.corners["host"].mac
        for (namespace, interface), name in world.place_of.items():
            corner = next(c for c in world.corners.values()
                          if (c.namespace, c.interface) == (namespace, interface))
            self.add(name, world.open(corner, ETH_ALL))
            if name == "host":
                for protocol in ETH_OF_PORTS:
                    self.add(name, world.open(corner, protocol))

    def add(self, name, made):
        self.places[made.fileno()] = name, made
        self.poll.register(made, select.POLLIN)

    def send(self, probe):
        self.probes[probe.number] = probe
        return self.world.send(probe.source, probe.frame)

    def take(self, seconds):
        """Whether anything of ours came within that time."""
        seen = False
        for descriptor, _ in self.poll.poll(seconds * 1000):
            name, made = self.places[descriptor]
            while True:
                try:
                    data, (_, _, direction, *_) = made.recvfrom(4096)
                except BlockingIOError:
                    break
                except OSError:  # the interface is gone
                    self.poll.unregister(made)
                    break
                at = data.find(MARK)
                if direction == OUTGOING or at < 0 or is_answer(data):
                    continue
                # the bridge may be promiscuous for another program's sake
                if name == "host" and not data[0] & 1 and data[:6] != self.host_mac:
                    continue
                probe = self.probes.get(int.from_bytes(data[at + 4:at + 8], "big"))
                if not probe or (name == self.world.place(probe.source)
                                 and not from_dhcp_server(data)):
                    continue
                probe.arrived[name] = probe.arrived.get(name, 0) + 1
                seen = True
        return seen

    def settle(self, is_complete=lambda: True):
        """Until all is there that must come, and then for a while, for what must not."""
        end, in_vain = time.monotonic() + PATIENCE, 0
        # not by the clock, which goes on while we wait for a processor
        while time.monotonic() < end and (in_vain < SETTLE or not is_complete()):
            in_vain = 0 if self.take(LOOK) else in_vain + 1


def rows():
    """(sources, kind, targets, expected) for each kind of each row of standard input."""
    for line in sys.stdin:
        line = line.split("#")[0]
        if not line.strip():
            continue
        left, _, expected = line.partition("|")
        sources, kinds, targets = left.split()
        for kind in kinds.split(","):
            yield sources.split(","), kind, targets.split(","), expected.split()


def combinations():
    """(source, kind, target) for each frame."""
    return [(source, kind, target) for sources, kind, targets, _ in rows()
            for source in sources for target in targets]


class Expectation:
    def __init__(self, words):
        self.word = words[0] if words[0] in ("nobody", "only", "never") else ""
        self.names = words[1:] if self.word else words

    def places(self, world, probe):
        return {world.place(probe.target) if name == "target" else name for name in self.names}

    def is_complete(self, world, probe):
        """What must arrive has."""
        return self.word == "never" or self.places(world, probe) <= set(probe.arrived)

    def is_met(self, world, probe):
        places, got = self.places(world, probe), set(probe.arrived)
        if self.word in ("nobody", "only"):
            return got == places
        return not got & places if self.word == "never" else got >= places


def table(world, label):
    watch = Watch(world)
    points = []
    for sources, kind, targets, expected in rows():
        probes = [Probe(world, source, kind, target) for source in sources for target in targets]
        text = f"{','.join(sources)} {kind} to {','.join(targets)}: {' '.join(expected)}"
        points.append((text, probes, Expectation(expected)))
        for probe in probes:
            if not watch.send(probe):
                probe.arrived["cannot be sent"] = 1
            watch.take(0)
    watch.settle(lambda: all(expected.is_complete(world, probe)
                             for _, probes, expected in points for probe in probes))
    for text, probes, expected in points:
        wrong = [probe for probe in probes if not expected.is_met(world, probe)]
        print(f"{'not ok' if wrong else 'ok'} - {label}: {text}")
        for probe in wrong:
            print(f"# {probe.text}: arrived at", " ".join(sorted(probe.arrived)) or "nobody")
    print("done")


def stream(world, per_second):
    """Row after row, each frame with a token of its own."""
    watch = Watch(world)
    frames = combinations()
    sent = 0
    came = {}
    print("ready", flush=True)
    start = time.monotonic()
    while not stopped:
        probe = Probe(world, *frames[sent % len(frames)])
        if watch.send(probe):
            probe.time = time.monotonic() - start
        sent += 1
        while (left := start + sent / int(per_second) - time.monotonic()) > 0:
            watch.take(left)
    watch.settle()
    for probe in watch.probes.values():
        for place in probe.arrived:
            first, _, number = came.get((probe.text, place), (probe.time, 0, 0))
            came[probe.text, place] = first, probe.time, number + 1
    print(f"sent {sent}")
    for (text, place), (first, last, number) in came.items():
        print(f"arrived {number}: {text}: at {place}, sent from {first:.3f} to {last:.3f} s")


class Ping:
    def __init__(self, world, number, text):
        caller, self.address = text.split(">")
        enter(world.corners[caller].namespace)
        self.text, self.number = text, number
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.socket.setblocking(False)
        self.unanswered = {}
        self.sent, self.longest = 0, 0.0

    def call(self):
        self.sent += 1
        token = MARK + struct.pack("!II", self.number, self.sent)
        self.unanswered[self.sent] = time.monotonic()
        try:
            self.socket.sendto(echo_request(self.sent & 0xffff, token), (self.address, 0))
        except OSError:
            pass  # it counts as lost

    def take(self):
        data = self.socket.recv(2048)
        message = data[(data[0] & 15) * 4:]
        if message[0] or message[8:12] != MARK:
            return
        number, sequence = struct.unpack("!II", message[12:20])
        if number == self.number and sequence in self.unanswered:
            took = time.monotonic() - self.unanswered.pop(sequence)
            self.longest = max(self.longest, took)


def ping(world, *texts):
    pings = [Ping(world, number, text) for number, text in enumerate(texts)]
    poll = select.poll()
    by_socket = {p.socket.fileno(): p for p in pings}
    for one in pings:
        poll.register(one.socket, select.POLLIN)
    print("ready", flush=True)
    due = time.monotonic()
    end = None
    while end is None or (time.monotonic() < end and any(p.unanswered for p in pings)):
        now = time.monotonic()
        if stopped and end is None:
            end = now + 5
        if end is None and now >= due:
            due = max(due + 0.1, now)
            for one in pings:
                one.call()
        patience = 0.05 if end else max(0, min(due - time.monotonic(), 0.05))
        for descriptor, _ in poll.poll(patience * 1000):
            by_socket[descriptor].take()
    for one in pings:
        print(f"{one.text} sent {one.sent} lost {len(one.unanswered)} longest "
              f"{one.longest * 1000:.0f} ms")


def print_hex(world, source, kind, target):
    print(Probe(world, source, kind, target).frame.hex())


def stop(_signo, _frame):
    global stopped
    stopped = True


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # with the test that started it
    signal.signal(signal.SIGTERM, stop)
    modes = {"table": table, "stream": stream, "ping": ping, "hex": print_hex}
    modes[sys.argv[1]](World(sys.argv[2]), *sys.argv[3:])
