"""What comes out on paper: comparisons of replays, and memos of plans.

words       headline, assumptions and notes of a comparison as sentences
document    one JSON document
rows        tables of text
tables      Parquet: every job, prices by the hour
pictures    figures as SVG
page        one self-contained HTML file
report      all of these in one directory
memo        the same for a plan: what to buy, or not

folder      a directory that is there whole or not at all
drawing     how figures look
template    HTML from templates
text_table  a table of text
"""
