"""Broken versions of the protocol's rules, each as a patch; the suite must notice every one of them."""
