"""Rules as business and risk teams know them: content, versions, lifecycle, events."""
