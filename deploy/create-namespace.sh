#!/bin/sh
# Creates the namespace, and in it the search attributes of mageflow_temporal. Safe to repeat.
# The server's address comes from TEMPORAL_ADDRESS, the namespace from TEMPORAL_NAMESPACE.
set -eu

patiently() { # A new namespace is known to every part of the server only when its caches have been refreshed.
	for _ in $(seq 60); do
		"$@" && return
		sleep 2
	done
	echo "gave up: $*" >&2
	return 1
}

patiently temporal operator cluster health
if ! temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
	patiently temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 72h
fi
for name in MageflowStatus MageflowName MageflowKind; do
	patiently temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$name" --type Keyword
done
