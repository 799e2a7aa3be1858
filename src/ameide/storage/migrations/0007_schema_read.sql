-- Every role looks at the schema before it works: one that knows another schema must not touch this one.
GRANT SELECT ON ameide.schema_version
    TO ameide_app, ameide_relay, ameide_sweeper, ameide_ingress, ameide_projector;
