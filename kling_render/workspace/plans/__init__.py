"""Plans held against what was: saved ones, a git revision, an earlier result; and why each job is as it is."""
