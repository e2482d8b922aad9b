"""The command line: arguments, consent, display, wiring. Decides nothing that another room could decide."""
