"""The settings: one table, and the only reader of the environment.

A value comes from, in this order: the environment, the TOML file that AMEIDE_CONFIG names, the default here. A secret
may also lie in a file that the variable with _FILE at its end, or the key with _file, names.
"""

# ruff: noqa: RUF009 -- a default made by `_setting` is a field of the dataclass, not a shared value.

from __future__ import annotations

import json
import os
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from ameide.errors import InvalidArgument

T = TypeVar("T")
CONFIG_VARIABLE = "AMEIDE_CONFIG"
CODEX_SECRET = Path("/codex-secret")
"""Where a cluster mounts the secret with Codex's credentials."""
SANDBOXES = ("bubblewrap", "none")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
DATABASE_ROLES = ("ameide_app", "ameide_relay", "ameide_sweeper", "ameide_ingress", "ameide_projector")
"""The roles of this program that log in to the database; each has a setting `database_url_<name without ameide_>`."""
SCALER_ROLE = "ameide_keda"
"""The role of a scaler of executors, which may ask how many works of a queue wait. It has such a setting, too."""


def _setting(default: T, doc: str, *, variable: str = "", secret: bool = False) -> T:
    return field(default=default, repr=not secret, metadata={"doc": doc, "variable": variable, "secret": secret})


@dataclass(frozen=True)
class Entry:
    """One row of the table. `kind` is path, text, number or words; `default` is as the environment would say it."""

    name: str
    variable: str
    kind: str
    default: str
    doc: str
    secret: bool


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How this program runs. Empty text means: not set."""

    state_dir: Path = _setting(
        Path("~/.local/state/ameide"), "Everything that one installation keeps: data, logs, tokens, embedded engines."
    )
    cache_dir: Path = _setting(
        Path("~/.cache/ameide"), "What can be made again, shared by all state folders: the compiled Temporal server."
    )
    tenant: str = _setting("default", "The tenant whose records the commands speak of.")
    address: str = _setting(
        "", "URL of the Domain's door, e.g. `http://127.0.0.1:8480`. Default: the one that `ameide up` chose."
    )
    token: str = _setting(
        "",
        "Bearer token of the caller. Default: the token that `ameide up` made for `principal`. An executor may have "
        "several with spaces between them, one a tenant.",
        secret=True,
    )
    principal: str = _setting("owner", "Whose token file in the state folder is used; `ameide --as NAME` says it too.")
    listen_host: str = _setting("127.0.0.1", "Address on which the control process listens.")
    listen_port: int = _setting(
        8480, "Port on which the control process listens; `ameide up` takes another if it is busy."
    )
    database_url_admin: str = _setting(
        "", "PostgreSQL connection that may create roles and migrate. Default: the embedded server.", secret=True
    )
    database_url_app: str = _setting("", "Connection of the Domain as role ameide_app.", secret=True)
    database_url_relay: str = _setting("", "Connection of the relay as role ameide_relay.", secret=True)
    database_url_sweeper: str = _setting("", "Connection of the sweeper as role ameide_sweeper.", secret=True)
    database_url_ingress: str = _setting("", "Connection of the ingress as role ameide_ingress.", secret=True)
    database_url_projector: str = _setting("", "Connection of the projector as role ameide_projector.", secret=True)
    database_url_keda: str = _setting(
        "",
        "Connection of a scaler of executors such as KEDA as role ameide_keda; `ameide db migrate` sets its password.",
        secret=True,
    )
    temporal_address: str = _setting(
        "", "host:port of a Temporal server. Default: the embedded one.", variable="TEMPORAL_ADDRESS"
    )
    temporal_namespace: str = _setting("ameide", "Temporal namespace of the runs.", variable="TEMPORAL_NAMESPACE")
    process_token: str = _setting("", "Token of the Process (worker and ingress), role process.", secret=True)
    author_token: str = _setting("", "Token of the executor that serves the agent and generate queues.", secret=True)
    verifier_token: str = _setting("", "Token of the executor that serves the verify and publish queues.", secret=True)
    object_store: str = _setting(
        "",
        "Evidence and builds: `file:///folder` or `s3://bucket/prefix`. Default: `objects` in the state folder. For an "
        "executor also `gateway:`, through the Domain's door, as `ameide runner` does.",
    )
    registry_root: Path = _setting(Path(), "Folder of OCI image layouts. Default: `registry` in the state folder.")
    forge_root: Path = _setting(Path(), "Folder of local git remotes. Default: `remotes` in the state folder.")
    work_dir: Path = _setting(Path(), "Folder in which executors make workspaces. Default: `work` in the state folder.")
    credentials_dir: Path = _setting(
        Path(),
        "Folder with one file per credential reference of a repository. Default: `credentials` in the state folder.",
    )
    credential_variables: tuple[str, ...] = _setting(
        (), "Variables of the executor's environment that a credential reference `env:NAME` may name."
    )
    git_lfs: Path = _setting(
        Path(),
        "The program git-lfs, for repositories that keep files there. Default: looked for in the system's folders.",
    )
    author_uid: int = _setting(64101, "User id of the author's children when the executor runs as root.")
    verifier_uid: int = _setting(64102, "User id of the verifier's children when the executor runs as root.")
    author_slots: int = _setting(1, "Works that the author executor runs at the same time.")
    verifier_slots: int = _setting(1, "Works that the verifier executor runs at the same time.")
    child_python: str = _setting("", "An interpreter that the children may execute. Default: found or copied.")
    child_path: str = _setting(
        "/usr/local/go/bin:/usr/local/node/bin:/usr/local/maven/bin",
        "Folders with the tools of the repositories (Go, Node, Maven), separated by colons. They follow the system's "
        "own in the children's search path; those that aren't there are passed over.",
    )
    child_readable: tuple[str, ...] = _setting(
        (), "More files and folders of the machine that children may read; /usr and /opt are readable as they are."
    )
    sandbox: str = _setting(
        "bubblewrap",
        "`bubblewrap`, or `none`: then the programs of a work see this machine and its network. Without a sandbox that "
        "holds, work is refused with SANDBOX_UNAVAILABLE.",
    )
    coder_hosts: tuple[str, ...] = _setting(
        (), "Hosts that the coder `command` reaches, `host:port` or `*.host:port`, such as its model. Default: none."
    )
    verify_hosts: tuple[str, ...] = _setting(
        (),
        "Hosts that tests and their set-up reach, `host:port` or `*.host:port`, besides the package registries that "
        "pip, go, npm and mvn are made for and those that the operator's variables name.",
    )
    child_processes: int = _setting(1024, "How many processes and threads one child and its descendants are at most.")
    dependency_dir: Path = _setting(
        Path(),
        "What set-ups of repositories fetched, kept for the next works. Default: `dependencies` in the state folder.",
    )
    dependency_megabytes: int = _setting(
        5_000, "Bound of that folder; the longest unused goes first. 0: nothing is kept, each work fetches for itself."
    )
    child_output_mb: int = _setting(256, "MiB that one child prints at most; more ends it.")
    child_memory_mb: int = _setting(
        8192, "MiB of memory that one child and its descendants use at most; more ends them."
    )
    work_disk_mb: int = _setting(20480, "MiB that the folders of one work hold at most; more ends its child.")
    coder_command: tuple[str, ...] = _setting(
        (), "Command line of the coder `command`: the prompt comes on standard input, the working tree is changed."
    )
    patches_dir: Path = _setting(
        Path(),
        "Folder of the coder `patches`, applied in turn, one an iteration. Default: `patches` in the state folder.",
    )
    codex: str = _setting(
        "", "The Codex CLI that the coder `codex` runs. Default: the one that came with ameide, else that on the PATH."
    )
    codex_home: Path = _setting(
        Path(),
        "Folder with Codex's `auth.json` and `config.toml`, copied for each attempt. Default: `/codex-secret` when it "
        "holds an `auth.json`.",
        variable="CODEX_HOME",
    )
    codex_write_back: int = _setting(
        0, "1: a token that Codex refreshed during an attempt is written back to `CODEX_HOME/auth.json`; 0: it is not."
    )
    codex_wait_seconds: int = _setting(
        900,
        "Seconds for which an attempt waits while its model is overloaded or limits the rate, without progress.",
    )
    repeats: int = _setting(
        6,
        "How often an agent does the same with the same result until its attempt is ended as stuck; 0: for ever.",
    )
    prices: Path = _setting(
        Path(),
        "TOML file with what each model's tokens cost. Default: costs are unknown; see the how-to on Codex.",
    )
    facts_transport: str = _setting(
        "postgres",
        "What carries facts to the ingress: `postgres` or `kafka`. The projector reads the log either way.",
    )
    queue_transport: tuple[str, ...] = _setting(
        (),
        "What carries the invitations of the work queues: `kafka` for all, or `QUEUE=kafka` and `QUEUE=postgres` for "
        "some; short names such as `coder` will do. Default: `postgres`.",
    )
    queue_slots: tuple[str, ...] = _setting(
        (),
        "Slots of a pool that serve one queue alone, `QUEUE=NUMBER`; the other queues share the slots of their role.",
    )
    kafka_brokers: str = _setting(
        "",
        "host:port of Kafka brokers, separated by commas; needed when something goes by Kafka.",
        variable="KAFKA_BROKERS",
    )
    kafka_security_protocol: str = _setting("PLAINTEXT", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.")
    kafka_sasl_mechanism: str = _setting("SCRAM-SHA-512", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.")
    kafka_sasl_username: str = _setting("", "User name at the brokers.")
    kafka_sasl_password: str = _setting("", "Password at the brokers.", secret=True)
    kafka_ca_file: Path = _setting(Path(), "PEM file of the CA of the brokers. Default: the system's CAs.")
    kafka_certificate_file: Path = _setting(Path(), "PEM file of the certificate that this client shows the brokers.")
    kafka_key_file: Path = _setting(Path(), "PEM file of that certificate's key.")
    kafka_key_password: str = _setting("", "Password of that key.", secret=True)
    kafka_partitions: int = _setting(
        6,
        "Partitions of a topic that is created. A queue is worked off by as many executors at once as join its group; "
        "as many as there are partitions take invitations at the same moment.",
    )
    kafka_replication: int = _setting(0, "Replicas of a topic that is created; 0: what the brokers have as a default.")
    kafka_retention_hours: int = _setting(
        168,
        "Hours for which a created topic keeps messages; bounds how far a consumer may fall behind, not the record.",
    )
    kafka_session_seconds: int = _setting(
        10, "Seconds after which the brokers give the partitions of a silent consumer to another one."
    )
    admin_port: int = _setting(
        0,
        "Port on which a process answers /healthz, /readyz and /metrics; 0: none. The Domain's door answers them, too. "
        "`ameide up` takes it for the worker, and the next one for the executor.",
    )
    drain_seconds: int = _setting(
        25, "Seconds that a process has after SIGTERM to end what it has begun; a second SIGTERM ends it at once."
    )
    otlp_endpoint: str = _setting(
        "",
        "Base URL of an OpenTelemetry collector for OTLP over HTTP, e.g. `http://127.0.0.1:4318`. Default: no traces.",
        variable="OTEL_EXPORTER_OTLP_ENDPOINT",
    )
    otlp_headers: str = _setting(
        "",
        "Headers for the collector, `name=value,name=value`.",
        variable="OTEL_EXPORTER_OTLP_HEADERS",
        secret=True,
    )
    traceparent: str = _setting(
        "",
        "W3C trace context that a command of the command line belongs to, e.g. a pipeline's.",
        variable="TRACEPARENT",
    )
    notify_command: tuple[str, ...] = _setting(
        (), "Command line that is run when a gate waits, without a shell; the notice comes as JSON on standard input."
    )
    notify_webhook_url: str = _setting("", "URL that a signed notice is posted to when a gate waits.", secret=True)
    notify_webhook_secret: str = _setting(
        "", "Secret that signs the notices (Standard Webhooks): `whsec_` and base64, or any text.", secret=True
    )
    upload_megabytes: int = _setting(
        500, "MB of one artifact that an executor may upload through the Domain; all of an attempt may have twice that."
    )
    lease_seconds: int = _setting(30, "Seconds for which a claim or a heartbeat holds a work.")
    log_partition_messages: int = _setting(
        1_000_000, "Messages in one partition of the log, which is archived and dropped as a whole; about 1 GB."
    )
    crash_at: str = _setting(
        "", "For fault tests: end this process by SIGKILL at a named point, `<role>.<what>.<where>[:n]`."
    )
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR; logs are JSON lines on standard error.")


def _table() -> tuple[Entry, ...]:
    kinds = {Path: "path", str: "text", int: "number", tuple[str, ...]: "words"}
    hints = get_type_hints(Settings)
    rows: list[Entry] = []
    for row in fields(Settings):
        default = cast("Path | str | int | tuple[str, ...]", row.default)
        shown = shlex.join(default) if isinstance(default, tuple) else "" if default == Path() else str(default)
        variable = row.metadata["variable"] or f"AMEIDE_{row.name.upper()}"
        rows.append(
            Entry(row.name, variable, kinds[hints[row.name]], shown, row.metadata["doc"], row.metadata["secret"])
        )
    return tuple(rows)


TABLE: tuple[Entry, ...] = _table()
_BELOW_STATE = {
    "registry_root": "registry",
    "forge_root": "remotes",
    "work_dir": "work",
    "credentials_dir": "credentials",
    "patches_dir": "patches",
    "dependency_dir": "dependencies",
}


def read(
    environment: Mapping[str, str] | None = None, *, state_dir: Path | None = None, file: Path | None = None
) -> Settings:
    """The settings of this process, with another state folder or settings file if one is given.

    Raises InvalidArgument naming the variable or key that is wrong.
    """
    env = os.environ if environment is None else environment
    file = file or (Path(env[CONFIG_VARIABLE]).expanduser() if env.get(CONFIG_VARIABLE) else None)
    stored = _read_file(file) if file else {}
    known = {row.name for row in TABLE} | {f"{row.name}_file" for row in TABLE if row.secret}
    if unknown := sorted(stored.keys() - known):
        raise InvalidArgument(
            f"{file} has unknown keys: {', '.join(unknown)}",
            field=CONFIG_VARIABLE,
            remedy="Correct their spelling or take them out; docs/reference/settings.md lists the settings",
        )
    values: dict[str, object] = {}
    for entry in TABLE:
        text, source = _look_up(entry, env, stored, file)
        if text is not None:
            values[entry.name] = _typed(entry, text, source)
    if state_dir is not None:
        values["state_dir"] = state_dir
    return _completed(Settings(**cast("dict[str, Any]", values)))


def passed_through(names: Iterable[str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Those of the named variables that are set: the operator's proxy, certificates, package index, search path."""
    env = os.environ if environment is None else environment
    return {name: env[name] for name in names if env.get(name)}


def environment() -> dict[str, str]:
    """The whole environment, for commands that a person runs as themselves."""
    return dict(os.environ)


def _read_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidArgument(
            f"{path} cannot be read ({error.strerror})", field=CONFIG_VARIABLE, remedy="Name a TOML file or unset it"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(
            f"{path} is not TOML: {error}", field=CONFIG_VARIABLE, remedy="Correct the file"
        ) from error


def _look_up(
    entry: Entry, env: Mapping[str, str], stored: Mapping[str, object], file: Path | None
) -> tuple[str | None, str]:
    if entry.variable in env and env[entry.variable] != "":
        return env[entry.variable], entry.variable
    if entry.secret and env.get(f"{entry.variable}_FILE"):
        return _secret(Path(env[f"{entry.variable}_FILE"]), f"{entry.variable}_FILE"), entry.variable
    if entry.name in stored:
        value = stored[entry.name]
        text = shlex.join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)
        return text, f"{file}: {entry.name}"
    if entry.secret and f"{entry.name}_file" in stored:
        return _secret(Path(str(stored[f"{entry.name}_file"])), f"{file}: {entry.name}_file"), entry.name
    return None, ""


def _secret(path: Path, source: str) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidArgument(
            f"{path} cannot be read ({error.strerror})", field=source, remedy="Name a file that this user may read"
        ) from error


def _typed(entry: Entry, text: str, source: str) -> Path | str | int | tuple[str, ...]:
    if entry.kind == "path":
        return Path(text).expanduser()
    if entry.kind == "words":
        return tuple(shlex.split(text))
    if entry.kind == "number":
        try:
            return int(text)
        except ValueError as error:
            raise InvalidArgument(f"{text!r} is not a number", field=source, remedy=entry.doc) from error
    return text


def _completed(found: Settings) -> Settings:
    state = found.state_dir.expanduser().absolute()
    values: dict[str, object] = {"state_dir": state, "cache_dir": found.cache_dir.expanduser().absolute()}
    for name, folder in _BELOW_STATE.items():
        if getattr(found, name) == Path():
            values[name] = state / folder
    if found.sandbox not in SANDBOXES:
        raise InvalidArgument(
            f"{found.sandbox!r} is no sandbox", field="AMEIDE_SANDBOX", remedy=f"Set it to {' or '.join(SANDBOXES)}"
        )
    values["log_level"] = found.log_level.upper()
    if values["log_level"] not in _LEVELS:
        raise InvalidArgument(
            f"{found.log_level!r} is no log level", field="AMEIDE_LOG_LEVEL", remedy=f"Set it to {' or '.join(_LEVELS)}"
        )
    for name in ("codex_home", "prices"):
        if (path := getattr(found, name)) != Path():
            values[name] = path.absolute()
    if found.codex_home == Path() and (CODEX_SECRET / "auth.json").is_file():
        values["codex_home"] = CODEX_SECRET
    if not found.object_store:
        values["object_store"] = (state / "objects").as_uri()
    known = {row.name: getattr(found, row.name) for row in fields(Settings)}
    return Settings(**cast("dict[str, Any]", known | values))


def secret_values(settings: Settings) -> tuple[str, ...]:
    """What the settings hold that must be shown nowhere."""
    values = [(entry, value) for entry in TABLE if entry.secret and (value := str(getattr(settings, entry.name)))]
    # An executor may have several tokens, one a tenant.
    words = [value.split() if entry.name.endswith("token") else [value] for entry, value in values]
    return tuple(word for several in words for word in several)


def to_toml(values: Mapping[str, Path | str | int | tuple[str, ...]]) -> str:
    """A settings file with these values; `<name>_file` keys are allowed for secrets."""
    lines = ["# Written by `ameide up`; change the environment or your own AMEIDE_CONFIG instead.\n"]
    for name, value in values.items():
        plain = list(value) if isinstance(value, tuple) else value if isinstance(value, int) else str(value)
        lines.append(f"{name} = {json.dumps(plain, ensure_ascii=False)}\n")
    return "".join(lines)


def needed(settings: Settings, name: str) -> str:
    """The value of a setting. Raises InvalidArgument, naming its variable, when it is not set."""
    value: str = getattr(settings, name)
    if not value:
        raise InvalidArgument(
            "is not set", field=f"AMEIDE_{name.upper()}", remedy="`ameide up` sets it for the embedded engines"
        )
    return value
