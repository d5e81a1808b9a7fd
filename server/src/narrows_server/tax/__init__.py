"""Value-added tax: dated rates, the treatment of a sale, the breakdown of an invoice. Pure: no database, no clock."""
