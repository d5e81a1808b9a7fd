"""The terms between a customer and us, and what the customer pays for bandwidth: documents with versions."""
