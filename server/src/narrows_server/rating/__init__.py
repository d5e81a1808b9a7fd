"""Rating: from a month's savings and a contract's terms to the lines of an invoice. Pure: values in, values out."""
