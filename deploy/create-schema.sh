#!/bin/sh
# Creates Temporal's two databases, or brings their schemas up to this version. Safe to repeat.
# The database's address and credentials come from SQL_HOST, SQL_PORT, SQL_USER, SQL_PASSWORD and SQL_PLUGIN.
set -eu

schemas=/etc/temporal/schema/postgresql/v12

schema() { # database, folder of its schema
	temporal-sql-tool --db "$1" create
	temporal-sql-tool --db "$1" setup-schema -v 0.0
	temporal-sql-tool --db "$1" update-schema -d "$schemas/$2/versioned"
}

schema temporal temporal
schema temporal_visibility visibility
