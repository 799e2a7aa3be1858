"""Keeps the children of a work apart from the machine: what they see, where they connect, how much they take.

`sandbox` is the port, `bubblewrap` the private root and the namespaces, `stage` the network of one child, `egress` the
proxy that is its only way out, `traffic` the record of what it reached and tried to reach.
"""
