"""Records, ports, errors, the clock, the settings and the log: what every other folder may know."""
