"""The control plane in one thread, on a clock of its own; any run is played again by its seed."""
