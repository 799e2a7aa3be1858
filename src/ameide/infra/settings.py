"""The values an executor runs with; `ameide.config` reads them, nothing here looks at the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ameide.contracts import topics
from ameide.errors import InvalidArgument
from ameide.infra.credentials import Credentials

AUTHOR_QUEUES = (topics.QUEUE_CODER, topics.QUEUE_ANALYST, topics.QUEUE_GENERATE)
VERIFIER_QUEUES = (topics.QUEUE_VERIFY, topics.QUEUE_VERIFY_UI, topics.QUEUE_PUBLISH)
OPERATOR_VARIABLES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_TRUSTED_HOST",
    "PIP_CERT",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_NO_INDEX",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_FIND_LINKS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "npm_config_registry",
    "npm_config_cafile",
    "npm_config_strict_ssl",
    "GOPROXY",
    "GONOSUMDB",
    "GONOSUMCHECK",
    "GOSUMDB",
    "GOPRIVATE",
    "GOFLAGS",
    "GONOPROXY",
    "JAVA_HOME",
    "MAVEN_OPTS",
    "MAVEN_ARGS",
)
"""Variables of the operator that a verify child gets besides its own; the coder's child gets none of them."""

STORE_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
)
"""Standard variables of an S3 object store."""
_STORE_SECRETS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


GATEWAY = "gateway:"
"""In place of an object store: what belongs there goes through the Domain's door."""
_TOKEN_OF_TENANT = re.compile(r"ameide_([a-z0-9][a-z0-9-]*)_tok-")


def tokens_of(text: str) -> dict[str, str]:
    """The tokens of an executor by their tenants: words, one a tenant. A single one may be of any form.

    Raises `InvalidArgument` for two of one tenant, and for one that names none.
    """
    words = text.split()
    if len(words) <= 1:
        word = "".join(words)
        match = _TOKEN_OF_TENANT.match(word)
        return {match[1] if match else "": word}
    found: dict[str, str] = {}
    for place, word in enumerate(words, 1):
        match = _TOKEN_OF_TENANT.match(word)
        if match is None or match[1] in found:
            what = "is no token" if match is None else f"is a second one of tenant {match[1]}"
            raise InvalidArgument(
                f"word {place} {what}", field="AMEIDE_TOKEN", remedy="Give one token a tenant, with spaces between them"
            )
        found[match[1]] = word
    return found


@dataclass(frozen=True)
class UnprivilegedUser:
    """Numeric ids that children run as when the executor is root; no passwd entry is needed."""

    uid: int
    gid: int


BUBBLEWRAP, NO_SANDBOX = "bubblewrap", "none"


@dataclass(frozen=True)
class Isolation:
    """How the children of an executor are kept apart.

    `sandbox` is `BUBBLEWRAP` or `NO_SANDBOX`. `readable` are files and folders of the machine that every child may
    read, `hidden` folders and files that none may, also where they lie in such a one. `coder_hosts` and `verify_hosts`
    are ``host:port`` or ``*.host:port``. One child and its descendants are bounded to so many `processes`, `output_mb`
    MiB of output, `memory_mb` MiB of memory, and `disk_mb` MiB in the workspace.
    """

    sandbox: str = BUBBLEWRAP
    readable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    coder_hosts: tuple[str, ...] = ()
    verify_hosts: tuple[str, ...] = ()
    processes: int = 1024
    output_mb: int = 256
    memory_mb: int = 8192
    disk_mb: int = 20480


@dataclass(frozen=True)
class CodexSettings:
    """How the coder `codex` runs.

    `home` is the operator's CODEX_HOME, None for none; `variables` are the values of the environment variables that its
    config.toml names. `wait_seconds` is how long an attempt waits for a model that answers nothing but that it is busy.
    """

    program: str = ""
    home: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    write_back: bool = False
    wait_seconds: int = 900


@dataclass(frozen=True)
class ExecutorSettings:
    """How one executor runs.

    `token` holds one or several (see `tokens_of`). `credentials` are found by the references of repositories; each
    of several tenants has its own (see `of_tenant`). `object_store` is ``file:///folder``, ``s3://bucket/prefix``
    or `GATEWAY`; `registry` is the folder of OCI layouts, `forge` the folder of local remotes. `git_lfs` is the
    program of that name, None to look for it in the system's folders. `python` and `search_path` name programs that
    the children can execute (see `ameide.infra.toolchain`). `slots` works run at a time, and as many more of a
    queue as `queue_slots` gives it for itself. `prices` is a file (see `ameide.config.prices`); `repeats` bounds
    how often an agent does the same, 0 does not.
    """

    address: str
    token: str = field(repr=False)
    name: str
    queues: tuple[str, ...]
    work_root: Path
    object_store: str
    registry: str
    forge: str
    python: Path
    search_path: tuple[Path, ...]
    user: UnprivilegedUser | None = None
    slots: int = 1
    queue_slots: Mapping[str, int] = field(default_factory=dict[str, int])
    poll_seconds: int = 20
    credentials: Credentials = field(default_factory=Credentials)
    operator_environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    store_options: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    otlp_headers: str = field(default="", repr=False)
    broker_secrets: tuple[str, ...] = field(default=(), repr=False)
    git_lfs: Path | None = None
    coder_command: tuple[str, ...] = ()
    coder_patches: Path | None = None
    dependency_dir: Path | None = None
    dependency_bytes: int = 0
    codex: CodexSettings = field(default_factory=CodexSettings)
    prices: Path | None = None
    repeats: int = 6
    isolation: Isolation = field(default_factory=Isolation)

    @property
    def apart(self) -> bool:
        """Whether it works for several tenants: each has credentials of its own then, and no paths of this machine."""
        return len(tokens_of(self.token)) > 1

    def of_tenant(self, tenant_id: str) -> ExecutorSettings:
        """With what a work of that tenant is done. Raises `InvalidArgument` for a name that is none."""
        return replace(self, credentials=self.credentials.of_tenant(tenant_id)) if self.apart else self

    def secrets(self) -> tuple[str, ...]:
        """Values that must not reach a log, an error or evidence, nor a repository, as they are now."""
        collector = [header.partition("=")[2] for header in self.otlp_headers.split(",")]
        store = [value for name, value in self.store_options.items() if name in _STORE_SECRETS]
        words = [word for value in self.operator_environment.values() for word in re.split(r"[\s,|]+", value)]
        operator = [_password(word) for word in words]
        brokers = self.broker_secrets
        tenants = [self.credentials.of_tenant(tenant) for tenant in tokens_of(self.token)] if self.apart else []
        found = [secret for credentials in (self.credentials, *tenants) for secret in credentials.secrets()]
        values = [*self.token.split(), *found, *store, *operator, *collector, *brokers]
        # Of ``user:password`` the user is no secret.
        parts = [part for value in values for part in (value, value.rpartition(":")[2]) if len(part) >= 8]
        return tuple(dict.fromkeys(parts))


def _password(url: str) -> str:
    """What a URL says after its user, or alone, before the host; empty for none."""
    try:
        parts = urlsplit(url)
        return unquote(parts.password or parts.username or "")
    except ValueError:
        return ""
