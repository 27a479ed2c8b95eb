#!/usr/bin/python3
"""What each kind of client is told, frame by frame, for 23-tags.t, which has the configuration.

    kinds.py tags      the sections [tag NAME]: who gets what, and which goes first
    kinds.py options   the form of options: order, length, overload, and those with rules of their own
    kinds.py no-echo   where `client-id-echo = no`
"""
import sys

import wire as w
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import UDP

PLAIN = "d0:0d:8e:9f:42:88"
PRL = ("param_req_list", [1, 3, 6, 12, 15, 26, 42, 51, 66, 67])


def numbered(number):
    return f"d0:0d:8e:9f:45:{number:02x}"


def hexed(text):
    return bytes.fromhex(text.replace(" ", ""))


class Answer:
    """An answer, taken apart: the options of each field, and all of them put together."""

    def __init__(self, frame):
        self.frame = frame
        self.kind = "nothing"
        self.all, self.main, self.file, self.sname = {}, [], [], []
        if frame is None:
            return
        data = bytes(frame[UDP].payload)[:frame[UDP].len - 8]
        self.length, self.data = len(data), data
        self.main = self.split(data[240:])
        where = dict(self.main).get(52, b"\0")[0]
        if where & 1:
            self.file = self.split(data[108:236])
        if where & 2:
            self.sname = self.split(data[44:108])
        for code, value in self.main + self.file + self.sname:
            self.all[code] = self.all.get(code, b"") + value  # RFC 3396
        self.kind = w.NAMES.get(self.all.get(53, b"\0")[0], "?")
        self.siaddr = frame[BOOTP].siaddr
        self.boot_file = data[108:236].split(b"\0")[0].decode() if not where & 1 else None

    @staticmethod
    def split(data):
        options, at = [], 0
        while data[at] != 255:
            if data[at]:
                options.append((data[at], data[at + 2:at + 2 + data[at + 1]]))
                at += 1 + data[at + 1]
            at += 1
        return options

    def codes(self):
        return [code for code, _ in self.main]

    def ip(self, code):
        value = self.all.get(code)
        return value and ",".join(".".join(str(b) for b in value[i:i + 4])
                                  for i in range(0, len(value), 4))

    def number(self, code):
        value = self.all.get(code)
        return value and int.from_bytes(value, "big")

    def text(self, code):
        value = self.all.get(code)
        return None if value is None else value.decode("latin-1")


def ask(frame):
    return Answer(w.exchange(frame))


def discover(mac, *options, **more):
    return ask(w.request(mac, "discover", *options, **more))


# ---- tags

def told(sentence, answer, **wanted):
    """dns, ntp, domain, mtu, lease, boot, server: what the answer has of these."""
    got = {"dns": answer.ip(6), "ntp": answer.ip(42), "domain": answer.text(15),
           "mtu": answer.number(26), "lease": answer.number(51), "boot": answer.text(67),
           "server": answer.text(66)}
    w.same(sentence, {name: got[name] for name in wanted}, wanted)


def circuit(data, more=b""):
    return ("relay_agent_information", bytes([1, len(data)]) + data + more)


def arch(*numbers):
    return (93, b"".join(n.to_bytes(2, "big") for n in numbers))


def vendor(text):
    return ("vendor_class_id", text)


def tags():
    told("nothing matches: what [dhcp] says", discover(PLAIN, PRL), dns="192.168.6.22",
         ntp="192.168.6.22", domain="vms.example", mtu=1400, lease=600, boot=None, server=None)

    # of the plan's lines
    told("set:gold: the options of [tag gold], and the rest of [dhcp]", discover(numbered(1), PRL),
         dns="9.9.9.9", domain="vms.example", lease=1200, mtu=1400)
    told("an empty ntp in a tag takes it away", discover(numbered(1), PRL), ntp=None)
    told("two tags: each says its own, and of both the one that stands first in the file",
         discover(numbered(2), PRL), dns="9.9.9.9", lease=1200, domain="silver.example", mtu=1300)
    told("the order in the plan's line does not matter", discover(numbered(3), PRL),
         dns="9.9.9.9", lease=1200, domain="silver.example", mtu=1300)
    told("a lease time of the plan's line goes before its tag's", discover(numbered(4), PRL),
         dns="9.9.9.9", lease=2700)
    told("empty values take all away", discover(numbered(5), PRL), dns=None, ntp=None, domain=None,
         mtu=None)
    answer = discover(numbered(5), PRL)
    w.same("an empty router: there is none", answer.ip(3), None)
    told("a tag that has no section changes nothing", discover(numbered(6), PRL), dns="192.168.6.22")
    told("letters of a tag's name: set:Mixed is [tag Mixed]", discover(numbered(7), PRL), mtu=1234)

    # by what the request says
    told("vendor-class: a part of option 60", discover(PLAIN, PRL, vendor(b"MSFT 5.0")), mtu=1350)
    told("vendor-class: another one does not match", discover(PLAIN, PRL, vendor(b"MSF 5.0")),
         mtu=1400)
    told("user-class: a part of option 77", discover(PLAIN, PRL, (77, b"\x04iPXE")),
         boot="http://192.168.6.5/boot.ipxe")
    told("client-name: option 12, in any case", discover(PLAIN, PRL, ("hostname", b"lap-TOP")),
         mtu=1280)
    told("client-name: not a part of it", discover(PLAIN, PRL, ("hostname", b"lap-top2")), mtu=1400)
    told("circuit-id = hex:", discover(PLAIN, PRL, circuit(b"\x00\x01port")), mtu=1111)
    told("circuit-id = text:", discover(PLAIN, PRL, circuit(b"port-7", b"\x02\x01r")), mtu=1112)
    told("circuit-id: exact octets, not a part", discover(PLAIN, PRL, circuit(b"port-77")), mtu=1400)
    told("circuit-id: nor what begins like it", discover(PLAIN, PRL, circuit(b"port-")), mtu=1400)
    told("circuit-id: sub-option 1, not another one",
         discover(PLAIN, PRL, ("relay_agent_information", b"\x02\x06port-7")), mtu=1400)
    told("two conditions: both", discover(PLAIN, PRL, vendor(b"both"), ("hostname", b"both")),
         mtu=1222)
    told("two conditions: the one alone does not do", discover(PLAIN, PRL, vendor(b"both")), mtu=1400)
    told("two conditions: nor does the other", discover(PLAIN, PRL, ("hostname", b"both")), mtu=1400)
    told("requests change, and so does the answer",
         discover(PLAIN, PRL), mtu=1400, boot=None)

    # who goes first
    told("tags of the plan's line go before those that match, wherever they stand",
         discover(numbered(2), PRL, vendor(b"MSFT 5.0"), ("hostname", b"lap-top")), mtu=1300)
    told("among those that match, the one that stands first in the file",
         discover(PLAIN, PRL, vendor(b"MSFT 5.0"), ("hostname", b"lap-top")), mtu=1350)
    told("a tag with set: need not match its own conditions", discover(numbered(8), PRL), mtu=1350)
    told("what no tag says comes from [dhcp]",
         discover(PLAIN, PRL, vendor(b"MSFT 5.0"), ("hostname", b"lap-top")), dns="192.168.6.22",
         lease=600)
    ack = ask(w.request(PLAIN, "request", w.SERVER_ID, w.wanted("192.168.6.243"), PRL,
                        vendor(b"MSFT 5.0")))
    told("an ACK has it as the OFFER has", ack, mtu=1350)
    ack = ask(w.request(PLAIN, "inform", PRL, vendor(b"MSFT 5.0"), ciaddr="192.168.6.243"))
    told("so has the ACK of an INFORM", ack, mtu=1350, lease=None)
    pxe()


def pxe():
    """RFC 4578 2.1 and the registry it began: 0 BIOS, 7 and 9 UEFI of x86-64, 11 of ARM."""
    rom = vendor(b"PXEClient:Arch:00000:UNDI:002001")
    rows = [
        ("BIOS", [rom, arch(0)], "pxelinux.0", "192.168.6.5"),
        ("UEFI (7)", [rom, arch(7)], "shim.efi", "192.168.6.6"),
        ("UEFI (9)", [rom, arch(9)], "shim.efi", "192.168.6.6"),
        ("a list of architectures, one of them UEFI", [rom, arch(16, 9)], "shim.efi", "192.168.6.6"),
        ("iPXE of UEFI, which says it all: the section that stands first",
         [rom, arch(7), (77, b"iPXE")], "http://192.168.6.5/boot.ipxe", None),
    ]
    for sentence, options, boot, server in rows:
        answer = discover(PLAIN, PRL, *options)
        told(f"PXE, {sentence}: options 67 and 66", answer, boot=boot, server=server)
        w.same(f"PXE, {sentence}: the file field and siaddr",
               (answer.boot_file, answer.siaddr), (boot, server or "0.0.0.0"))
    for sentence, options in (("an architecture of no section", [rom, arch(11)]),
                              ("an architecture, but no PXEClient", [arch(7)]),
                              ("option 93 of three octets", [rom, (93, b"\0\x0b\x07")])):
        answer = discover(PLAIN, PRL, *options)
        w.same(f"PXE, {sentence}: no boot file", (answer.kind, answer.boot_file, answer.text(67)),
               ("offer", "", None))
    answer = discover(PLAIN, ("param_req_list", [1, 3]), rom, arch(0))
    w.same("PXE, a ROM that lists neither 66 nor 67: the header has it",
           (answer.boot_file, answer.siaddr, 67 in answer.all), ("pxelinux.0", "192.168.6.5", False))


# ---- options

def options():
    order()
    long_options()
    routes()
    fqdn()
    bootp_and_rapid_commit()
    identifiers()
    times()


def order():
    answer = discover(PLAIN, ("param_req_list", [42, 15, 3, 6, 1, 3, 15, 250, 12]))
    w.same("options: as the client lists them, each once",
           [code for code in answer.codes() if code != 1], [53, 54, 51, 58, 59, 42, 15, 3, 6, 12])
    w.same("options: but the mask comes before the router (RFC 2132 3.3)",
           answer.codes().count(1) == 1 and answer.codes().index(1) < answer.codes().index(3), True)
    answer = discover(PLAIN, ("param_req_list", [1, 3, 108]))
    w.same("108 where it is asked for (RFC 8925)", answer.number(108), 1800)
    answer = discover(PLAIN, ("param_req_list", [1, 3]))
    w.same("108: not where it is not", answer.all.get(108), None)
    answer = discover(PLAIN)
    w.same("108: nor to a client without a list", (answer.ip(3), answer.all.get(108)), (w.SERVER, None))
    answer = discover(PLAIN, (118, hexed("0a010200")), PRL)
    w.same("118 (subnet selection) changes nothing",
           (answer.kind, answer.ip(1)), ("offer", "255.255.255.0"))


LONG = b"abcdefghij" * 60


def size(number):
    return ("max_dhcp_size", number)


def long_options():
    # 224 has 600 octets, 225 150, 226 120, 227 60, 228 50
    answer = discover(PLAIN, size(1500), ("param_req_list", [224, 6]))
    w.same("600 octets: three options one behind the other (RFC 3396)",
           [(code, len(value)) for code, value in answer.main if code in (224, 6)],
           [(224, 255), (224, 255), (224, 90), (6, 4)])
    w.same("600 octets: put together they are what is configured", answer.all.get(224), LONG)
    answer = discover(PLAIN, ("param_req_list", [224, 6]))
    w.same("600 octets do not fit into 576: left out, and the rest is there",
           (answer.all.get(224), answer.ip(6)), (None, "192.168.6.22"))

    some = ("param_req_list", [225, 226, 227, 228, 6])
    lengths = {225: 150, 226: 120, 227: 60, 228: 50}
    for most, limit in ((None, 548), (0, 548), (300, 548), (575, 548), (576, 548), (600, 572)):
        answer = discover(PLAIN, some, *([] if most is None else [size(most)]))
        name = f"57 = {most}" if most is not None else "no 57"
        problems = []
        if answer.kind != "offer":
            problems.append(f"answer: {answer.kind}")
        elif answer.length > limit:
            problems.append(f"{answer.length} octets, more than {limit}")
        if 52 not in answer.all:
            problems.append("no option 52")
        for code, length in lengths.items():
            if answer.all.get(code) != bytes([code]) * length:
                problems.append(f"option {code} is {answer.all.get(code)!r}")
        for code in (53, 54, 51, 58, 59, 1):
            if code not in answer.codes():
                problems.append(f"option {code} is not in the options field")
        w.point(f"{name}: at most {limit} octets; what does not fit is in file and sname (52)",
                "\n".join(problems))
    for most in (1500, 65535):
        answer = discover(PLAIN, ("param_req_list", [225, 226, 227, 228, 224, 6]), size(most))
        w.same(f"57 = {most}: all of it in one frame, without 52",
               (52 in answer.all, answer.all.get(224), sorted(set(lengths) - set(answer.all)),
                answer.length <= 1472), (False, LONG, [], True))
    answer = discover(PLAIN, some, (57, b"\x05"))
    w.same("57 of one octet counts as none", (answer.kind, answer.length <= 548), ("offer", True))

    agent = circuit(b"x" * 40)
    answer = discover(PLAIN, some, agent, ("client_id", b"\x00an id"))
    w.same("with overload, 82 stands last in the options field (RFC 3046)",
           (52 in answer.all, answer.main[-1]), (True, (82, agent[1])))
    rom = vendor(b"PXEClient")
    answer = discover(PLAIN, ("param_req_list", [225, 226, 227, 228, 67]), rom, arch(0))
    w.same("a boot file goes with options that need more room than there is, in 67 or its field",
           answer.boot_file or answer.text(67), "pxelinux.0")


def routes():
    answer = discover(numbered(9), ("param_req_list", [1, 3, 33, 121]))
    w.same("121 asked for: with the default route in it, and no 3 (RFC 3442)",
           (answer.all.get(121), answer.all.get(3)),
           (hexed("08 0a c0a80601 14 ac1010 c0a80602 00 c0a80616"), None))
    answer = discover(numbered(9), ("param_req_list", [1, 3]))
    w.same("121 not asked for: 3", (answer.all.get(121), answer.ip(3)), (None, w.SERVER))
    answer = discover(PLAIN, ("param_req_list", [121, 3]))
    w.same("121 asked for where there are no routes: 3", (answer.all.get(121), answer.ip(3)),
           (None, w.SERVER))


def fqdn():
    """RFC 4702 2.1 and 4: flags N 8, E 4, O 2, S 1."""
    wire_name = b"\x06vm-001\x03vms\x07example\x00"
    rows = [
        ("the server shall update (S), wire form (E)", 5, b"\x03own\x07example\x00", 14, wire_name),
        ("the server shall update (S), ASCII", 1, b"own.example", 10, b"vm-001.vms.example"),
        ("the client updates, wire form (E)", 4, b"\x03own\x00", 12, wire_name),
        ("nobody updates (N), wire form (E)", 12, b"", 12, wire_name),
        ("nobody updates (N), ASCII", 8, b"own", 8, b"vm-001.vms.example"),
        ("bits that must be zero are ignored, and sent as zero", 0xf4, b"\x03own\x00", 12, wire_name),
        ("a broken name", 4, b"\x3fown", 12, wire_name),
    ]
    for sentence, flags, name, ours, our_name in rows:
        answer = discover(PLAIN, PRL, (81, bytes([flags, 3, 7]) + name))
        w.same(f"FQDN, {sentence}", (answer.all.get(81) or b"").hex(" "),
               (bytes([ours, 255, 255]) + our_name).hex(" "))
    answer = ask(w.request(PLAIN, "request", w.SERVER_ID, w.wanted("192.168.6.243"), PRL,
                           (81, b"\5\0\0\3own\0")))
    w.same("FQDN: in the ACK as well", (answer.all.get(81) or b"")[3:], wire_name)
    w.same("FQDN: not to a client that sends none", discover(PLAIN, PRL).all.get(81), None)
    answer = discover(numbered(5), PRL, (81, b"\5\0\0\3own\0"))
    w.same("FQDN: without a domain a partial name, with no root behind it (RFC 4702 2.3.1)",
           (answer.all.get(81) or b"")[3:], b"\x05empty")
    answer = discover(PLAIN, PRL, (81, b"\5\0"))
    w.same("FQDN of two octets: as if there were none", (answer.kind, answer.all.get(81)),
           ("offer", None))


def bootp_and_rapid_commit():
    frame = w.framed(w.message(numbered(10), [vendor(b"x")]), numbered(10))
    answer = ask(frame)
    w.same("BOOTP: an answer of 300 octets without 53, 51, 54",
           (answer.frame and (answer.frame[BOOTP].yiaddr, answer.length),
            sorted({53, 51, 54} & set(answer.all))), (("192.168.6.60", 300), []))
    w.same("BOOTP: it has mask and router", (answer.ip(1), answer.ip(3)), ("255.255.255.0", w.SERVER))

    answer = discover(numbered(11), PRL, (80, b""))
    w.same("rapid commit: ACK with 80 (RFC 4039)",
           (answer.kind, answer.all.get(80), answer.number(51)), ("ack", b"", 600))
    answer = discover(PLAIN, ("param_req_list", [1, 3, 80]))
    w.same("no rapid commit: OFFER without 80", (answer.kind, answer.all.get(80)), ("offer", None))
    answer = discover(PLAIN, (80, b"x"))
    w.same("80 with a value is not rapid commit", (answer.kind, answer.all.get(80)), ("offer", None))


def identifiers(echo=True):
    agent = circuit(b"port", b"\x02\x03\x00\x01\x02")
    for length in (2, 255) if echo else (2,):
        client_id = bytes(range(length))
        asks = [
            ("OFFER", w.request(PLAIN, "discover", PRL, agent, ("client_id", client_id))),
            ("ACK", w.request(PLAIN, "request", w.SERVER_ID, w.wanted("192.168.6.243"), PRL, agent,
                              ("client_id", client_id))),
            ("NAK", w.request(PLAIN, "request", w.wanted("192.168.6.9"), agent,
                              ("client_id", client_id))),
        ]
        for name, frame in asks:
            answer = ask(frame)
            w.same(f"{name}: a client identifier of {length} octets "
                   + ("comes back as it was (RFC 6842)" if echo else "does not come back"),
                   (answer.kind, answer.all.get(61)), (name.lower(), client_id if echo else None))
            w.same(f"{name}: 82 comes back as it was, and stands last", answer.main[-1:],
                   [(82, agent[1])])
    answer = discover(PLAIN, PRL)
    w.same("neither 61 nor 82 where there was none", (answer.all.get(61), answer.all.get(82)),
           (None, None))
    answer = discover(PLAIN, PRL, ("client_id", b"\0"))
    w.same("a client identifier of one octet is none (RFC 2132 9.14)",
           (answer.kind, answer.all.get(61)), ("offer", None))


def times():
    for asked, wanted in ((0, 120), (30, 120), (200, 200), (601, 600), (0xffffffff, 600)):
        answer = discover(PLAIN, PRL, (51, asked.to_bytes(4, "big")))
        w.same(f"a lease of {asked} s is wanted: {wanted} s", answer.number(51), wanted)
        w.same("and T1 and T2 are a half and seven eighths",
               (answer.number(58), answer.number(59)), (wanted // 2, wanted * 7 // 8))
    answer = discover(PLAIN, PRL, (51, b"\0\0\0"))
    w.same("51 of three octets counts as none", answer.number(51), 600)
    answer = discover(numbered(12), PRL)
    w.same("ten years: T1 and T2 do not overflow",
           (answer.number(51), answer.number(58), answer.number(59)),
           (315360000, 157680000, 275940000))
    answer = discover(numbered(13), PRL)
    w.same("without end: no T1, no T2", (answer.number(51), answer.number(58), answer.number(59)),
           (0xffffffff, None, None))
    answer = discover(numbered(13), PRL, (51, (300).to_bytes(4, "big")))
    w.same("without end, but five minutes are wanted", (answer.number(51), answer.number(58)),
           (300, 150))


def no_echo():
    identifiers(echo=False)


if __name__ == "__main__":
    w.wire = w.Wire()
    {"tags": tags, "options": options, "no-echo": no_echo}[sys.argv[1]]()
    print("done")
