"""The table of settings: what there is, what it means, what it is by default."""

# ruff: noqa: RUF009 -- a default made by `_setting` is a field of the dataclass, not a shared value.

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar, cast, get_type_hints

T = TypeVar("T")
CODEX_SECRET = Path("/codex-secret")
"""Where a cluster mounts the secret with Codex's credentials."""
SANDBOXES = ("bubblewrap", "none")
DATABASE_ROLES = (
    "ameide_app",
    "ameide_relay",
    "ameide_sweeper",
    "ameide_ingress",
    "ameide_projector",
    "ameide_architect",
)
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
    database_url_architect: str = _setting(
        "", "Connection of the Architect agent as role ameide_architect; only what was said lies there.", secret=True
    )
    architect_token: str = _setting(
        "", "Token of the Architect agent; several with spaces between them, one a tenant.", secret=True
    )
    architect_address: str = _setting(
        "", "URL of the Architect agent, e.g. `http://127.0.0.1:8580`. Default: the one that `ameide up` started."
    )
    architect_listen_port: int = _setting(
        8580, "Port on which the Architect agent listens; `ameide up` takes another if it is busy."
    )
    architect_model: str = _setting(
        "",
        "The agent's model as `provider:model`, e.g. `openai:gpt-5.2` or `anthropic:claude-opus-4-7`. Default: none; "
        "then the agent says so and answers from the records alone.",
    )
    architect_fallback_models: tuple[str, ...] = _setting(
        (), "Models that are asked in this order when the first does not answer."
    )
    architect_model_url: str = _setting(
        "", "Base URL of the model's provider, for a gateway or a server of your own. Default: the provider's."
    )
    architect_model_protocol: str = _setting(
        "",
        "By what OpenAI and those who speak like it are asked: `responses` or `chat`. Default: `responses`; with a "
        "base URL of your own `chat`.",
    )
    architect_model_options: tuple[str, ...] = _setting(
        (), "More for the provider's client, `name=value`, e.g. `reasoning_effort=low`; the value is JSON or a text."
    )
    architect_model_key: str = _setting(
        "", "Key for the model's provider. Default: OPENAI_API_KEY or ANTHROPIC_API_KEY, by provider.", secret=True
    )
    openai_api_key: str = _setting("", "Key for OpenAI.", variable="OPENAI_API_KEY", secret=True)
    anthropic_api_key: str = _setting("", "Key for Anthropic.", variable="ANTHROPIC_API_KEY", secret=True)
    architect_model_seconds: int = _setting(120, "Seconds that one answer of the model may take, and it may be silent.")
    architect_model_retries: int = _setting(2, "How often a model is asked again that fails for now.")
    architect_output_tokens: int = _setting(8000, "Tokens of one answer of the model at most.")
    architect_characters: int = _setting(
        120_000,
        "Characters of a conversation that the model is given, about four a token; what is older is summarised. A "
        "model that takes fewer is asked again with fewer.",
    )
    architect_turn_seconds: int = _setting(600, "Seconds that one turn may take; what was reached then is kept.")
    architect_turn_calls: int = _setting(
        24, "How often the model may be asked about one message, with all the consents that it takes."
    )
    architect_retention_days: int = _setting(
        365, "Days after its last turn for which a conversation's words are kept; 0: for ever. Records are kept anyway."
    )
    architect_origins: tuple[str, ...] = _setting(
        (),
        "Origins of web pages that may call the agent's MCP endpoint, e.g. `https://ide.example.com`. Default: none.",
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
