//! Two workspaces on one appliance never show each other anything.
