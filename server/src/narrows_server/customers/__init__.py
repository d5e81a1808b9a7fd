"""Who pays, and on what terms: customers, the tariffs that they pay for bandwidth, contracts."""
