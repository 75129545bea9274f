-- Of which tenant a deleted one had been restored: as long as its points open, rows of that one are left.
ALTER TABLE tenant_deletion ADD COLUMN restored_of uuid;
