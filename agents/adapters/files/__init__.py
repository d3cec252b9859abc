"""Files that are read and written: bars, series, returns, Parquet."""
