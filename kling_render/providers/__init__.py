"""Where renders come from: `aimlapi` (the paid model) and `previz` (a free local rehearsal)."""
