#!/usr/bin/python3
"""A DHCP client and relay agent that builds its own frames and looks at each answer.

    wire.py direct     on a port of the bridge: every client state, odd and broken packets
    wire.py options    what 27-options.t has configured
    wire.py relay      as a relay agent with the address of eth0, in a plan of 10.77.0.0/16
    wire.py release MAC IP    gives a lease back
    wire.py odd MAC IP        takes a lease with control characters in each text

It prints `ok - sentence` or `not ok - sentence` with `# why`, and at the end `done`.
The numbers of rows are those of RFC 2131 table 4 and 5 and the sections named.
"""
import ipaddress
import itertools
import select
import socket
import struct
import sys
import time

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

BROADCAST = "ff:ff:ff:ff:ff:ff"
SERVER = "192.168.6.22"
VM1, IP1 = "d0:0d:8e:9f:42:88", "192.168.6.243"
VM2, IP2 = "d0:0d:8e:9f:42:89", "192.168.6.244"
IGNORED = "d0:0d:8e:9f:42:aa"
FOREVER = "d0:0d:8e:9f:42:bb"
STRANGER = "d0:0d:8e:00:00:01"

transactions = itertools.count(0x51000000)


def point(sentence, problem):
    """One test point; `problem` is empty where all is well."""
    print(("not ok - " if problem else "ok - ") + sentence)
    for line in str(problem or "").splitlines():
        print("#", line)
    sys.stdout.flush()


def same(sentence, got, wanted):
    point(sentence, "" if got == wanted else f"got:    {got!r}\nwanted: {wanted!r}")


class Wire:
    """The frames of one interface, whoever they are for."""

    def __init__(self, interface="eth0"):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((interface, 0))
        index = socket.if_nametoindex(interface)
        promiscuous = struct.pack("iHH8s", index, 1, 0, b"")
        self.socket.setsockopt(263, 1, promiscuous)  # SOL_PACKET, PACKET_ADD_MEMBERSHIP

    def send(self, frame):
        self.socket.send(bytes(frame))

    def answers(self, xid, until, patience=10.0):
        """Frames from a server with this xid, until one makes until(frame) true."""
        found = []
        end = time.monotonic() + patience
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                break
            data, (_, _, kind, *_) = self.socket.recvfrom(4096)
            if kind == socket.PACKET_OUTGOING:
                continue
            frame = Ether(data)
            if BOOTP not in frame or frame[BOOTP].op != 2:
                continue
            if frame[BOOTP].xid == xid:
                found.append(frame)
            if until(frame):
                break
        return found


wire = None  # set by main, in the namespace


def message(mac, options, ciaddr="0.0.0.0", giaddr="0.0.0.0", flags=0, xid=None, **bootp):
    """The BOOTP part."""
    fields = dict(op=1, htype=1, hlen=6, hops=1 if giaddr != "0.0.0.0" else 0,
                  xid=next(transactions) if xid is None else xid, flags=flags, ciaddr=ciaddr,
                  giaddr=giaddr, chaddr=bytes.fromhex(mac.replace(":", "")))
    fields.update(bootp)
    return BOOTP(**fields) / DHCP(options=options + ["end"])


def framed(payload, mac, source="0.0.0.0", destination="255.255.255.255", to=BROADCAST, sport=68,
           **udp):
    return (Ether(src=mac, dst=to) / IP(src=source, dst=destination, ttl=64)
            / UDP(sport=sport, dport=67, **udp) / payload)


def request(mac, kind, *options, ciaddr="0.0.0.0", flags=0, xid=None, unicast=False, **bootp):
    """A whole frame of a client on the bridge."""
    payload = message(mac, [("message-type", kind), *options], ciaddr=ciaddr, flags=flags, xid=xid,
                      **bootp)
    if unicast:
        return framed(payload, mac, source=ciaddr, destination=SERVER, to=server_mac())
    return framed(payload, mac, source=ciaddr if ciaddr != "0.0.0.0" else "0.0.0.0")


def exchange(frame, patience=10.0):
    """The one answer to a frame, or None."""
    xid = frame[BOOTP].xid
    wire.send(frame)
    found = wire.answers(xid, lambda f: f[BOOTP].xid == xid, patience)
    return found[0] if found else None


def xid_of(frame):
    """Also where scapy sees no BOOTP in it."""
    return frame[BOOTP].xid if BOOTP in frame else int.from_bytes(bytes(frame)[46:50], "big")


def silent(sentence, *frames):
    """No answer. A DISCOVER sent afterwards is the fence: the server takes frames in order, so
    when its OFFER is here no answer to the frames before can follow."""
    for frame in frames:
        wire.send(frame)
    fence = request(VM2, "discover")
    wire.send(fence)
    xids = {xid_of(f) for f in frames}
    seen = []

    def until(frame):
        if frame[BOOTP].xid in xids:
            seen.append(frame)
        return frame[BOOTP].xid == fence[BOOTP].xid

    if not wire.answers(fence[BOOTP].xid, until):
        point(sentence, "the server answers nobody any more")
    else:
        point(sentence, "\n".join(f"answered {kind(f)} {f[BOOTP].yiaddr}" for f in seen))


_server_mac = None


def server_mac():
    """From an answer: the bridge may take its address from any port."""
    global _server_mac
    if _server_mac is None:
        _server_mac = exchange(request(VM1, "discover")).src
    return _server_mac


NAMES = {1: "discover", 2: "offer", 3: "request", 4: "decline", 5: "ack", 6: "nak", 7: "release",
         8: "inform"}


def raw_options(frame):
    """[(code, bytes)] of the answer, read by hand: order and form matter."""
    data = bytes(frame[UDP].payload)[:frame[UDP].len - 8][240:]
    options, at = [], 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        length = data[at + 1]
        options.append((data[at], data[at + 2:at + 2 + length]))
        at += 2 + length
    if at >= len(data):
        raise ValueError("no END option")
    return options


def option(frame, code):
    return dict(raw_options(frame)).get(code)


def kind(frame):
    if frame is None:
        return "nothing"
    return NAMES.get((option(frame, 53) or b"\0")[0], "?")


def number(frame, code):
    value = option(frame, code)
    return None if value is None else int.from_bytes(value, "big")


def address(frame, code):
    value = option(frame, code)
    return None if value is None else ",".join(
        str(ipaddress.IPv4Address(value[i:i + 4])) for i in range(0, len(value), 4))


def answer_is(sentence, frame, wanted, yiaddr=None):
    got = kind(frame)
    if frame is not None and yiaddr is not None:
        got, wanted = f"{got} {frame[BOOTP].yiaddr}", f"{wanted} {yiaddr}"
    same(sentence, got, wanted)
    return frame


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def pseudo_header(packet, length):
    return (socket.inet_aton(packet[IP].src) + socket.inet_aton(packet[IP].dst)
            + struct.pack("!BBH", 0, 17, length))


def well_formed(sentence, frame, asked, server=SERVER):
    """What is true of every answer: RFC 2131 table 3, RFC 1542, RFC 768."""
    if frame is None:
        point(sentence, "no answer")
        return
    problems = []

    def need(ok, text):
        if not ok:
            problems.append(text)

    ip_header = bytes(frame[IP])[:frame[IP].ihl * 4]
    udp = bytes(frame[IP])[frame[IP].ihl * 4:frame[IP].len]
    bootp, sent = frame[BOOTP], asked[BOOTP]
    need(checksum(ip_header) == 0xffff, "IP header checksum")
    need(frame[UDP].chksum != 0, "no UDP checksum")
    need(checksum(pseudo_header(frame, len(udp)) + udp) == 0xffff, "UDP checksum")
    need(frame[IP].src == server, f"source {frame[IP].src}")
    need(frame[UDP].sport == 67, f"source port {frame[UDP].sport}")
    need(frame[UDP].len >= 8 + 300, f"only {frame[UDP].len - 8} bytes of BOOTP")
    need(len(udp) == frame[UDP].len, "UDP length is not that of IP")
    need(bootp.htype == 1 and bootp.hlen == 6, "htype or hlen")
    need(bootp.hops == 0, "hops")
    need(bootp.chaddr[:6] == sent.chaddr[:6] and not any(bootp.chaddr[6:]), "chaddr")
    need(bootp.giaddr == sent.giaddr, f"giaddr {bootp.giaddr}")
    need(not any(bootp.sname.rstrip(b"\0")), "sname is not empty")
    try:
        options = raw_options(frame)
        codes = [code for code, _ in options]
        need(codes[0] == 53, f"option 53 is not the first: {codes}")
        need(len(codes) == len(set(codes)), f"an option twice: {codes}")
        need(address(frame, 54) == server, "option 54")
    except (ValueError, IndexError) as error:
        need(False, f"options: {error}")
    point(sentence, "\n".join(problems))


SERVER_ID = ("server_id", SERVER)


def wanted(ip):
    return ("requested_addr", ip)


def discovers():
    asked = request(VM1, "discover", ("param_req_list", [1, 3, 6, 12, 15, 28, 42, 51, 58, 59]))
    offer = answer_is("DISCOVER of a planned MAC: OFFER of the planned address",
                      exchange(asked), "offer", IP1)
    well_formed("the OFFER is well formed", offer, asked)
    if offer is None:
        return
    same("OFFER: to the client's MAC and address", (offer.dst, offer[IP].dst, offer[UDP].dport),
         (VM1, IP1, 68))
    same("OFFER: ciaddr is 0, flags as sent", (offer[BOOTP].ciaddr, int(offer[BOOTP].flags)),
         ("0.0.0.0", 0))
    same("OFFER: mask (1)", address(offer, 1), "255.255.255.0")
    same("OFFER: router (3)", address(offer, 3), SERVER)
    same("OFFER: dns (6)", address(offer, 6), SERVER)
    same("OFFER: host name (12)", option(offer, 12), b"vm-001")
    same("OFFER: domain (15)", option(offer, 15), b"vms.example")
    same("OFFER: broadcast address (28)", address(offer, 28), "192.168.6.255")
    same("OFFER: time servers (42)", address(offer, 42), SERVER)
    same("OFFER: lease time (51), T1 (58), T2 (59)",
         [number(offer, code) for code in (51, 58, 59)], [600, 300, 525])
    codes = [code for code, _ in raw_options(offer)]
    same("OFFER: the mask comes before the router (RFC 2132 3.3)",
         codes.index(1) < codes.index(3), True)

    asked = request(VM1, "discover", flags=0x8000)
    offer = exchange(asked)
    answer_is("DISCOVER with the broadcast flag: OFFER", offer, "offer", IP1)
    if offer is not None:
        same("and it is broadcast, flag kept",
             (offer.dst, offer[IP].dst, int(offer[BOOTP].flags)),
             (BROADCAST, "255.255.255.255", 0x8000))
    answer_is("DISCOVER that asks for another address: the planned one all the same",
              exchange(request(VM1, "discover", wanted(IP2))), "offer", IP1)
    answer_is("DISCOVER with a ciaddr: as if it were 0",
              exchange(request(VM1, "discover", ciaddr="192.168.6.99")), "offer", IP1)
    offer = exchange(request(VM2, "discover"))
    same("the lease time of the plan's line goes before that of the configuration",
         offer and number(offer, 51), 2700)
    offer = exchange(request(FOREVER, "discover"))
    same("an infinite lease has no T1 and no T2",
         offer and [number(offer, code) for code in (51, 58, 59)], [0xffffffff, None, None])
    client_id = ("client_id", b"\xff\x00any bytes \x01")
    offer = exchange(request(VM1, "discover", client_id))
    same("a client identifier comes back as it was (RFC 6842)",
         offer and option(offer, 61), client_id[1])
    offer = exchange(request(VM1, "discover"))
    same("where there was none none comes back", offer and option(offer, 61), None)
    one, two = (exchange(request(mac, "discover", client_id)) for mac in (VM1, VM2))
    same("two MACs with the same client identifier have each its own address",
         [one and one[BOOTP].yiaddr, two and two[BOOTP].yiaddr], [IP1, IP2])
    offer = exchange(request(VM1, "discover", ("lease_time", 120)))
    same("a shorter lease that is asked for is granted, or the configured one",
         offer and number(offer, 51) in (120, 600), True)
    offer = exchange(request(VM1, "discover", ("lease_time", 0xffffffff)))
    same("a longer lease than configured is not granted", offer and number(offer, 51), 600)
    offer = exchange(request(VM1, "discover", ("max_dhcp_size", 10)))
    answer_is("a maximal size below 576 counts as 576", offer, "offer", IP1)
    asked = request(VM1, "discover", ("param_req_list", [3, 1, 3, 3, 1, 250]))
    well_formed("a list of wanted options with doubles and unknown ones is no trouble",
                exchange(asked), asked)


def requests():
    # SELECTING
    asked = request(VM1, "request", SERVER_ID, wanted(IP1))
    ack = answer_is("SELECTING, the planned address: ACK", exchange(asked), "ack", IP1)
    well_formed("the ACK is well formed", ack, asked)
    offer = exchange(request(VM1, "discover"))
    if ack is not None and offer is not None:
        strip = lambda f: [o for o in raw_options(f) if o[0] != 53]
        same("the ACK has the parameters of the OFFER", strip(ack), strip(offer))
    ack = exchange(request(VM1, "request", SERVER_ID, wanted(IP1), flags=0x8000))
    same("SELECTING with the broadcast flag: the ACK is broadcast",
         ack and (kind(ack), ack.dst), ("ack", BROADCAST))
    asked = request(VM1, "request", SERVER_ID, wanted(IP2))
    nak = answer_is("SELECTING, the address of another machine: NAK", exchange(asked), "nak")
    nak_form("that NAK", nak, asked)
    silent("SELECTING, another server: silence",
           request(VM1, "request", ("server_id", "192.168.6.7"), wanted(IP1)))
    # INIT-REBOOT
    answer_is("INIT-REBOOT, the planned address: ACK",
              exchange(request(VM1, "request", wanted(IP1))), "ack", IP1)
    answer_is("INIT-REBOOT with no lease on record: ACK",
              exchange(request(VM2, "request", wanted(IP2))), "ack", IP2)
    asked = request(VM1, "request", wanted("192.168.6.9"))
    nak = answer_is("INIT-REBOOT, another address of this network: NAK", exchange(asked), "nak")
    nak_form("that NAK", nak, asked)
    answer_is("INIT-REBOOT, an address of another network: NAK",
              exchange(request(VM1, "request", wanted("10.1.2.3"))), "nak")
    # RENEWING
    asked = request(VM1, "request", ciaddr=IP1, unicast=True)
    ack = answer_is("RENEWING, the planned address: ACK", exchange(asked), "ack", IP1)
    well_formed("the ACK of a renewal is well formed", ack, asked)
    if ack is not None:
        same("and goes to ciaddr, which it repeats",
             (ack.dst, ack[IP].dst, ack[UDP].dport, ack[BOOTP].ciaddr), (VM1, IP1, 68, IP1))
    answer_is("RENEWING, another address: NAK",
              exchange(request(VM1, "request", ciaddr="192.168.6.9", unicast=True)), "nak")
    # REBINDING
    ack = answer_is("REBINDING, the planned address: ACK",
                    exchange(request(VM1, "request", ciaddr=IP1)), "ack", IP1)
    asked = request(VM1, "request", ciaddr="192.168.6.9")
    nak = answer_is("REBINDING, another address: NAK", exchange(asked), "nak")
    nak_form("that NAK", nak, asked)
    silent("REQUEST with neither ciaddr nor requested address: silence", request(VM1, "request"))
    first = request(VM1, "request", SERVER_ID, wanted(IP1))
    one, two = exchange(first), exchange(first)
    same("the same REQUEST again has the same answer",
         one is not None and bytes(one[BOOTP]) == (two and bytes(two[BOOTP])), True)


def nak_form(name, nak, asked):
    """RFC 2131 table 3 and 4.3.2."""
    if nak is None:
        return
    well_formed(name + " is well formed", nak, asked)
    same(name + " is broadcast", (nak.dst, nak[IP].dst), (BROADCAST, "255.255.255.255"))
    same(name + ": ciaddr, yiaddr and siaddr are 0",
         (nak[BOOTP].ciaddr, nak[BOOTP].yiaddr, nak[BOOTP].siaddr), ("0.0.0.0",) * 3)
    codes = {code for code, _ in raw_options(nak)}
    same(name + ": options 53, 54, a message, and nothing of a lease",
         ({53, 54} <= codes, codes - {53, 54, 56, 61, 82}), (True, set()))


def others():
    asked = request(VM1, "inform", ("param_req_list", [1, 3, 6, 15]), ciaddr=IP1)
    ack = answer_is("INFORM: ACK without an address", exchange(asked), "ack", "0.0.0.0")
    well_formed("the ACK of an INFORM is well formed", ack, asked)
    if ack is not None:
        same("it goes to ciaddr", (ack[IP].dst, ack[UDP].dport), (IP1, 68))
        same("it has no lease time, T1, T2",
             [number(ack, code) for code in (51, 58, 59)], [None] * 3)
        same("it has what was asked for", (address(ack, 3), address(ack, 6)), (SERVER, SERVER))

    silent("RELEASE has no answer", request(VM1, "release", SERVER_ID, ciaddr=IP1, unicast=True))
    answer_is("after RELEASE the address is still the machine's own",
              exchange(request(VM1, "request", SERVER_ID, wanted(IP1))), "ack", IP1)
    silent("RELEASE of the address of another machine changes nothing and has no answer",
           request(VM1, "release", SERVER_ID, ciaddr=IP2, unicast=True))
    silent("RELEASE for another server has no answer",
           request(VM1, "release", ("server_id", "192.168.6.7"), ciaddr=IP1, unicast=True))
    silent("DECLINE without a server identifier is nothing", request(VM1, "decline", wanted(IP1)))
    silent("DECLINE of the address of another machine is nothing",
           request(VM1, "decline", SERVER_ID, wanted(IP2)))
    silent("DECLINE has no answer", request(VM1, "decline", SERVER_ID, wanted(IP1)))
    answer_is("and does not take the address away from its owner for good",
              exchange(request(VM1, "request", wanted(IP1))), "ack", IP1)


def strangers():
    silent("an unknown MAC: silence to DISCOVER", request(STRANGER, "discover"))
    silent("an unknown MAC: silence to SELECTING",
           request(STRANGER, "request", SERVER_ID, wanted(IP1)))
    silent("an unknown MAC: silence to INIT-REBOOT (RFC 2131 4.3.2)",
           request(STRANGER, "request", wanted(IP1)))
    silent("an unknown MAC: silence to REBINDING", request(STRANGER, "request", ciaddr=IP1))
    silent("a MAC that the plan says to ignore: silence", request(IGNORED, "discover"),
           request(IGNORED, "request", wanted("192.168.6.200")))
    frame = request(VM1, "discover")
    frame.src = STRANGER
    silent("a chaddr that is not the sender's MAC: silence (verify-source)", frame)


def broken():
    def changed(**fields):
        return request(VM1, "discover", **fields)

    silent("hardware type not Ethernet: silence", changed(htype=6))
    silent("hardware address of 16 octets: silence", changed(hlen=16))
    silent("a reply instead of a request: silence", changed(op=2, xid=0x77000001))
    frame = changed()
    frame[BOOTP].options = b"\x63\x82\x53\x64"
    silent("a wrong magic cookie: silence", frame)
    answer = exchange(framed(message(VM1, [("hostname", b"x")]), VM1))
    same("no message type: silence, or the answer of BOOTP without message type and lease time",
         answer and [option(answer, code) for code in (53, 51)], answer and [None, None])

    def with_options(data):
        payload = bytes(message(VM1, []))[:236] + b"\x63\x82\x53\x63" + data
        return framed(payload, VM1)

    def quiet(sentence, data):
        silent(sentence, with_options(data))

    quiet("a message type of two octets: silence", b"\x35\x02\x01\x01\xff")
    quiet("an unknown message type: silence", b"\x35\x01\x63\xff")
    quiet("an option longer than the packet: silence", b"\x35\x01\x01\x0c\xc8abc")
    quiet("an option without its length: silence", b"\x35\x01\x01\x0c")
    silent("packets cut short: silence", framed(b"\x01\x01\x06", VM1), framed(b"", VM1),
           with_options(b""), framed(bytes(message(VM1, []))[:200], VM1))
    whole = bytes(changed())
    cut = whole[:14] + struct.pack("!BBH", 0x45, 0, 2000) + whole[18:]
    wire.send(cut)                                      # IP says more than there is
    wire.send(whole[:14] + b"\x4f" + whole[15:40])      # a header longer than the packet
    wire.send(whole[:14] + b"\x41" + whole[15:])        # a header too short to be one
    wire.send(whole[:20])
    udp_at = 14 + 20
    wire.send(whole[:udp_at + 4] + struct.pack("!H", 4000) + whole[udp_at + 6:])
    wire.send(whole[:udp_at + 4] + struct.pack("!H", 3) + whole[udp_at + 6:])
    silent("wrong lengths of IP and UDP: silence")
    fragment = changed()
    fragment[IP].flags = "MF"
    silent("a fragment: silence", fragment)

    discover = request(VM1, "discover", ("param_req_list", [1, 3]), ("hostname", b"\x00\n;$(x)"))
    answer_is("a host name of odd bytes: OFFER", exchange(discover), "offer", IP1)
    big = request(VM1, "discover", *[(code, b"n" * 250) for code in (224, 225, 226, 227)])
    answer_is("a packet of full size: OFFER", exchange(big), "offer", IP1)
    parts = request(VM1, "discover", ("client_id", b"\0first,"), ("hostname", b"h"),
                    ("client_id", b"second"))
    offer = exchange(parts)
    same("an option in two parts is put together (RFC 3396)",
         offer and option(offer, 61), b"\0first,second")
    long = request(VM1, "discover", *[("vendor_specific", b"v" * 250)] * 4)
    answer_is("an option of 1000 octets in four parts (RFC 3396): OFFER", exchange(long), "offer", IP1)
    no_end = framed(message(VM1, [("message-type", "discover")]), VM1)
    no_end[DHCP].options = no_end[DHCP].options[:-1]
    frame = exchange(no_end, patience=1.0)
    same("options without an END: an OFFER or silence, and no trouble",
         kind(frame) in ("offer", "nothing"), True)


def checksums():
    def discover(**udp):
        return framed(message(VM1, [("message-type", "discover")]), VM1, **udp)

    answer_is("a right UDP checksum: OFFER", exchange(discover()), "offer", IP1)
    answer_is("no UDP checksum: OFFER", exchange(discover(chksum=0)), "offer", IP1)
    length = len(bytes(discover()[UDP]))
    seed = checksum(pseudo_header(discover(), length))
    answer_is("only the seed of the pseudo-header, as offload leaves it: OFFER",
              exchange(discover(chksum=seed)), "offer", IP1)
    right = Ether(bytes(discover()))[UDP].chksum
    silent("a wrong UDP checksum: silence", discover(chksum=right ^ 0x5555 or 1))
    frame = discover()
    frame[IP].chksum = 0x1234
    silent("a wrong IP header checksum: silence", frame)


def vlan():
    inner = request(VM1, "discover")
    tagged = Ether(src=VM1, dst=BROADCAST) / Dot1Q(vlan=10) / inner[IP]
    silent("a frame of another VLAN: silence", tagged)


def direct():
    discovers()
    requests()
    others()
    strangers()
    broken()
    checksums()
    vlan()


# ---- with the configuration of 27-options.t

def routes(data):
    """RFC 3442, as {destination: router}."""
    found, at = {}, 0
    while at < len(data or b""):
        width = data[at]
        octets = (width + 7) // 8
        network = data[at + 1:at + 1 + octets] + bytes(4 - octets)
        router = data[at + 1 + octets:at + 5 + octets]
        found[f"{socket.inet_ntoa(network)}/{width}"] = socket.inet_ntoa(router)
        at += 5 + octets
    return found


def options():
    def ask(*codes):
        return exchange(request(VM1, "discover", ("param_req_list", list(codes)),
                                ("client_id", b"\x01\x02\x03")))

    offer = ask(1, 3, 6, 26, 42, 43, 150, 252)
    if answer_is("DISCOVER: OFFER", offer, "offer", IP1) is None:
        return
    same("router", address(offer, 3), "192.168.6.1")
    same("dns, two of them", address(offer, 6), "192.168.6.22,9.9.9.9")
    same("ntp, two of them", address(offer, 42), "192.168.6.22,192.168.6.23")
    same("mtu", number(offer, 26), 1400)
    same("option.43 = hex:", option(offer, 43), b"\x01\x04\x0a\x0b\x0c\x0d")
    same("option.150 = ip:", address(offer, 150), "192.168.6.9,192.168.6.10")
    same("option.252 = text:", option(offer, 252), b"http://192.168.6.22/wpad.dat")
    same("no static routes where they are not asked for", option(offer, 121), None)
    same("next-server", offer[BOOTP].siaddr, "192.168.6.9")
    same("boot-file", offer[BOOTP].file.rstrip(b"\0") or option(offer, 67), b"pxelinux.0")
    same("client-id-echo = no: no client identifier in the answer", option(offer, 61), None)

    offer = ask(1, 3, 121)
    same("static-routes in the form of RFC 3442, with the default route that 121 replaces",
         routes(offer and option(offer, 121)),
         {"10.0.0.0/8": "192.168.6.2", "172.16.128.0/17": "192.168.6.3", "0.0.0.0/0": "192.168.6.1"})
    offer = ask(1, 3)
    same("what is not asked for is not sent",
         offer and [option(offer, code) for code in (26, 43, 150, 252)], [None] * 4)
    offer = ask(252, 6, 3, 1)
    codes = [code for code, _ in raw_options(offer)] if offer else []
    same("what is asked for comes in the order of the list (RFC 2132 9.8)",
         [code for code in codes if code in (252, 6, 3)], [252, 6, 3])
    same("but the mask before the router (RFC 2132 3.3)",
         1 in codes and codes.index(1) < codes.index(3), True)

    silent("authoritative = no: silence to INIT-REBOOT with a wrong address",
           request(VM1, "request", wanted("192.168.6.9")))
    answer_is("authoritative = no: the right address is acknowledged",
              exchange(request(VM1, "request", wanted(IP1))), "ack", IP1)
    frame = request(VM1, "discover")
    frame.src = STRANGER
    answer_is("verify-source = no: a sender with another MAC is answered", exchange(frame), "offer",
              IP1)


# ---- as a relay agent

RELAY, RELAY_SERVER = "10.77.200.1", "10.77.0.1"
RELAY_MAC = "02:00:00:ff:00:01"


def relayed(mac, options, giaddr=RELAY, flags=0, **more):
    payload = message(mac, options, giaddr=giaddr, flags=flags, **more)
    return framed(payload, RELAY_MAC, source=RELAY, destination=RELAY_SERVER, to=relay_server_mac(),
                  sport=67)


_relay_server_mac = None


def relay_server_mac():
    """By ARP, as a relay agent finds it."""
    global _relay_server_mac
    if _relay_server_mac is None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.sendto(b"", (RELAY_SERVER, 9))
        end = time.monotonic() + 3
        while time.monotonic() < end and _relay_server_mac is None:
            with open("/proc/net/arp", encoding="ascii") as table:
                for line in table:
                    fields = line.split()
                    if fields[0] == RELAY_SERVER and fields[2] == "0x2":
                        _relay_server_mac = fields[3]
            time.sleep(0.02)
    return _relay_server_mac


def relay():
    mac, ip = "02:00:00:00:00:05", "10.77.1.6"
    agent = ("relay_agent_information", b"\x01\x04port\x02\x03\x00\x01\x02")
    discover = [("message-type", "discover")]

    asked = relayed(mac, discover)
    offer = answer_is("relayed DISCOVER: OFFER of the planned address", exchange(asked), "offer", ip)
    well_formed("the relayed OFFER is well formed", offer, asked, RELAY_SERVER)
    if offer is not None:
        same("it goes to port 67 of the relay agent",
             (offer.dst, offer[IP].dst, offer[UDP].dport), (RELAY_MAC, RELAY, 67))
        same("mask and router are those of the network",
             (address(offer, 1), address(offer, 3)), ("255.255.0.0", RELAY_SERVER))
        same("no agent information where none was sent", option(offer, 82), None)
    asked = relayed(mac, discover, flags=0x8000)
    offer = exchange(asked)
    same("the broadcast flag is for the relay agent: kept, and the frame goes to the agent",
         offer and (int(offer[BOOTP].flags), offer[IP].dst), (0x8000, RELAY))
    offer = exchange(relayed(mac, [*discover, agent]))
    same("agent information comes back as it was, as the last option (RFC 3046)",
         offer and raw_options(offer)[-1], (82, agent[1]))

    def asks(address_wanted, *options):
        return relayed(mac, [("message-type", "request"), ("server_id", RELAY_SERVER),
                             ("requested_addr", address_wanted), *options])

    ack = answer_is("relayed REQUEST: ACK", exchange(asks(ip, agent)), "ack", ip)
    same("with the agent information", ack and option(ack, 82), agent[1])
    nak = answer_is("relayed REQUEST of another address: NAK", exchange(asks("10.77.1.7", agent)),
                    "nak", "0.0.0.0")
    if nak is not None:
        same("the NAK goes to the relay agent with the broadcast flag set (RFC 2131 4.3.2)",
             (nak[IP].dst, nak[UDP].dport, int(nak[BOOTP].flags) & 0x8000), (RELAY, 67, 0x8000))
        same("the NAK has the agent information", option(nak, 82), agent[1])

    frames = [relayed("02:00:00:00:ff:ff", discover),
              relayed(mac, discover, giaddr="172.16.5.1")]
    for frame, sentence in zip(frames, ("relayed DISCOVER of an unknown MAC: silence",
                                        "a relay agent in a network we do not serve: silence")):
        wire.send(frame)
        fence = relayed(mac, discover)
        wire.send(fence)
        seen = []
        found = wire.answers(fence[BOOTP].xid, lambda f: (
            seen.append(f) if f[BOOTP].xid == frame[BOOTP].xid else None)
            or f[BOOTP].xid == fence[BOOTP].xid)
        point(sentence, "the server answers nobody any more" if not found else
              "\n".join(f"answered {kind(f)} {f[BOOTP].yiaddr}" for f in seen))


# ---- for other tests

def release(mac, ip):
    wire.send(request(mac, "release", SERVER_ID, ciaddr=ip))


def odd(mac, ip):
    text = b"evil\nDNSMASQ_EVIL=1\x1b[31m;$(x)\xff"
    answer = exchange(request(mac, "request", SERVER_ID, wanted(ip), ("hostname", text),
                              ("vendor_class_id", text), ("client_id", b"\x00" + text)))
    answer_is("it has its lease", answer, "ack", ip)


if __name__ == "__main__":
    wire = Wire()
    {"direct": direct, "relay": relay, "options": options, "release": release,
     "odd": odd}[sys.argv[1]](*sys.argv[2:])
    print("done")
