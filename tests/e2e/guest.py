#!/usr/bin/python3
"""A DHCP client of one MAC for torture.py and soak.py: it builds its frames by hand, as importing
scapy takes longer than many a test has."""
import itertools
import select
import socket
import struct
import time

HEADERS = 42  # Ethernet, IP, UDP
DISCOVER, OFFER, REQUEST, ACK, RELEASE = 1, 2, 3, 5, 7
transactions = itertools.count(0x61000000)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def option(code, data):
    return bytes([code, len(data)]) + data


class Guest:
    """`server` and `server_mac` are where it renews."""

    def __init__(self, interface, mac, server, server_mac):
        self.mac, self.server_mac = (bytes.fromhex(m.replace(":", "")) for m in (mac, server_mac))
        self.server = socket.inet_aton(server)
        self.address = bytes(4)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        # broadcasts of others fill it while nobody reads
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
        self.socket.bind((interface, 0))

    def send(self, kind, options=b"", renewing=False):
        """The xid that the answer will have."""
        xid = next(transactions)
        ciaddr = self.address if renewing else bytes(4)
        message = struct.pack("!BBBBIHH", 1, 1, 6, 0, xid, 0, 0) + ciaddr + bytes(12) + \
            self.mac + bytes(10 + 192) + bytes.fromhex("63825363") + \
            option(53, bytes([kind])) + options + b"\xff"
        message += bytes(max(0, 300 - len(message)))
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(message), 0, 0, 64, 17, 0) + ciaddr + \
            (self.server if renewing else b"\xff" * 4)
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        udp = struct.pack("!HHHH", 68, 67, 8 + len(message), 0)
        self.socket.send((self.server_mac if renewing else b"\xff" * 6) + self.mac + b"\x08\x00" +
                         ip + udp + message)
        return xid

    def answer(self, xid, patience):
        """(its type, the address it gives), or None."""
        end = time.monotonic() + patience
        while (left := end - time.monotonic()) > 0 and \
                select.select([self.socket], [], [], left)[0]:
            data, (_, _, kind, *_) = self.socket.recvfrom(2048)
            if kind == socket.PACKET_OUTGOING or len(data) < HEADERS + 243 or \
                    data[34:38] != b"\x00\x43\x00\x44" or data[HEADERS] != 2 or \
                    struct.unpack("!I", data[HEADERS + 4:HEADERS + 8])[0] != xid:
                continue
            # its type comes first, as RFC 2131 has it
            return data[HEADERS + 242], data[HEADERS + 16:HEADERS + 20]
        return None

    def ask(self, *words, patience=2.0, **more):
        return self.answer(self.send(*words, **more), patience)

    def lease(self, patience=2.0):
        """DISCOVER and REQUEST: the address that was acknowledged, or None."""
        offer = self.ask(DISCOVER, patience=patience)
        if not offer or offer[0] != OFFER:
            return None
        ack = self.ask(REQUEST, option(54, self.server) + option(50, offer[1]), patience=patience)
        if not ack or ack[0] != ACK:
            return None
        self.address = ack[1]
        return socket.inet_ntoa(ack[1])

    def renew(self, patience=2.0):
        """True: acknowledged."""
        ack = self.ask(REQUEST, renewing=True, patience=patience)
        return bool(ack and ack[0] == ACK and ack[1] == self.address)

    def release(self):
        self.send(RELEASE, option(54, self.server), renewing=True)
