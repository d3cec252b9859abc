"""Sources of daily stock prices, and the files that they are brought into."""
