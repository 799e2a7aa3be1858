"""A local double of the issue APIs of GitHub, GitLab and Gitea: their documented paths and shapes, no forge behind."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = """\
<!-- Thank you for filing an issue! -->
A customer changes their mind.\r
\r
## Acceptance criteria\r
\r
- [ ] An open order can be canceled,\r
  and says so\r
- [x] A shipped one cannot\r
1. It is logged\r
\r
## Notes\r
Ask \x1b[2JAda.
"""


@dataclass
class Forge:
    """`answers` are (status, headers, JSON) by path; `asked` are the paths and headers of what was asked."""

    url: str
    answers: dict[str, tuple[int, dict[str, str], object]] = field(
        default_factory=dict[str, tuple[int, dict[str, str], object]]
    )
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])

    def has_issue(self, forge: str, status: int = 200, headers: dict[str, str] | None = None) -> str:
        """The URL, as people open it, of an issue on this forge, or of one that is answered with this status."""
        github = {"number": 7, "title": "Cancel an order", "body": BODY, "state": "open"}
        gitlab = {"iid": 7, "title": "Cancel an order", "description": BODY, "state": "opened"}
        path, said, shown = {
            "github": ("/api/v3/repos/acme/orders/issues/7", github, "acme/orders/issues/7"),
            "gitlab": ("/api/v4/projects/acme%2Fshop%2Forders/issues/7", gitlab, "acme/shop/orders/-/issues/7"),
            "gitea": ("/api/v1/repos/acme/orders/issues/7", github, "acme/orders/issues/7"),
        }[forge]
        self.answers[path] = (status, headers or {}, said if status == 200 else {"message": "no"})
        return f"{self.url}/{shown}"


@contextmanager
def forge_double() -> Generator[Forge]:
    """The double, on a free port of this machine."""

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            forge.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            status, headers, said = forge.answers.get(self.path, (404, {}, {"message": "Not Found"}))
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Tests print nothing of it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        forge = Forge(f"http://127.0.0.1:{server.server_port}")
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield forge
        server.shutdown()
        serving.join()
