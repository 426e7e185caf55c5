"""What a run is fed: arrays as they are committed, and which examples a step takes."""
