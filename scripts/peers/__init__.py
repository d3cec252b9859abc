"""The same rule in the words of each program, one function each; `work` says which rule."""
