"""From jobs to a plan: identity of a request, prices, decisions with reasons. Pure values, no effects."""
