"""The two executors of a pool.

Who writes a change, and who judges it. They are two principals and, as root, two users.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path

from ameide.config import Settings
from ameide.contracts.topics import queue_named
from ameide.errors import InvalidArgument
from ameide.infra.coders.codex_home import CredentialsMissing, config_of
from ameide.infra.credentials import Credentials
from ameide.infra.settings import (
    AUTHOR_QUEUES,
    VERIFIER_QUEUES,
    CodexSettings,
    ExecutorSettings,
    Isolation,
    UnprivilegedUser,
)
from ameide.infra.toolchain import prepare


class Role(Enum):
    """Author serves the agent and generate queues.

    Green counts only from the verifier, who serves verify and publish.
    """

    AUTHOR = "author"
    VERIFIER = "verifier"

    @property
    def queues(self) -> tuple[str, ...]:
        """The work queues it serves."""
        return AUTHOR_QUEUES if self is Role.AUTHOR else VERIFIER_QUEUES

    @classmethod
    def of(cls, queue: str) -> Role:
        """The role that may serve a queue."""
        return cls.VERIFIER if queue in VERIFIER_QUEUES else cls.AUTHOR

    def token(self, settings: Settings) -> str:
        """Its token, of its own principal."""
        return settings.author_token if self is Role.AUTHOR else settings.verifier_token

    def slots(self, settings: Settings) -> int:
        """How many works it runs at a time."""
        return settings.author_slots if self is Role.AUTHOR else settings.verifier_slots

    def user(self, settings: Settings) -> UnprivilegedUser | None:
        """Whom its children run as; None when we are not root and cannot become anybody else."""
        if os.geteuid() != 0:
            return None
        uid = settings.author_uid if self is Role.AUTHOR else settings.verifier_uid
        return UnprivilegedUser(uid, uid)


def executor_settings(
    settings: Settings,
    role: Role,
    *,
    token: str,
    work_root: Path,
    operator: Mapping[str, str],
    store: Mapping[str, str],
    variables: Mapping[str, str],
    codex: Mapping[str, str],
    say: Callable[[str], None],
) -> ExecutorSettings:
    """What the executor of a role runs with. `operator` and `store` are the operator's variables that `settings` names,
    `variables` those that credential references may name, `codex` those that Codex's own configuration names.

    Raises `ToolchainUnavailable` when the children could execute no Python.
    """
    user = role.user(settings)
    toolchain = prepare(user, say, python=settings.child_python)
    return ExecutorSettings(
        address=settings.address,
        token=token,
        name=role.value,
        queues=role.queues,
        work_root=work_root,
        object_store=settings.object_store,
        registry=str(settings.registry_root),
        forge=str(settings.forge_root),
        python=toolchain.python,
        search_path=(*toolchain.search_path, *tool_folders(settings.child_path)),
        user=user,
        slots=role.slots(settings),
        queue_slots=queue_slots(settings),
        git_lfs=settings.git_lfs if settings.git_lfs != Path() else None,
        credentials=Credentials(settings.credentials_dir, variables),
        operator_environment=operator,
        store_options={name.lower(): value for name, value in store.items()},
        otlp_headers=settings.otlp_headers,
        broker_secrets=(settings.kafka_sasl_password, settings.kafka_key_password),
        coder_command=settings.coder_command,
        coder_patches=settings.patches_dir,
        dependency_dir=settings.dependency_dir if role is Role.VERIFIER else None,
        dependency_bytes=settings.dependency_megabytes * 1_000_000,
        codex=codex_settings(settings, codex),
        prices=settings.prices if settings.prices != Path() else None,
        repeats=settings.repeats,
        isolation=isolation(settings),
    )


def queue_slots(settings: Settings) -> dict[str, int]:
    """How many slots each queue has for itself. Raises InvalidArgument, naming the setting."""
    name, found = "AMEIDE_QUEUE_SLOTS", dict[str, int]()
    for word in settings.queue_slots:
        queue, equals, number = word.rpartition("=")
        if not equals or not number.isdecimal():
            raise InvalidArgument(
                f"{word!r} is not QUEUE=NUMBER", field=name, remedy="Say how many slots a queue has, e.g. `verify=4`"
            )
        found[queue_named(queue, name)] = int(number)
    return found


def isolation(settings: Settings) -> Isolation:
    """How the children are kept apart. Nothing of the installation is for them."""
    kept = (settings.state_dir, settings.cache_dir, settings.work_dir, settings.credentials_dir)
    keys = () if settings.kafka_key_file == Path() else (settings.kafka_key_file.absolute(),)
    return Isolation(
        sandbox=settings.sandbox,
        readable=tuple(Path(name).expanduser() for name in settings.child_readable),
        hidden=tuple(dict.fromkeys((*kept, settings.registry_root, settings.forge_root, *keys))),
        coder_hosts=settings.coder_hosts,
        verify_hosts=settings.verify_hosts,
        processes=settings.child_processes,
        output_mb=settings.child_output_mb,
        memory_mb=settings.child_memory_mb,
        disk_mb=settings.work_disk_mb,
    )


def codex_settings(settings: Settings, variables: Mapping[str, str]) -> CodexSettings:
    """How the coder `codex` runs; `variables` are those that Codex's configuration names."""
    return CodexSettings(
        program=settings.codex,
        home=settings.codex_home if settings.codex_home != Path() else None,
        variables=variables,
        write_back=bool(settings.codex_write_back),
        wait_seconds=settings.codex_wait_seconds,
    )


def codex_variables(settings: Settings) -> tuple[str, ...]:
    """Names of the environment variables that Codex's configuration takes secrets from; none when it is unusable."""
    home = codex_settings(settings, {}).home
    try:
        return config_of(home).variables
    except CredentialsMissing:
        # Whoever runs Codex is told.
        return ()


def tool_folders(child_path: str) -> tuple[Path, ...]:
    """Those of the folders that are there, absolute."""
    named = (Path(folder).expanduser() for folder in child_path.split(os.pathsep) if folder.strip())
    return tuple(folder for folder in named if folder.is_absolute() and folder.is_dir())
