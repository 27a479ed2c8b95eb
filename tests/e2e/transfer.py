#!/usr/bin/python3
"""A long TCP transfer that knows whether it stalled and whether it is whole.

    transfer.py give PORT STOP RESULT   gives a stream to the first that connects, until the file
                                        STOP exists
    transfer.py take ADDRESS PORT RESULT  takes it to its end; at each SIGUSR1 it prints the longest
                                        wait for data since the last one, in ms
    transfer.py count ADDRESS PORT      takes one without an end; at SIGTERM it prints how many bytes
                                        came, and when the last one did (seconds since 1970)

Give and take write into RESULT how many bytes it was and their SHA-256.
"""
import hashlib
import os
import signal
import socket
import sys
import time

PIECE = 16384
PER_SECOND = 500  # pieces: 8 MB/s, so that the machine has time left for what is tested


class Sum:
    def __init__(self):
        self.count, self.hash = 0, hashlib.sha256()

    def add(self, data):
        self.count += len(data)
        self.hash.update(data)

    def write(self, path):
        with open(path, "w") as result:
            print(self.count, self.hash.hexdigest(), file=result)


def give(port, stop, result):
    given = Sum()
    with socket.create_server(("", int(port))) as listener:
        print("ready", flush=True)
        connection, _ = listener.accept()
    with connection:
        due = time.monotonic()
        while not os.path.exists(stop):
            data = os.urandom(PIECE)
            connection.sendall(data)
            given.add(data)
            # what a stall held up is not made up for
            due = max(due + 1 / PER_SECOND, time.monotonic() - 0.1)
            time.sleep(max(0, due - time.monotonic()))
    given.write(result)


def take(address, port, result):
    taken, longest, last = Sum(), 0, time.monotonic()

    def tell(_signo, _frame):
        nonlocal longest
        print(round(1000 * max(longest, time.monotonic() - last)), flush=True)
        longest = 0

    with socket.create_connection((address, int(port)), 5) as connection:
        connection.settimeout(None)
        last = time.monotonic()
        signal.signal(signal.SIGUSR1, tell)
        print("ready", flush=True)
        while data := connection.recv(1 << 18):
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            taken.add(data)
    taken.write(result)


def count(address, port):
    taken, last = 0, 0.0

    def tell(_signo, _frame):
        print(taken, f"{last:.3f}", flush=True)
        os._exit(0)

    with socket.create_connection((address, int(port)), 5) as connection:
        connection.settimeout(None)
        signal.signal(signal.SIGTERM, tell)
        print("ready", flush=True)
        while data := connection.recv(1 << 18):
            taken, last = taken + len(data), time.time()
        signal.pause()


try:
    {"give": give, "take": take, "count": count}[sys.argv[1]](*sys.argv[2:])
except OSError as error:
    sys.exit(f"transfer: {error}")
