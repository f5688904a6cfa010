"""Servers of OpenAI's protocol: how they are opened, paid, paced and understood, and what they said is kept."""
