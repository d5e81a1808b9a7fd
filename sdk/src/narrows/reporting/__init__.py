"""From the ledger to the vendor and back: reports, receipts, proofs, and how reporting fares."""
