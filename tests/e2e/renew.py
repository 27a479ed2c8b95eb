#!/usr/bin/python3
"""A client that renews the leases of many machines at a steady rate, for 26-big-reload.t.

    renew.py MACHINES PER-SECOND SERVER SERVER-MAC READY STOP

Machine I has the MAC 02:00:00:00:HH:LL and the address 10.77.(1 + I / 200).(1 + I % 200). It makes
the file READY when the first answer is there, goes on until there is a file STOP, and prints how
many requests were sent and answered, the longest wait for an answer and the longest time without
one. No request is sent twice.
"""
import os
import select
import socket
import struct
import sys
import time

MACHINES, PER_SECOND = int(sys.argv[1]), int(sys.argv[2])
SERVER, SERVER_MAC = sys.argv[3], bytes.fromhex(sys.argv[4].replace(":", ""))
READY, STOP = sys.argv[5], sys.argv[6]
LONGEST = 60.0  # seconds; then it ends by itself
PATIENCE = 3.0  # for the last answers


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def frame_of(machine):
    """(the frame up to the xid, the rest): RENEWING, with ciaddr, to the server alone."""
    mac = bytes([2, 0, 0, 0, machine >> 8, machine & 255])
    address = bytes([10, 77, 1 + machine // 200, 1 + machine % 200])
    options = bytes.fromhex("638253633501033703010306ff")
    rest = struct.pack("!HH", 0, 0) + address + bytes(12) + mac + bytes(10 + 192) + options
    rest += bytes(300 - 8 - len(rest))
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 328, 0, 0, 64, 17, 0, address,
                     socket.inet_aton(SERVER))
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return (SERVER_MAC + mac + b"\x08\x00" + ip + struct.pack("!HHHH", 68, 67, 308, 0)
            + b"\x01\x01\x06\x00", rest)


def is_ack(data):
    return data[282:285] == b"\x35\x01\x05"


def main():
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    wire.bind(("eth0", 0))
    wire.setsockopt(263, 1, struct.pack("iHH8s", socket.if_nametoindex("eth0"), 1, 0, b""))
    frames = [frame_of(i) for i in range(MACHINES)]
    waiting = {}  # xid: when it was sent
    sent = acks = others = 0
    longest_wait = longest_gap = 0.0
    start = last = time.monotonic()
    end = start + LONGEST
    stopping = False
    while True:
        now = time.monotonic()
        if not stopping and (now > end or os.path.exists(STOP)):
            stopping, end = True, now + PATIENCE
        if stopping and (not waiting or now > end):
            break
        due = start + sent / PER_SECOND
        if not stopping and now >= due:
            head, rest = frames[sent % MACHINES]
            sent += 1
            waiting[sent] = now
            wire.send(head + struct.pack("!I", sent) + rest)
            continue
        if not select.select([wire], [], [], 0.05 if stopping else max(0, due - now))[0]:
            continue
        data = wire.recv(2048)
        if len(data) < 285 or data[42] != 2:
            continue
        now = time.monotonic()
        asked = waiting.pop(struct.unpack("!I", data[46:50])[0], None)
        if asked is None or not is_ack(data):
            others += 1
            continue
        acks += 1
        longest_wait, longest_gap = max(longest_wait, now - asked), max(longest_gap, now - last)
        if acks == 1:
            open(READY, "w", encoding="ascii").close()
            longest_gap = 0.0
        last = now
    print(f"sent={sent} acks={acks} lost={len(waiting)} others={others} "
          f"wait={longest_wait * 1000:.0f} gap={longest_gap * 1000:.0f}")


main()
