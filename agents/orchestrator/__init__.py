"""The trading plane's driver: reads first, decides by pure functions, records, then acts."""
