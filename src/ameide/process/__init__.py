"""PROCESS: what happens next. Temporal workflows decide, activities ask the Domain, ingress brings the facts."""
