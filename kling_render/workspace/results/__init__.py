"""What is known of results after a look at them, and sheets of pictures of them."""
