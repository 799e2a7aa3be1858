"""`make cluster-test`: the chart on a real Kubernetes control plane with KEDA, and its Jobs really working.

`control_plane` runs etcd, the API server, the controller manager and the KEDA operator; `kubelet` is a node of the
tests' own, which runs pods as processes of this machine; `installation` is the control plane of ameide, outside of the
cluster; `checks` is what must hold.
"""
