"""One project on one store: compile, inspect, plan, run. Every command takes this path, so all give one answer."""
