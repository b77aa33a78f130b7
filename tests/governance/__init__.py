"""Random commands on real servers, compared with a model: ``make governance`` runs the long form."""
