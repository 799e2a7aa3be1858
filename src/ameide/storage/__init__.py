"""PostgreSQL: connections with a tenant, named SQL, migrations. The only home of psycopg besides the engine."""
