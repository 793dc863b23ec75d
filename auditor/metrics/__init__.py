"""Compare what attacks returned with the truth; every measurement carries an interval."""
