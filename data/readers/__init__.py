"""What turns the archives of others into our tables, a row or a block at a time.

Every reader writes `interactions.csv` and `items.csv`, some `users.csv`: UTF-8 with a
header, quoted as in RFC 4180, one line feed at the end of each row and none within
one. Lists are separated by `|`; an empty cell means that the publisher says nothing.
"""

INTERACTIONS, ITEMS, USERS = "interactions.csv", "items.csv", "users.csv"
