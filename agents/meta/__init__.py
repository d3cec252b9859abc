"""The meta plane: analyzer -> optimizer -> project manager, driven by a schedule; they measure, tune and report.

Each job reads through a port, computes with pure functions, and acts last. They never import adapters; the one door
to the composition root, for jobs that are started by hand, is `standalone`.
"""
