"""The agents: each a pure function from a panel to signals. One file and one line in `registry.AGENTS` add one."""
