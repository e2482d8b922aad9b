"""What the provider's account knows: its log and charges, held against the store; what was lost there comes home."""
