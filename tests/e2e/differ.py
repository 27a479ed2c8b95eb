#!/usr/bin/python3
"""The same requests to two DHCP servers, and what is different in the answers.

    differ.py plan [later]       prints the plan: a machine for each request, and the fence
    differ.py ask FILE [later]   asks the server that runs now, and writes its answers to FILE (JSON)
    differ.py compare A B        points for 24-dnsmasq.t: directories with the files `first` and
                                 `later`, A of dnsmasq, B of eipd

`later` is another plan and other requests, when the first ones have been made.

Every request has a machine of its own, so that what a server remembers of one does not touch the
next. Behind each goes a DISCOVER of the machine `fence`: a server takes frames in order, so when
that has its OFFER, no answer to the one before is to come.
"""
import json
import sys

import wire as w
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

FENCE = "d0:0d:8e:9f:42:fe"
RELAY, RELAY_MAC = "192.168.6.2", "02:00:00:ff:00:01"
PRL = [1, 3, 6, 12, 15, 28, 42, 51, 58, 59]
ONE_ID = b"\xffone-for-all"


def hexed(text):
    return bytes.fromhex(text.replace(":", ""))


class Machine:
    """The frames that one machine can send."""

    def __init__(self, number):
        self.mac = f"d0:0d:8e:9f:43:{number:02x}"
        self.ip = f"192.168.6.{100 + number}"
        self.other = "192.168.6.99"  # of nobody

    def ask(self, kind, *options, **more):
        return w.request(self.mac, kind, *options, **more)

    def discover(self, *options, **more):
        return self.ask("discover", *options, **more)

    def discover_bytes(self, options, **bootp):
        """A DISCOVER whose options are these octets."""
        payload = bytes(w.message(self.mac, [], **bootp))[:236] + hexed("63825363") + options
        return w.framed(payload, self.mac)

    def select(self, *options, ip=None, server=w.SERVER, **more):
        return self.ask("request", ("server_id", server), w.wanted(ip or self.ip), *options, **more)

    def reboot(self, *options, ip=None, **more):
        return self.ask("request", w.wanted(ip or self.ip), *options, **more)

    def renew(self, *options, ip=None):
        return self.ask("request", *options, ciaddr=ip or self.ip, unicast=True)

    def rebind(self, *options, ip=None):
        return self.ask("request", *options, ciaddr=ip or self.ip)

    def relayed(self, kind, *options, giaddr=RELAY, **more):
        payload = w.message(self.mac, [("message-type", kind), *options], giaddr=giaddr, **more)
        return w.framed(payload, RELAY_MAC, source=RELAY, destination=w.SERVER, to=w.server_mac(),
                        sport=67)

    def replaced(self):
        """The machine that has taken its place, name and address."""
        self.mac = "d0:0d:8e:9f:44" + self.mac[14:]
        return self

    def stranger(self):
        """The same machine with a MAC that is in no plan."""
        self.mac = "d0:0d:8e:00" + self.mac[11:]
        return self


def changed(frame, layer, **fields):
    for name, value in fields.items():
        setattr(frame[layer], name, value)
    return frame


def resent(machine):
    frame = machine.discover()
    return [frame, frame]


def bad_checksum(machine, seed):
    frame = machine.discover()
    length = len(bytes(frame[UDP]))
    right = Ether(bytes(frame))[UDP].chksum
    return changed(frame, UDP, chksum=w.checksum(w.pseudo_header(frame, length)) if seed
                   else right ^ 0x5555)


def tagged(frame, vlan):
    return Ether(src=frame.src, dst=frame.dst) / Dot1Q(vlan=vlan) / frame[IP]


AGENT = ("relay_agent_information", hexed("0104706f727402020102"))
PXE = ("vendor_class_id", b"PXEClient:Arch:00007:UNDI:003001")
FQDN = ("client_FQDN", hexed("05000002") + b"me\x00")

# What is asked: a sentence, and the frames of a machine; the answer to the last one counts.
REQUESTS = [
    ("DISCOVER", lambda m: [m.discover(("param_req_list", PRL))]),
    ("DISCOVER without a list of options", lambda m: [m.discover()]),
    ("DISCOVER with a list in another order", lambda m: [m.discover(("param_req_list", PRL[::-1]))]),
    ("DISCOVER that lists nothing that there is", lambda m: [m.discover(("param_req_list", [250]))]),
    ("DISCOVER with the broadcast flag", lambda m: [m.discover(flags=0x8000)]),
    ("DISCOVER that wants another address", lambda m: [m.discover(w.wanted(m.other))]),
    ("DISCOVER with a ciaddr", lambda m: [m.discover(ciaddr=m.other)]),
    ("DISCOVER with secs and hops", lambda m: [m.discover(secs=77, hops=3)]),
    ("DISCOVER twice", resent),
    ("DISCOVER of a stranger", lambda m: [m.stranger().discover()]),
    ("DISCOVER of one to ignore", lambda m: [m.discover()]),
    ("SELECTING", lambda m: [m.discover(), m.select()]),
    ("SELECTING without a DISCOVER", lambda m: [m.select()]),
    ("SELECTING another server", lambda m: [m.discover(), m.select(server="192.168.6.7")]),
    ("SELECTING another address", lambda m: [m.discover(), m.select(ip=m.other)]),
    ("SELECTING by a stranger", lambda m: [m.stranger().select()]),
    ("REQUEST again, the same", lambda m: [m.discover(), *[m.select(xid=0x71000000)] * 2]),
    ("INIT-REBOOT", lambda m: [m.select(), m.reboot()]),
    ("INIT-REBOOT, no lease known", lambda m: [m.reboot()]),
    ("INIT-REBOOT, wrong address", lambda m: [m.select(), m.reboot(ip=m.other)]),
    ("INIT-REBOOT, wrong address, no lease known", lambda m: [m.reboot(ip=m.other)]),
    ("INIT-REBOOT, wrong network", lambda m: [m.reboot(ip="10.1.2.3")]),
    ("INIT-REBOOT of a stranger", lambda m: [m.stranger().reboot()]),
    ("INIT-REBOOT of a stranger, wrong network", lambda m: [m.stranger().reboot(ip="10.1.2.3")]),
    ("RENEWING", lambda m: [m.select(), m.renew()]),
    ("RENEWING, no lease known", lambda m: [m.renew()]),
    ("RENEWING, wrong address", lambda m: [m.select(), m.renew(ip=m.other)]),
    ("RENEWING of a stranger", lambda m: [m.stranger().renew()]),
    ("REBINDING", lambda m: [m.select(), m.rebind()]),
    ("REBINDING, no lease known", lambda m: [m.rebind()]),
    ("REBINDING, wrong address", lambda m: [m.rebind(ip=m.other)]),
    ("REBINDING of a stranger", lambda m: [m.stranger().rebind()]),
    ("REQUEST that names no address", lambda m: [m.ask("request")]),
    ("RELEASE, then DISCOVER", lambda m: [
        m.select(), m.ask("release", w.SERVER_ID, ciaddr=m.ip, unicast=True), m.discover()]),
    ("RELEASE has no answer", lambda m: [
        m.select(), m.ask("release", w.SERVER_ID, ciaddr=m.ip, unicast=True)]),
    ("DECLINE, then DISCOVER", lambda m: [
        m.select(), m.ask("decline", w.SERVER_ID, w.wanted(m.ip)), m.discover()]),
    ("DECLINE of another address, then DISCOVER", lambda m: [
        m.select(), m.ask("decline", w.SERVER_ID, w.wanted(m.other)), m.discover()]),
    ("INFORM", lambda m: [m.ask("inform", ("param_req_list", PRL), ciaddr=m.ip)]),
    ("INFORM of a stranger", lambda m: [m.stranger().ask("inform", ciaddr=m.ip)]),
    ("lease of 0 s wanted", lambda m: [m.discover(("lease_time", 0))]),
    ("lease of 30 s wanted", lambda m: [m.discover(("lease_time", 30))]),
    ("lease of 200 s wanted", lambda m: [m.discover(("lease_time", 200))]),
    ("lease without end wanted", lambda m: [m.discover(("lease_time", 0xffffffff))]),
    ("lease time of the plan's line", lambda m: [m.discover()]),
    ("lease without end in the plan's line", lambda m: [m.discover()]),
    ("client identifier", lambda m: [m.discover(("client_id", b"\xff\x01\x02"))]),
    ("client identifier that another machine has too, first", lambda m: [
        m.select(("client_id", ONE_ID))]),
    ("client identifier that another machine has too, second", lambda m: [
        m.select(("client_id", ONE_ID))]),
    ("client identifier that another machine has too, the first REBINDING", lambda m: [
        machine_of("client identifier that another machine has too, first").rebind(
            ("client_id", ONE_ID))]),
    ("client identifier that changes", lambda m: [
        m.select(("client_id", b"\x01PXE")), m.select(("client_id", b"\xffOS"))]),
    ("largest size of 300", lambda m: [m.discover(("max_dhcp_size", 300))]),
    ("largest size of 1500", lambda m: [m.discover(("max_dhcp_size", 1500))]),
    ("relay agent information from the bridge", lambda m: [m.discover(AGENT)]),
    ("relayed DISCOVER", lambda m: [m.relayed("discover", ("param_req_list", PRL), AGENT)]),
    ("relayed DISCOVER with the broadcast flag", lambda m: [m.relayed("discover", flags=0x8000)]),
    ("relayed REQUEST", lambda m: [m.relayed("request", w.SERVER_ID, w.wanted(m.ip), AGENT)]),
    ("relayed REQUEST, wrong address", lambda m: [
        m.relayed("request", w.SERVER_ID, w.wanted(m.other), AGENT)]),
    ("relay of another network", lambda m: [m.relayed("discover", giaddr="172.16.5.1")]),
    ("rapid commit wanted", lambda m: [m.discover((80, b""))]),
    ("option 121 wanted", lambda m: [m.discover(("param_req_list", [1, 3, 121]))]),
    ("option 108 wanted", lambda m: [m.discover(("param_req_list", [1, 3, 108]))]),
    ("option 118 sent (subnet selection)", lambda m: [
        m.discover((118, hexed("0a010200")), ("param_req_list", [1, 3]))]),
    ("PXE", lambda m: [m.discover(PXE, ("param_req_list", [1, 3, 66, 67]))]),
    ("FQDN", lambda m: [m.discover(FQDN, ("param_req_list", [1, 3]))]),
    ("host name of the client's own", lambda m: [
        m.discover(("hostname", b"not-in-the-plan"), ("param_req_list", [1, 12]))]),
    ("BOOTP", lambda m: [w.framed(w.message(m.mac, [("vendor_class_id", b"x")]), m.mac)]),
    ("hardware type 6", lambda m: [m.discover(htype=6)]),
    ("hardware address of 16 octets", lambda m: [m.discover(hlen=16)]),
    ("a reply", lambda m: [m.discover(op=2)]),
    ("wrong cookie", lambda m: [w.framed(
        bytes(w.message(m.mac, []))[:236] + hexed("63825364350101ff"), m.mac)]),
    ("message type of two octets", lambda m: [m.discover_bytes(hexed("35020101ff"))]),
    ("message type 99", lambda m: [m.discover_bytes(hexed("350163ff"))]),
    ("option cut off", lambda m: [m.discover_bytes(hexed("3501010cc8") + b"abc")]),
    ("no END", lambda m: [m.discover_bytes(hexed("350101"))]),
    ("options in the file field (52)", lambda m: [
        m.discover_bytes(hexed("340101350101ff"), file=hexed("3d0401616263ff"))]),
    ("client identifier in parts (RFC 3396)", lambda m: [
        m.discover_bytes(hexed("3501013d0301ab613d026263ff"))]),
    ("message of 230 octets", lambda m: [
        w.framed(bytes(w.message(m.mac, []))[:230], m.mac)]),
    ("chaddr of another machine", lambda m: [
        changed(m.discover(flags=0x8000), Ether, src="d0:0d:8e:00:00:99")]),
    ("source port 1068", lambda m: [changed(m.discover(), UDP, sport=1068)]),
    ("UDP checksum of offload, only the seed", lambda m: [bad_checksum(m, True)]),
    ("UDP checksum wrong", lambda m: [bad_checksum(m, False)]),
    ("VLAN 10", lambda m: [tagged(m.discover(), 10)]),
    ("priority tag (VLAN 0)", lambda m: [tagged(m.discover(), 0)]),
]

# Leases that the second plan then touches.
CHANGED, REPLACED, LEFT = ("lease of one whose address will change",
                           "lease of one whose MAC will change", "lease of one who will leave")
REQUESTS += [(sentence, lambda m: [m.select()]) for sentence in (CHANGED, REPLACED, LEFT)]

LATER = [
    ("its address has changed: RENEWING", lambda: [machine_of(CHANGED).renew()]),
    ("its address has changed: DISCOVER", lambda: [machine_of(CHANGED).discover()]),
    ("made anew with another MAC: DISCOVER", lambda: [machine_of(REPLACED).replaced().discover()]),
    ("made anew with another MAC: SELECTING", lambda: [machine_of(REPLACED).replaced().select()]),
    ("left the plan: RENEWING", lambda: [machine_of(LEFT).renew()]),
    ("left the plan: DISCOVER", lambda: [machine_of(LEFT).discover()]),
]

# What the plan's lines have besides MAC, name and address.
MORE = {
    "DISCOVER of one to ignore": ",ignore",
    "lease time of the plan's line": ",45m",
    "lease without end in the plan's line": ",infinite",
}

STRANGERS = "RFC 2131 4.3.2: who is not in the plan may have another server; never a word to them"
BROKEN = "what is not a DHCP message by its RFC is dropped, never guessed at"

# What is different, and why that is meant: a request (or * for any), a field, the reason.
INTENDED = [
    ("*", "order", "RFC 2132 9.8: in the order of the client's list"),
    ("*", "option 28", "what a client does not ask for is not sent, but for the mask"),
    ("*", "option 61", "RFC 6842: the client identifier comes back"),
    ("*", "option 108", "RFC 8925 3.3: only to a client that asks for it"),
    ("*", "option 58", "just half and 7/8 of the lease: renewals are spread as the boots were"),
    ("*", "option 59", "as option 58"),
    ("*", "option 56", "the text of a NAK is for the reader of a log"),
    ("*", "siaddr", "RFC 2131 2: the next server of network boot, where one is configured"),
    ("*", "hops", "RFC 2131 table 3: 0"),
    ("*", "secs", "RFC 2131 table 3: 0"),
    ("*", "flags", "RFC 2131 table 3: as the client sent them; a NAK is broadcast all the same"),
    ("SELECTING another server", "answer", "RFC 2131 4.3.2: another server has been chosen"),
    ("SELECTING by a stranger", "answer", STRANGERS),
    ("INIT-REBOOT of a stranger", "answer", STRANGERS),
    ("INIT-REBOOT of a stranger, wrong network", "answer", STRANGERS),
    ("RENEWING of a stranger", "answer", STRANGERS),
    ("REBINDING of a stranger", "answer", STRANGERS),
    ("INFORM of a stranger", "answer", STRANGERS),
    ("left the plan: RENEWING", "answer", STRANGERS),
    ("REQUEST that names no address", "answer", "it is in no state of RFC 2131 table 4"),
    ("DECLINE, then DISCOVER", "answer",
     "the plan has no other address for it; a warning tells the administrator"),
    ("client identifier that another machine has too, the first REBINDING", "answer",
     "cloned machines share one; the plan goes by the MAC"),
    ("made anew with another MAC: DISCOVER", "answer", "the plan goes before what was leased"),
    ("made anew with another MAC: SELECTING", "answer", "the plan goes before what was leased"),
    ("rapid commit wanted", "answer", "RFC 4039: there is no other server to wait for"),
    ("option 121 wanted", "option 3", "RFC 3442: not beside option 121"),
    ("option 118 sent (subnet selection)", "answer", "there is one network, and the plan names it"),
    ("PXE", "file", "also in the header, where old ROMs look"),
    ("PXE", "option 66", "the next server, for ROMs that read no siaddr"),
    ("PXE", "option 67", "RFC 2132 9.5: without a NUL behind it"),
    ("FQDN", "option 81", "RFC 4702 4: we keep no DNS: N and O, not S"),
    ("host name of the client's own", "option 12", "the name is the plan's"),
    ("BOOTP", "option 121", "RFC 951: 64 octets are all, and these are for what all clients read"),
    ("BOOTP", "option 26", "as far as there is room"),
    ("BOOTP", "option 42", "as far as there is room"),
    ("BOOTP", "option 6", "as far as there is room"),
    ("hardware type 6", "answer", BROKEN),
    ("message type of two octets", "answer", BROKEN),
    ("option cut off", "answer", BROKEN),
    ("no END", "answer", BROKEN),
    ("source port 1068", "answer", "RFC 2131 4.1: a client sends from port 68"),
    ("chaddr of another machine", "answer", "verify-source: nobody asks in another's name"),
    ("UDP checksum of offload, only the seed", "answer",
     "a guest that offloads checksums; what says so is lost on some ways to the bridge"),
]


def machine_of(sentence):
    return Machine([name for name, _ in REQUESTS].index(sentence) + 1)


# ---- asking

def fields_of(frame, machine):
    """What is to be compared of an answer, as words."""
    if frame is None:
        return {"answer": "silence"}
    bootp = frame[BOOTP]
    names = {w.BROADCAST: "broadcast", machine.mac: "machine", RELAY_MAC: "relay"}
    addresses = {machine.ip: "IP", machine.other: "OTHER", "0.0.0.0": "0"}
    named = lambda ip: addresses.get(ip, ip)
    data = bytes(frame[UDP].payload)[:frame[UDP].len - 8]
    options = w.raw_options(frame)
    fields = {
        "yiaddr": named(bootp.yiaddr), "ciaddr": named(bootp.ciaddr), "siaddr": named(bootp.siaddr),
        "giaddr": named(bootp.giaddr), "flags": hex(int(bootp.flags)), "hops": bootp.hops,
        "secs": bootp.secs, "to": f"{names.get(frame.dst, frame.dst)} {named(frame[IP].dst)}:"
                                  f"{frame[UDP].dport}",
        "sname": data[44:108].rstrip(b"\0").decode("latin-1"),
        "file": data[108:236].rstrip(b"\0").decode("latin-1"), "tos": frame[IP].tos,
        "first option": options[0][0],
    }
    fields["answer"] = w.NAMES.get(dict(options).get(53, b"\0")[0], "BOOTP reply")
    fields["order"] = " ".join(str(code) for code, _ in options if code != 53)
    for code, value in options:
        if code not in (53,):
            fields[f"option {code}"] = value.hex(":") or "there"
    return fields


def ask_one(frames, machine):
    """The answer to the last of the frames."""
    for frame in frames[:-1]:
        answer_to(frame)
    return fields_of(answer_to(frames[-1]), machine)


def answer_to(frame):
    fence = w.request(FENCE, "discover")
    xid, found = w.xid_of(frame), []
    w.wire.send(frame)
    w.wire.send(fence)

    def until(answer):
        if answer[BOOTP].xid == xid:
            found.append(answer)
        return answer[BOOTP].xid == fence[BOOTP].xid

    if not w.wire.answers(fence[BOOTP].xid, until):
        sys.exit(f"the server answers nobody any more, after: {frame.summary()}")
    return found[0] if found else None


def ask(path, later=""):
    w.wire = w.Wire()
    w.VM1 = FENCE  # whom the MAC of the server is asked for
    answers = {}
    if later:
        for sentence, frames in LATER:
            answers[sentence] = ask_one(frames(), Machine(0))
    else:
        for number, (sentence, frames) in enumerate(REQUESTS, 1):
            answers[sentence] = ask_one(frames(Machine(number)), Machine(number))
    with open(path, "w", encoding="ascii") as file:
        json.dump(answers, file, indent=1)


def plan(later=""):
    print(f"{FENCE},fence,192.168.6.98")
    for number, (sentence, _) in enumerate(REQUESTS, 1):
        machine = Machine(number)
        if later and sentence == LEFT:
            continue
        if later and sentence == CHANGED:
            machine.ip = "192.168.6.97"
        if later and sentence == REPLACED:
            machine.replaced()
        print(f"{machine.mac},vm-{number:03},{machine.ip}{MORE.get(sentence, '')}")


# ---- comparing

def differences(theirs, ours):
    """(request, field, theirs, ours); where one of them is silent, that is all."""
    for sentence in theirs:
        one, two = theirs[sentence], ours[sentence]
        names = ["answer"] if one["answer"] != two["answer"] else sorted({*one, *two})
        for name in names:
            if one.get(name) != two.get(name):
                yield sentence, name, one.get(name), two.get(name)


def load(directory):
    """The answers to both lists."""
    answers = {}
    for name in ("first", "later"):
        with open(f"{directory}/{name}", encoding="ascii") as file:
            answers.update(json.load(file))
    return answers


def compare(their_path, our_path):
    theirs, ours = load(their_path), load(our_path)
    found = {row: [] for row in INTENDED}
    for difference in differences(theirs, ours):
        sentence, field, one, two = difference
        row = next((r for r in INTENDED if r[0] in ("*", sentence) and r[1] == field), None)
        if row is None:
            w.point(f"{sentence}: {field} is the same", f"dnsmasq: {one}\neipd:    {two}")
        else:
            found[row].append(difference)
    for (sentence, field, reason), differing in found.items():
        w.point(f"{sentence}: {field} differs: {reason}",
                "" if differing else "it does not differ (any more): take it out of the table")
        for name, _, one, two in differing[:1]:
            example = f"{name}: " if sentence == "*" else ""
            print(f"   {example}dnsmasq {one}, eipd {two}")
    same = sum(theirs[sentence] == ours[sentence] for sentence in theirs)
    print(f"{len(theirs)} requests; the answers to {same} are the same in all that is compared")
    w.same("both were asked all of them", [len(theirs), len(ours)],
           [len(REQUESTS) + len(LATER)] * 2)
    print("done")


if __name__ == "__main__":
    {"plan": plan, "ask": ask, "compare": compare}[sys.argv[1]](*sys.argv[2:])
