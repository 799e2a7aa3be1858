"""The stage: a small program that makes the network of one sandbox and hands its ends to the executor.

It is run by its path with the children's interpreter, as the children's user, before any program of the work, and
imports nothing of ours. In a user and network namespace of its own it brings up the loopback device, routes every
other address to it (so that whatever is tried outside is refused at once and can be seen), opens the sockets that the
executor serves from outside, sends them through the control socket, and becomes the program that follows, which
finds the loopback device and nothing else.

Arguments: the control socket's descriptor, ``{"listen": [ports], "serve": bool, "processes": n}`` as JSON, the
program. Answer, one message: ``{"listeners": [port, …]}`` with the descriptors of the listeners, of the socket that
sees packets for addresses elsewhere, and, to serve, of the socket on which a port number asks for a connection to that
port of the sandbox; or ``{"error"}``.
"""

import array
import ctypes
import fcntl
import json
import os
import resource
import socket
import struct
import sys
from collections.abc import Sequence

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP_RUNNING = 0x8914, 0x41
RTM_NEWROUTE, NLM_F_REQUEST_ACK_CREATE = 24, 0x405
TABLE_LOCAL, PROTOCOL_BOOT, SCOPE_HOST, TYPE_LOCAL, ATTRIBUTE_OIF = 255, 3, 254, 2, 4
ETH_P_ALL, SO_ATTACH_FILTER = 3, 26
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
# Classic BPF over the network header: begins of connections, and datagrams, to another address than loopback.
FOREIGN = (
    (0x28, 0, 0, 0xFFFFF000),  # the protocol of the frame
    (0x15, 1, 0, 0x0800),
    (0x15, 8, 17, 0x86DD),
    (0x30, 0, 0, 16),  # IPv4: the first octet of the destination
    (0x15, 15, 0, 127),
    (0x30, 0, 0, 9),
    (0x15, 0, 12, 6),
    (0xB1, 0, 0, 0),  # TCP: SYN without ACK
    (0x50, 0, 0, 13),
    (0x54, 0, 0, 0x12),
    (0x15, 8, 9, 0x02),
    (0x30, 0, 0, 24),  # IPv6: ::1 begins with 0, multicast with 255
    (0x15, 7, 0, 0),
    (0x15, 6, 0, 255),
    (0x30, 0, 0, 6),
    (0x15, 0, 3, 6),
    (0x30, 0, 0, 53),
    (0x54, 0, 0, 0x12),
    (0x15, 0, 1, 0x02),
    (0x06, 0, 0, 512),
    (0x06, 0, 0, 0),
)


def unshare() -> None:
    """Enter a user namespace in which we are who we were, and a network namespace with a loopback device alone."""
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"user and network namespaces: {os.strerror(number)}")
    for name, text in (("setgroups", "deny"), ("gid_map", f"{gid} {gid} 1"), ("uid_map", f"{uid} {uid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def bring_up_loopback() -> None:
    """127.0.0.1 and ::1 come with the device."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))


def keep_everything_here(family: int) -> None:
    """Make every address of the family one of this namespace: nobody answers there, and at once."""
    route = struct.pack("BBBBBBBBI", family, 0, 0, 0, TABLE_LOCAL, PROTOCOL_BOOT, SCOPE_HOST, TYPE_LOCAL, 0)
    route += struct.pack("HHI", 8, ATTRIBUTE_OIF, socket.if_nametoindex("lo"))
    header = struct.pack("IHHII", 16 + len(route), RTM_NEWROUTE, NLM_F_REQUEST_ACK_CREATE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(header + route)
        answer = netlink.recv(4096)
    if (error := struct.unpack_from("i", answer, 16)[0]) != 0:
        raise OSError(-error, f"route: {os.strerror(-error)}")


def watch_packets() -> socket.socket:
    """A socket that gets a copy of every packet for an address elsewhere."""
    seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in FOREIGN)
    kept = ctypes.create_string_buffer(program)
    seen.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(FOREIGN), ctypes.addressof(kept)))
    seen.bind(("lo", ETH_P_ALL))
    return seen


def listen(ports: Sequence[int]) -> list[socket.socket]:
    """Listeners on the loopback addresses of this namespace."""
    made: list[socket.socket] = []
    for port in ports:
        for family, address in LOOPBACK.items():
            try:
                listener = socket.socket(family, socket.SOCK_STREAM)
                listener.bind((address, port))
                listener.listen(128)
            except OSError:
                if family == socket.AF_INET:
                    raise
                continue  # a machine without IPv6
            made.append(listener)
    return made


def serve_connections(asked: socket.socket) -> None:
    """In a child of its own: answer each port number with a connection to it, or with nothing but the reason."""
    while message := asked.recv(16):
        try:
            with socket.create_connection(("127.0.0.1", int(message)), 5) as made:
                made.setblocking(True)
                socket.send_fds(asked, [b"connected"], [made.fileno()])
        except OSError as error:
            asked.send((error.strerror or "no connection").encode())


def connector(control: socket.socket) -> socket.socket:
    """The executor's end of a socket behind which `serve_connections` runs, outside the sandbox but in its network."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        control.close()
        ours.close()
        try:
            serve_connections(theirs)
        finally:
            os._exit(0)
    theirs.close()
    return ours


def main() -> None:
    """Set up, hand over, become the program."""
    control, spec, program = socket.socket(fileno=int(sys.argv[1])), json.loads(sys.argv[2]), sys.argv[3:]
    control.set_inheritable(False)
    try:
        unshare()
        # Counted from here on: processes of the same user elsewhere are not among them.
        resource.setrlimit(resource.RLIMIT_NPROC, (spec["processes"], spec["processes"]))
        bring_up_loopback()
        for family in LOOPBACK:
            try:
                keep_everything_here(family)
            except OSError:
                if family == socket.AF_INET:
                    raise
        listeners = listen(spec["listen"])
        sockets = [*listeners, watch_packets()]
        if spec["serve"]:
            sockets.append(connector(control))
    except OSError as error:
        control.send(json.dumps({"error": str(error)}).encode())
        sys.exit(1)
    said = {"listeners": [one.getsockname()[1] for one in listeners]}
    descriptors = array.array("i", [one.fileno() for one in sockets])
    control.sendmsg([json.dumps(said).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
    os.execv(program[0], program)  # noqa: S606 without a shell is what we want


if __name__ == "__main__":
    main()
