"""Kubernetes' control plane: etcd, the API server and the controller manager. No kubelet and no scheduler."""

from pathlib import Path

from tests.engines.go_programs import GoPrograms, Say

VERSION = "1.35.4"

PROGRAMS = GoPrograms(
    name=f"kubernetes-{VERSION}",
    source=Path(__file__).parent,
    programs={
        "etcd": "go.etcd.io/etcd/server/v3",
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    },
    takes="five minutes on two cores",
    install="make cluster-engines",
)


def set_up(cache_dir: Path, say: Say) -> None:
    """Build it unless it is there."""
    PROGRAMS.ensure(cache_dir, say)
