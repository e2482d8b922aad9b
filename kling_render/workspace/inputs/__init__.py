"""What the inputs of a project are, what is wrong with them, and what of them is sent."""
