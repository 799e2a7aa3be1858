"""What analyses rest on: the files of one commit, read by the executor's own git and never executed."""
