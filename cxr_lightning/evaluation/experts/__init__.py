"""What radiologists say of reports whose writers they do not know."""
