"""Who sends invoices and who gets them: legal entities, billing profiles, and what is known of their VAT ids."""
