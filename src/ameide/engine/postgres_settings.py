"""Configuration of the embedded PostgreSQL, written anew at each start."""

from pathlib import Path

_LONGEST_SOCKET_FOLDER = 85  # a socket's path may have 107 bytes, and PostgreSQL adds "/.s.PGSQL.<port>.lock"


def settings(port: int, sockets: Path) -> str:
    """``postgresql.conf``: durable (fsync is on by default), loopback only, memory for one machine."""
    socket_folder = str(sockets) if len(bytes(sockets)) <= _LONGEST_SOCKET_FOLDER else ""
    return f"""\
# Written by ameide at each start; changes are lost.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 128MB
max_wal_size = 1GB
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
"""


HOST_BASED_AUTHENTICATION = """\
# Written by ameide at each start; changes are lost. Everybody must know a password, on the socket as well.
local all all           scram-sha-256
host  all all 127.0.0.1/32 scram-sha-256
host  replication postgres 127.0.0.1/32 scram-sha-256
"""
