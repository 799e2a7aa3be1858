"""Configuration of the embedded Temporal server, as its one static file and its file of dynamic settings."""

from pathlib import Path

import yaml

from ameide.engine.postgres import PostgresAddress

FRONTEND = "temporal-frontend"
"""Name of the port that clients use."""

SERVICES = ("frontend", "history", "matching", "worker")
PORTS = tuple(f"temporal-{service}{kind}" for service in SERVICES for kind in ("", "-membership"))
"""Names of the loopback ports it needs: an RPC and a membership port for each service."""


def static(database: PostgresAddress, visibility: Path, ports: dict[str, int], dynamic_file: Path) -> str:
    """The server's YAML file; it contains the database password.

    Executions lie in PostgreSQL. Visibility (list and search) lies in a SQLite file, because its PostgreSQL schema
    needs the extension btree_gin, which the PostgreSQL wheel does not have.
    """
    store = {
        "pluginName": "postgres12_pgx",
        "databaseName": database.dbname,
        "connectAddr": f"{database.host}:{database.port}",
        "connectProtocol": "tcp",
        "user": database.user,
        "password": database.password,
        "maxConns": 20,
        "maxIdleConns": 20,
        "maxConnLifetime": "1h",
    }
    searchable = {
        "pluginName": "sqlite",
        "databaseName": str(visibility),
        "connectAddr": "localhost",
        "connectProtocol": "tcp",
        "connectAttributes": {
            "cache": "private",
            "setup": "true",
            "journal_mode": "wal",
            "synchronous": "2",
            "busy_timeout": "10000",
        },
        "maxConns": 4,
        "maxIdleConns": 4,
    }
    frontend = f"127.0.0.1:{ports[FRONTEND]}"
    return yaml.safe_dump(
        {
            "log": {"stdout": True, "level": "warn", "format": "json"},
            "persistence": {
                "defaultStore": "executions",
                "visibilityStore": "visibility",
                "numHistoryShards": 4,
                "datastores": {"executions": {"sql": store}, "visibility": {"sql": searchable}},
            },
            "global": {"membership": {"maxJoinDuration": "30s", "broadcastAddress": "127.0.0.1"}},
            "services": {
                service: {
                    "rpc": {
                        "grpcPort": ports[f"temporal-{service}"],
                        "membershipPort": ports[f"temporal-{service}-membership"],
                        "bindOnLocalHost": True,
                    }
                }
                for service in SERVICES
            },
            "clusterMetadata": {
                "enableGlobalNamespace": False,
                "failoverVersionIncrement": 10,
                "masterClusterName": "active",
                "currentClusterName": "active",
                "clusterInformation": {
                    "active": {
                        "enabled": True,
                        "initialFailoverVersion": 1,
                        "rpcName": "frontend",
                        "rpcAddress": frontend,
                    }
                },
            },
            "dcRedirectionPolicy": {"policy": "noop"},
            "publicClient": {"hostPort": frontend},
            "dynamicConfigClient": {"filepath": str(dynamic_file), "pollInterval": "60s"},
        },
        sort_keys=False,
    )


def dynamic() -> str:
    """Settings for one machine: one partition a task queue (a poll then never waits at an empty one), small caches."""
    values: dict[str, int | bool] = {
        "matching.numTaskqueueReadPartitions": 1,
        "matching.numTaskqueueWritePartitions": 1,
        "history.hostLevelCacheMaxSize": 2048,
        "history.eventsHostLevelCacheMaxSizeBytes": 16 << 20,
        "history.eventsCacheMaxSizeBytes": 4 << 20,
        "system.forceSearchAttributesCacheRefreshOnRead": True,
    }
    return yaml.safe_dump({name: [{"value": value}] for name, value in values.items()}, sort_keys=False)
