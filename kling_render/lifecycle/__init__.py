"""The life of a paid job, as values: states, classifier, identity, budget arithmetic, decisions. No I/O."""
