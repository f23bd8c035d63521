"""Where bytes are kept: local paths and object stores, atomic publish, leases, the journal."""
