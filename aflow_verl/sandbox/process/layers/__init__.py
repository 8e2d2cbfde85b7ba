"""The layers of the jail, one file each; all run in the child's process, none in the host's."""
