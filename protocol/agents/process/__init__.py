"""An agent as a process: `runtime`, `daemon`, `housekeeping`; `logs` and `telemetry`."""
