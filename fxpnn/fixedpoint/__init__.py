"""What a number is: formats, the one-step cast, exact integer arithmetic, intervals."""
