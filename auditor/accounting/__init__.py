"""Settings to epsilon with its error, epsilon to caps on attacks, and misdeclaration checks."""
