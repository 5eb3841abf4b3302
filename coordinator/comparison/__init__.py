"""One problem trained in several ways: what each costs until it is as good as the others."""
