"""From bars to orders and from fills to money, one pure file for each stage; `step` composes those that are compiled.
The same functions serve one live bar and ten years of history."""
