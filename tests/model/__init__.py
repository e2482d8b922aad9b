"""An explicit-state model check of the paid protocol, over the product's own table of states."""
