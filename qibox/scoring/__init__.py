"""How a run is planned, done unit by unit, locked and accounted for: pool → responses → judgments →
scores. Knows nothing of Beam; `pipelines/` carries the units to workers."""
