"""What is saved: the baseline at equal quality, evidence and its reproduction, deliveries, forecasts."""
