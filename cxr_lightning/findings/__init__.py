"""What a report says: findings, how sure, and where. From free text, by rules that can be read."""
