"""Coverage-guided fuzzers (atheris): ``make fuzz`` runs them in their long form."""
