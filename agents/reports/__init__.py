"""Words and numbers: the report, the tear sheet, pictures."""
