"""Was a record in the training data?"""
