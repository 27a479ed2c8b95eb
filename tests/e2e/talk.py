#!/usr/bin/python3
"""The two ends of the traffic in the end-to-end tests.

    talk.py serve NAME PORT FILE     TCP and UDP: answers `NAME sees ADDRESS`, then echoes lines;
                                     notes each datagram in FILE
    talk.py ask ADDRESS PORT [SOURCE]               one TCP connection, prints the first line
    talk.py ask-udp ADDRESS PORT SOURCE-PORT TEXT   one datagram, prints the answer
    talk.py hold ADDRESS PORT                       one TCP connection: each line of standard input
                                                    goes there, each line that comes is printed
"""
import ctypes
import os
import selectors
import signal
import socket
import sys
import threading

# seconds until a peer counts as unreachable; TALK_PATIENCE where it must be
PATIENCE = float(os.environ.get("TALK_PATIENCE", "10"))


def serve(name, port, path):
    def tcp(connection, address):
        with connection, connection.makefile("rw") as stream:
            print(name, "sees", address, file=stream, flush=True)
            for line in stream:
                print(name, "echoes", line.strip(), file=stream, flush=True)

    def accept():
        while True:
            connection, peer = listener.accept()
            threading.Thread(target=tcp, args=(connection, peer[0]), daemon=True).start()

    # with the test that started it, which may have taken its namespace away
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    listener = socket.create_server(("", int(port)), backlog=64)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("", int(port)))
    threading.Thread(target=accept, daemon=True).start()
    with open(path, "a", buffering=1) as notes:
        print("ready", flush=True)
        while True:
            data, peer = datagrams.recvfrom(2048)
            print(peer[0], data.decode(errors="replace"), file=notes)
            try:
                datagrams.sendto(f"{name} sees {peer[0]}".encode(), peer)
            except OSError:
                pass  # no way back to an address without NAT


def ask(address, port, source=""):
    with socket.create_connection((address, int(port)), PATIENCE,
                                  (source, 0) if source else None) as connection:
        print(connection.makefile().readline().strip())


def ask_udp(address, port, source_port, text):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("", int(source_port)))
        datagrams.settimeout(PATIENCE)
        datagrams.sendto(text.encode(), (address, int(port)))
        print(datagrams.recv(2048).decode())


def hold(address, port):
    with socket.create_connection((address, int(port)), PATIENCE) as connection:
        connection.settimeout(None)
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            selector.register(sys.stdin, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is connection:
                        data = connection.recv(2048)
                        if not data:
                            return "closed"
                        print(data.decode().strip(), flush=True)
                    else:
                        line = sys.stdin.readline()
                        if not line:
                            return None
                        connection.sendall(line.encode())


VERBS = {"serve": serve, "ask": ask, "ask-udp": ask_udp, "hold": hold}

try:
    sys.exit(VERBS[sys.argv[1]](*sys.argv[2:]))
except OSError as error:
    sys.exit(f"talk: {error}")
