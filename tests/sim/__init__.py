"""The real engine on a real store, on a virtual clock and against a simulated API: one seed is one story."""
