"""The public atlas page: a map, trends and tables in one HTML file, with the sectors of each place beside it."""
