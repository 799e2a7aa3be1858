"""The settings file of each process of `ameide up`: what the process needs, and nothing else."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from ameide import config
from ameide.cli.state import StateFolder
from ameide.config import Settings, to_toml
from ameide.contracts.transports import Transports
from ameide.engine.files import write_whole

Written = dict[str, Path | str | int | tuple[str, ...]]
_OF_EACH = ("listen_host", "drain_seconds", "otlp_endpoint", "otlp_headers", "log_level")
_OF_KAFKA = (
    "facts_transport",
    "queue_transport",
    *(name for name in (row.name for row in config.TABLE) if name.startswith("kafka_")),
)
_OF_CONTROL = (
    "state_dir",
    "tenant",
    "address",
    "listen_port",
    *(f"database_url_{role.removeprefix('ameide_')}" for role in config.DATABASE_ROLES if role != "ameide_architect"),
    "temporal_address",
    "temporal_namespace",
    "object_store",
    "notify_command",
    "notify_webhook_url",
    "notify_webhook_secret",
    "lease_seconds",
    "log_partition_messages",
    *_OF_KAFKA,
    *_OF_EACH,
)
_OF_WORKER = ("state_dir", "tenant", "address", "temporal_address", "temporal_namespace", *_OF_EACH)
# Neither a database nor Temporal: an executor knows the Domain, the object store, the registry and the forge.
_OF_EXECUTOR = (
    "state_dir",
    "tenant",
    "address",
    "object_store",
    "registry_root",
    "forge_root",
    "work_dir",
    "credentials_dir",
    "credential_variables",
    "git_lfs",
    "patches_dir",
    "coder_command",
    "child_path",
    "child_readable",
    "sandbox",
    "coder_hosts",
    "verify_hosts",
    "child_processes",
    "child_output_mb",
    "child_memory_mb",
    "work_disk_mb",
    "codex",
    "codex_home",
    "codex_write_back",
    "codex_wait_seconds",
    "repeats",
    "prices",
    "author_uid",
    "verifier_uid",
    "author_slots",
    "verifier_slots",
    "queue_slots",
    "child_python",
    *_OF_EACH,
)
# No database but its own, and of the credentials what fetching repositories and asking its model needs.
_OF_ARCHITECT = (
    "state_dir",
    "tenant",
    "address",
    "database_url_architect",
    "object_store",
    "forge_root",
    "work_dir",
    "credentials_dir",
    "credential_variables",
    "git_lfs",
    "child_path",
    "child_readable",
    "sandbox",
    "author_uid",
    "prices",
    *(row.name for row in config.TABLE if row.name.startswith("architect_") and not row.secret),
    *_OF_EACH,
)
_OF_PROVIDERS = {"openai": "openai_api_key", "anthropic": "anthropic_api_key"}


def settings_files(settings: Settings) -> dict[str, str]:
    """The text of each process's settings file: it names what the process needs, and nothing else."""
    tokens = StateFolder(settings.state_dir).tokens
    process: Written = {"process_token_file": tokens / "process"}
    executors: Written = {"author_token_file": tokens / "author", "verifier_token_file": tokens / "verifier"}
    return {
        "control": to_toml(_pick(settings, _OF_CONTROL) | process),
        "worker": to_toml(_pick(settings, _OF_WORKER) | process | _admin(settings, 0)),
        "executor": to_toml(_pick(settings, _OF_EXECUTOR) | _brokers(settings) | executors | _admin(settings, 1)),
        "architect": to_toml(
            _pick(settings, (*_OF_ARCHITECT, *_keys_for_models(settings)))
            | {"architect_token_file": tokens / "architect"}
        ),
    }


def _keys_for_models(settings: Settings) -> tuple[str, ...]:
    """The settings with the keys that the agent's models are asked with; none without a model."""
    models = [name for name in (settings.architect_model, *settings.architect_fallback_models) if name]
    providers = sorted({model.partition(":")[0] for model in models} & _OF_PROVIDERS.keys())
    return ("architect_model_key", *(_OF_PROVIDERS[provider] for provider in providers)) if models else ()


def _brokers(settings: Settings) -> Written:
    """What an executor needs when a queue goes by Kafka; nothing of a broker is for one whose queues do not."""
    carried = Transports.of(settings.facts_transport, settings.queue_transport)
    return _pick(settings, _OF_KAFKA) if carried.kafka_queues else {}


def _admin(settings: Settings, place: int) -> Written:
    """The admin port of a process that has no door; `place` counts those processes from 0."""
    return {"admin_port": settings.admin_port + place} if settings.admin_port else {}


def write_settings(path: Path, text: str) -> None:
    """Store a settings file, unless it says so already; it may hold passwords."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text, mode=0o600)


def _pick(settings: Settings, names: tuple[str, ...]) -> Written:
    known: Written = {row.name: getattr(settings, row.name) for row in fields(settings)}
    return {name: known[name] for name in names if known[name] not in ("", (), Path())}
