"""`python -m orders_service`: serve on $HOST:$PORT until interrupted."""

from __future__ import annotations

import os

from orders_service.server import Server
from orders_service.store import Orders


def main() -> None:
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080"))
    with Server((host, port), Orders(), os.environ.get("SOURCE_COMMIT", "unknown")) as server:
        print(f"orders listens on {host}:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
