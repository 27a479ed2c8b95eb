#!/usr/bin/python3
"""Bad clients of the control socket: opens connections, misuses them, and holds on to them.

    clients.py SOCKET COUNT KIND FILE

KIND is bind (asks for a change, and waits for it), silent, half (of a line), garbage, endless (a line without an end), deaf (asks again and
again and reads nothing), follow (the same with the one request that has no end), drip (an octet a
second). How many connections the daemon has not closed is kept in FILE, from when all are open.
"""
import os
import socket
import sys
import time

REQUESTS = {
    "silent": b"",
    "bind": b'{"command":["ip","bind","vm-001","20.251.48.105"]}\n',
    "half": b'{"command":["st',
    "garbage": bytes(range(11, 256)) * 8 + b"\n",
    "endless": b"x" * 200000,
    "deaf": b'{"command":["vm","list"]}\n' * 2000,
    "follow": b'{"command":["events","--follow"]}\n',
    "drip": b"",
}


def send(peer, data):
    """As much as goes without waiting."""
    try:
        while data:
            data = data[peer.send(data):]
    except OSError:
        pass


def is_open(peer, reads):
    """What was sent to us is left alone unless we read, as the end is seen only behind it."""
    try:
        while True:
            if not peer.recv(65536, 0 if reads else socket.MSG_PEEK):
                return False
            if not reads:
                break
    except BlockingIOError:
        pass
    except OSError:
        return False
    try:  # a peer that is gone is seen by writing too
        peer.send(b"")
    except OSError:
        return False
    return True


def main():
    path, count, kind, file = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    peers = []
    for _ in range(count):
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.connect(path)
        except OSError as error:
            sys.exit("connection %d: %s" % (len(peers), error))
        peer.setblocking(False)
        peers.append(peer)
        send(peer, REQUESTS[kind])
    while True:
        for peer in peers:
            if kind == "drip":
                send(peer, b"x")
            elif kind == "garbage":
                send(peer, REQUESTS[kind])
        count = sum(is_open(peer, kind not in ("deaf", "follow")) for peer in peers)
        with open(file + ".new", "w", encoding="ascii") as out:
            print(count, file=out)
        os.rename(file + ".new", file)
        time.sleep(1 if kind == "drip" else 0.1)


main()
