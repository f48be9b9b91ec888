"""What an artifact was made of and by whom: statement, bill of materials, signature, repetition."""
