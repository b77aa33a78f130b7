"""The bus: subjects, topology, messages, codecs, consumers and publishers. Knows the domain, no storage."""
