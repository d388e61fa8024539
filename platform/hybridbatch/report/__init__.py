"""The report: tables, figures and the page, made from trial folders alone."""
