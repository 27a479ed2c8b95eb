#!/usr/bin/python3
"""Who reaches whom, and as whom: all rows of a table at once, from and to many namespaces.

    matrix.py NAME=NAMESPACE… <ROWS

A row is `CALLER PROTOCOL ADDRESS PORT [SOURCE]`, the protocol tcp, udp or icmp (whose port is not
used); SOURCE is the address of the caller's that it calls from, where that matters.
In each namespace there are listeners for TCP and UDP at port 8000, and one for ICMP. For each row
a line is printed:

    NAME sees SOURCE              it arrived there, with this source address, and was answered
    NAME sees SOURCE, no answer   it arrived there, and the caller heard nothing (not for tcp)
    refused                       somebody answered that nobody listens
    nothing                       nothing arrived anywhere, and nothing came back
"""
import ctypes
import os
import selectors
import socket
import struct
import sys
import time

PORT = 8000
PATIENCE = 20.0  # seconds for all rows together; those that are answered end sooner
LOOK = 0.05     # seconds of one look for what has come
SETTLE = 14     # if so many looks find nothing, what was to come has come
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    with open(f"/run/netns/{namespace}") as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def echo_request(number, token):
    token += b" " * (len(token) % 2)
    header = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xffff, number)
    return header[:2] + struct.pack("!H", checksum(header + token)) + header[4:] + token


class Row:
    def __init__(self, number, caller, protocol, address, port, source=""):
        self.number, self.caller, self.protocol = number, caller, protocol
        self.address, self.port, self.source = address, int(port), source
        self.token = f"token-{os.getpid()}-{number:05d}".encode()
        self.arrived, self.answer, self.socket = None, None, None

    def result(self):
        if self.answer == "echo":  # the answer does not tell who gave it, the arrival does
            return self.arrived or "answered by nobody of ours"
        if self.answer:
            return self.answer
        return f"{self.arrived}, no answer" if self.arrived else "nothing"


class Matrix:
    def __init__(self, namespaces, rows):
        self.selector = selectors.DefaultSelector()
        self.rows = rows
        self.by_token = {row.token: row for row in rows}
        for name, namespace in namespaces.items():
            enter(namespace)
            self.listen(name)
        for row in rows:
            enter(namespaces[row.caller])
            self.call(row)

    def watch(self, sock, events, handler):
        sock.setblocking(False)
        self.selector.register(sock, events, handler)

    # ---- listeners

    def listen(self, name):
        tcp = socket.create_server(("", PORT), backlog=256)
        self.watch(tcp, selectors.EVENT_READ, lambda: self.accept(name, tcp))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
        udp.bind(("", PORT))
        self.watch(udp, selectors.EVENT_READ, lambda: self.datagram(name, udp))
        icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.watch(icmp, selectors.EVENT_READ, lambda: self.echo(name, icmp))

    def accept(self, name, listener):
        connection, peer = listener.accept()
        connection.sendall(f"{name} sees {peer[0]}\n".encode())
        connection.close()

    def datagram(self, name, udp):
        data, ancillary, _, peer = udp.recvmsg(2048, 64)
        row = self.by_token.get(data)
        if row:
            row.arrived = f"{name} sees {peer[0]}"
        # the answer comes from the address that was asked
        _, _, info = ancillary[0]
        info = struct.pack("=I4s4s", 0, info[4:8], b"\0\0\0\0")
        try:
            udp.sendmsg([f"{name} sees {peer[0]}".encode()],
                        [(socket.IPPROTO_IP, 8, info)], 0, peer)
        except OSError:
            pass  # no way back to an address without NAT

    def echo(self, name, icmp):
        data, peer = icmp.recvfrom(2048)
        message = data[(data[0] & 15) * 4:]
        row = self.by_token.get(message[8:].rstrip())
        if row and message[0] == 8:
            row.arrived = f"{name} sees {peer[0]}"
        elif row and message[0] == 0 and name == row.caller and peer[0] == row.address:
            row.answer = "echo"

    # ---- callers

    @staticmethod
    def socket_from(source, kind, protocol=0):
        made = socket.socket(socket.AF_INET, kind, protocol)
        made.bind((source, 0))
        return made

    def call(self, row):
        try:
            if row.protocol == "tcp":
                row.socket = self.socket_from(row.source, socket.SOCK_STREAM)
                self.watch(row.socket, selectors.EVENT_WRITE, lambda: self.connected(row))
                error = row.socket.connect_ex((row.address, row.port))
                if error not in (0, 115):  # EINPROGRESS
                    raise OSError(error, os.strerror(error))
            elif row.protocol == "udp":
                row.socket = self.socket_from(row.source, socket.SOCK_DGRAM)
                row.socket.connect((row.address, row.port))
                self.watch(row.socket, selectors.EVENT_READ, lambda: self.answered(row))
                row.socket.send(row.token)
            else:
                # answers are taken by the listener of the caller's namespace
                row.socket = self.socket_from(row.source, socket.SOCK_RAW, socket.IPPROTO_ICMP)
                row.socket.sendto(echo_request(row.number, row.token), (row.address, 0))
        except OSError:
            self.drop(row)

    def connected(self, row):
        error = row.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            row.answer = "refused" if error == 111 else None
            self.drop(row)
            return
        self.selector.modify(row.socket, selectors.EVENT_READ, lambda: self.answered(row))

    def answered(self, row):
        try:
            row.answer = row.socket.recv(2048).decode().strip()
        except ConnectionRefusedError:
            row.answer = "refused"
        except OSError:
            pass
        self.drop(row)

    def drop(self, row):
        if row.socket:
            try:
                self.selector.unregister(row.socket)
            except (KeyError, ValueError):
                pass
            row.socket.close()
            row.socket = None

    def run(self):
        end = time.monotonic() + PATIENCE
        ready, in_vain = True, 0
        # an answer may be read before the arrival that it answers
        while ready or any(row.answer is None for row in self.rows):
            # not by the clock, which goes on while we wait for a processor
            if time.monotonic() > end or in_vain >= SETTLE:
                break
            ready = self.selector.select(LOOK)
            in_vain = 0 if ready else in_vain + 1
            for key, _ in ready:
                key.data()
        for row in self.rows:
            print(row.result())


def main():
    names = dict(pair.split("=") for pair in sys.argv[1:])
    Matrix(names, [Row(number, *line.split()) for number, line in enumerate(sys.stdin)]).run()


if __name__ == "__main__":
    main()
