"""The pure jobs: scorecards, the decision about weights, what is due, alarms, recommendations."""
