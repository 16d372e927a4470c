"""Why agents collapse: gradient flow, stability, phase diagram."""
